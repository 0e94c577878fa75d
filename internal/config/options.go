package config

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is one setting.
type Option struct {
	Name    string // of the flag, and the key in the file
	Usage   string // lower case, no full stop
	Default string // as a user would write it; empty where Computed says it
	// Computed words a default that depends on other things.
	Computed string
	// Secret options have no flag: a command line shows in the process list.
	Secret bool
	// NoFile options have no key in the file: the file's own name, and the key that protects secrets at rest.
	NoFile bool
	// Bool options need no value on the command line.
	Bool bool

	set func(c *Config, value string) error
}

// Env is the option's environment variable.
func (o Option) Env() string {
	return "BERTH_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// DefaultText is the default for people to read.
func (o Option) DefaultText() string {
	if o.Default != "" {
		return o.Default
	}
	return o.Computed
}

// Options lists the settings in the order that help shows them.
func Options() []Option {
	return slices.Concat(
		placeOptions(), storageOptions(), careOptions(), scanOptions(), scrubOptions(), advisoryOptions(),
		auditOptions(), usageOptions(), costOptions(), eventOptions(), telemetryOptions(), runOptions(),
	)
}

// placeOptions says who this Berth is and where it is reached.
//
// The default data directory does not depend on the directory a command is typed in, so that `berth serve`
// and `berth env` find the same one; root's follows the same rule rather than one of its own, and a service
// manager that wants /var/lib says so. The default account is the one AWS uses in its documentation: nobody
// owns it, so its ARNs are never mistaken for a real account's, and unlike 000000000000 it survives tools
// that read it as a number.
func placeOptions() []Option {
	return []Option{
		{
			Name: "listen", Default: "localhost:5080",
			Usage: "address to listen on, host:port; localhost is both loopback addresses, an empty host every interface",
			set:   text(func(c *Config) *string { return &c.Listen }),
		},
		{
			Name: "data", Computed: "$XDG_DATA_HOME/berth or ~/.local/share/berth",
			Usage: "directory for everything that is kept on this machine",
			set:   path(func(c *Config) *string { return &c.Data }),
		},
		{
			Name: "config", Computed: "none", NoFile: true,
			Usage: "YAML file with settings, each under its flag's name",
			set:   path(func(c *Config) *string { return &c.File }),
		},
		{
			Name: "account-id", Default: "123456789012",
			Usage: "the 12 digits of the account that owns the registry, which are the registry's id",
			set:   text(func(c *Config) *string { return &c.Account }),
		},
		{
			Name: "region", Default: "us-east-1",
			Usage: "region that ARNs name and that requests are signed for",
			set:   text(func(c *Config) *string { return &c.Region }),
		},
		{
			Name: "hostname", Computed: "from listen",
			Usage: "how clients reach Berth, what repositoryUri and proxyEndpoint say: host[:port], or https://host where a proxy ends TLS",
			set:   text(func(c *Config) *string { return &c.Hostname }),
		},
		{
			Name: "tls-cert", Computed: "none: plain HTTP",
			Usage: "PEM file with the certificate chain, read again when it changes",
			set:   path(func(c *Config) *string { return &c.TLSCert }),
		},
		{
			Name: "tls-key", Computed: "none",
			Usage: "PEM file with the certificate's key",
			set:   path(func(c *Config) *string { return &c.TLSKey }),
		},
		{
			Name: "trusted-proxies", Computed: "none",
			Usage: "addresses or networks of the proxies in front, separated by commas: what they say of the client's address and scheme is believed",
			set: func(c *Config, v string) (err error) {
				c.TrustedProxies, err = networks(v)
				return err
			},
		},
	}
}

// storageOptions says where things are kept.
func storageOptions() []Option {
	return []Option{
		{
			Name: "database", Computed: "SQLite in the data directory",
			Usage: "postgres://user@host/name to keep metadata in PostgreSQL; leave the password to PGPASSWORD or a passfile",
			set:   text(func(c *Config) *string { return &c.Database }),
		},
		{
			Name: "blobs", Computed: "a directory in the data directory",
			Usage: "s3://bucket/prefix to keep layers in a bucket",
			set:   text(func(c *Config) *string { return &c.Blobs }),
		},
		{
			Name: "s3-endpoint", Computed: "Amazon's",
			Usage: "URL of an S3-compatible server",
			set:   text(func(c *Config) *string { return &c.S3.Endpoint }),
		},
		{
			Name: "s3-public-endpoint", Computed: "the same as s3-endpoint",
			Usage: "URL by which clients reach that server, where it is another: pre-signed URLs lead there",
			set:   text(func(c *Config) *string { return &c.S3.PublicEndpoint }),
		},
		{
			Name: "s3-region", Computed: "the registry's region",
			Usage: "region of the bucket",
			set:   text(func(c *Config) *string { return &c.S3.Region }),
		},
		{
			Name: "s3-access-key-id", Computed: "the AWS SDK's own chain",
			Usage: "access key for the bucket",
			set:   text(func(c *Config) *string { return &c.S3.AccessKeyID }),
		},
		{
			Name: "s3-secret-access-key", Computed: "the AWS SDK's own chain", Secret: true,
			Usage: "secret of that access key",
			set:   text(func(c *Config) *string { return &c.S3.SecretAccessKey }),
		},
		{
			Name: "s3-path-style", Default: "false", Bool: true,
			Usage: "put the bucket in the path rather than the host name, as most S3-compatible servers want",
			set:   boolean(func(c *Config) *bool { return &c.S3.PathStyle }),
		},
		{
			Name: "blob-delivery", Computed: "redirect with a bucket of Amazon's or an s3-public-endpoint, otherwise proxy",
			Usage: "how clients get layers: redirect to a pre-signed URL of the bucket, or proxy through Berth",
			set:   oneOf(func(c *Config) *Delivery { return &c.Delivery }, Redirect, Proxy),
		},
	}
}

// runOptions says how the process behaves.
func runOptions() []Option {
	return []Option{
		{
			Name: "create-on-push", Default: "false", Bool: true,
			Usage: "have pushes make repositories that are missing, by a creation template for ROOT, which stays when this is taken back",
			set:   boolean(func(c *Config) *bool { return &c.CreateOnPush }),
		},
		{
			Name: "master-key-file", Computed: "master.key in the data directory, made at the first start",
			Usage: "file with the key that secrets in the database are sealed under, and below it older ones",
			set:   path(func(c *Config) *string { return &c.MasterKeyFile }),
		},
		{
			Name: "master-key", Computed: "from master-key-file", Secret: true, NoFile: true,
			Usage: "the master key itself: 64 hexadecimal digits; older ones follow after commas",
			set:   text(func(c *Config) *string { return &c.MasterKey }),
		},
		{
			Name: "log-format", Default: "text",
			Usage: "text or json",
			set:   oneOf(func(c *Config) *LogFormat { return &c.LogFormat }, TextLog, JSONLog),
		},
		{
			Name: "log-level", Default: "info",
			Usage: "debug, info, warn or error; every request is logged at info",
			set: func(c *Config, v string) error {
				if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil || !slices.Contains(levels(), strings.ToLower(v)) {
					return fmt.Errorf("%q is not a log level: use debug, info, warn or error", v)
				}
				return nil
			},
		},
		{
			Name: "shutdown-timeout", Default: "60s",
			Usage: "how long requests under way may take to finish once Berth is told to stop",
			set:   span(func(c *Config) *time.Duration { return &c.ShutdownTimeout }),
		},
	}
}

// maxGCRate is more than any server reaches.
const maxGCRate = 1_000_000

// careOptions says how long what is deleted, or forgotten, stays.
func careOptions() []Option {
	return []Option{
		{
			Name: "trash-window", Default: "168h",
			Usage: "how long a deleted image can be restored, in repositories that do not say otherwise; 0 turns the trash off",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < 0 {
					return fmt.Errorf("%q is not a duration such as 168h, or 0", v)
				}
				c.TrashWindow = d
				return nil
			},
		},
		{
			Name: "pinned-deployments", Default: "5",
			Usage: "how many images, of those that an application ran in an environment, are not deleted or archived; 0 turns pins off",
			set: func(c *Config, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 || n > MaxPinnedDeployments {
					return fmt.Errorf("%q is not a number from 0 to %d", v, MaxPinnedDeployments)
				}
				c.PinnedDeployments = n
				return nil
			},
		},
		{
			Name: "gc-grace", Default: "24h",
			Usage: "how long a layer that no image needs stays: a push has so much time between its layers and its manifest",
			set:   span(func(c *Config) *time.Duration { return &c.GCGrace }),
		},
		{
			Name: "upload-ttl", Default: "168h",
			Usage: "how long an upload may go without a byte before it is given up",
			set:   span(func(c *Config) *time.Duration { return &c.UploadTTL }),
		},
		{
			Name: "gc-rate", Default: "1000",
			Usage: "how many things a second each server removes at most of what nothing needs any more; 0: no bound",
			set: func(c *Config, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 || n > maxGCRate {
					return fmt.Errorf("%q is not a number from 0 to %d", v, maxGCRate)
				}
				c.GCRate = n
				return nil
			},
		},
	}
}

// scrubOptions says how eagerly what is stored is checked.
func scrubOptions() []Option {
	return []Option{
		{
			Name: "scrub-period", Default: "720h",
			Usage: "in which time everything stored is read once, in the background, to find what is damaged; 0 turns that off",
			set: func(c *Config, v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d < 0 || d > 0 && d < time.Hour {
					return fmt.Errorf("%q is not a duration of at least an hour such as 720h, or 0", v)
				}
				c.ScrubPeriod = d
				return nil
			},
		},
		{
			Name: "scrub-rate", Default: "20MiB",
			Usage: "how many bytes a second the scrub reads at most, even if it then takes longer than its period; 0: no bound",
			set: func(c *Config, v string) (err error) {
				c.ScrubRate, err = ParseBytes(v)
				return err
			},
		},
	}
}

func levels() []string {
	var names []string
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		names = append(names, strings.ToLower(l.String()))
	}
	return names
}

// span is a duration of more than nothing.
func span(field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is not a positive duration such as 30s or 5m", v)
		}
		*field(c) = d
		return nil
	}
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

// path is text that is made absolute at once, so that it means the same wherever it is used.
func path(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		abs, err := filepath.Abs(v)
		if err != nil {
			return fmt.Errorf("making %q absolute: %w", v, err)
		}
		*field(c) = abs
		return nil
	}
}

// networks reads addresses and networks, separated by commas. An address is a network of its own.
func networks(v string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for word := range strings.SplitSeq(v, ",") {
		word = strings.TrimSpace(word)
		prefix, err := netip.ParsePrefix(word)
		if address, single := netip.ParseAddr(word); single == nil {
			prefix, err = netip.PrefixFrom(address.WithZone(""), address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", word)
		}
		all = append(all, prefix.Masked())
	}
	return all, nil
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", v)
		}
		*field(c) = b
		return nil
	}
}

func oneOf[T ~string](field func(*Config) *T, words ...T) func(*Config, string) error {
	return func(c *Config, v string) error {
		if !slices.Contains(words, T(v)) {
			var names []string
			for _, w := range words {
				names = append(names, string(w))
			}
			return fmt.Errorf("%q is not one of %s", v, strings.Join(names, ", "))
		}
		*field(c) = T(v)
		return nil
	}
}

// ParseBytes reads a number of bytes such as 64KiB, 20MiB or 1GiB.
func ParseBytes(v string) (int64, error) {
	number, factor := v, int64(1)
	for unit, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(v, unit); ok {
			number, factor = before, bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is not a number of bytes such as 64KiB, 20MiB or 1GiB", v)
	}
	return n * factor, nil
}
