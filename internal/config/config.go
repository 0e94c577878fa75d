// Package config reads Berth's settings: one struct, from defaults, a file, the environment and flags, in
// rising order, validated once.
//
// [Options] is the one table of settings. Flags, environment variables, file keys, their help and the
// table in docs/operate/operator-guide.md all come from it, so that a setting cannot have a flag and lack
// a variable. Every problem is reported at once, each with the place the value came from; a setting that
// would have no effect beside the others is refused rather than ignored.
//
// This is the only package that reads the process's environment. A variable that is set to nothing counts
// as not set. Variables that start with BERTH_ and belong to no option are not errors: a cluster that runs
// a service called berth injects several.
package config

import (
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Config is how one Berth runs. Load makes valid ones.
type Config struct {
	Listen   string // host:port
	Data     string // absolute path
	File     string // the file that was read, or empty
	Account  string // 12 digits
	Region   string
	Hostname string // host[:port], with a scheme or without, or empty: see PublicURL

	TLSCert, TLSKey string // paths, both or none
	TrustedProxies  []netip.Prefix

	Database string // a postgres:// URL, or empty for SQLite in Data
	Blobs    string // s3://bucket/prefix, or empty for a directory in Data
	S3       S3
	Delivery Delivery

	MasterKey     string // the key itself, or empty: read MasterKeyFile
	MasterKeyFile string // absolute path

	CreateOnPush bool // see registry.EnsureCreateOnPush

	PinnedDeployments int // of each application in each environment; 0: deployments pin nothing

	TrashWindow time.Duration // 0: deleted images cannot be restored
	GCGrace     time.Duration
	UploadTTL   time.Duration
	GCRate      int // things a second; 0: no bound
	// Advisories is where advisories are fetched from: empty, a URL, or a directory.
	Advisories           string
	AdvisoriesEvery      time.Duration // 0: only when asked
	AdvisoriesEcosystems []string      // empty: the usual ones
	// ScanWorkers is how many images are scanned at once.
	ScanWorkers int
	// ScanDailyLimit allows one scan of an image in 24 hours.
	ScanDailyLimit bool

	// How long it is kept what was counted in minutes, hours and days.
	UsageKeepMinutes, UsageKeepHours, UsageKeepDays time.Duration

	ScrubPeriod time.Duration // 0: there is no scrub
	ScrubRate   int64         // bytes per second; 0: no bound

	LogFormat       LogFormat
	LogLevel        slog.Level
	ShutdownTimeout time.Duration

	Destinations []Destination     // of replication
	Secrets      map[string]Secret // by the name that pull-through cache rules know them by

	OIDCProviders map[string]OIDCProvider // by issuer, letter for letter

	Targets map[string]Target // of notices, by name

	Events     []EventReceiver // who is told of events
	EventsKeep time.Duration
	EventsMost int

	// origins says where each setting that is not a default came from, by option name.
	origins map[string]string
}

// MaxPinnedDeployments bounds Config.PinnedDeployments: a deletion may have to look at so many records of each application.
const MaxPinnedDeployments = 100

// S3 is the bucket that blobs are kept in. It is zero unless Config.Blobs names one.
type S3 struct {
	Bucket          string
	Prefix          string // without slashes at its ends
	Endpoint        string // empty: Amazon's
	PublicEndpoint  string // what clients know it by; empty: the same
	Region          string
	AccessKeyID     string // empty: the AWS SDK's default chain
	SecretAccessKey string
	PathStyle       bool
}

// Delivery is how clients get the bytes of a layer.
type Delivery string

// The ways of delivery.
const (
	// Redirect sends clients to a pre-signed URL of the bucket.
	Redirect Delivery = "redirect"
	// Proxy streams the bytes through Berth.
	Proxy Delivery = "proxy"
)

// LogFormat is how log lines are written.
type LogFormat string

// The log formats.
const (
	TextLog LogFormat = "text"
	JSONLog LogFormat = "json"
)

// Sources is where settings come from.
type Sources struct {
	// Flags holds what was typed on the command line, by option name.
	Flags map[string]string
	// Environment looks a variable up. Nil is an empty environment.
	Environment func(name string) (string, bool)
}

// Environment looks a variable up in the process's environment.
func Environment(name string) (string, bool) { return os.LookupEnv(name) }

// Environ is the process's whole environment, for programs that it starts.
func Environ() []string { return os.Environ() }

// Load reads, merges and validates the settings. Its error is meant for the operator and names every
// problem that was found.
func Load(s Sources) (Config, error) {
	c, err := read(s, Options())
	if err != nil {
		return Config{}, err
	}
	if err := c.complete(s); err != nil {
		return Config{}, err
	}
	if err := c.completeSections(); err != nil {
		return Config{}, err
	}
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// LoadData finds only the data directory, from the same sources. Commands that read what a server left
// there use it, so that a setting of the server's cannot keep them from it.
func LoadData(s Sources) (string, error) {
	c, err := read(s, slices.DeleteFunc(Options(), func(o Option) bool { return o.Name != "data" && o.Name != "config" }))
	if err != nil {
		return "", err
	}
	if err := c.complete(s); err != nil {
		return "", err
	}
	return c.Data, nil
}

// PublicURL is how clients reach this Berth: what repositoryUri and proxyEndpoint say, without a path.
// Without a Hostname it follows from the listen address, whose real port is given. An address that
// stands for all interfaces gives localhost, since no other name is known.
func (c Config) PublicURL(port string) *url.URL {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	if c.Hostname != "" {
		given, host := splitScheme(c.Hostname)
		if given != "" {
			scheme = given
		}
		return &url.URL{Scheme: scheme, Host: host}
	}
	return &url.URL{Scheme: scheme, Host: listenHost(c.Listen, port)}
}

// DatabaseFile is where SQLite keeps its rows.
func (c Config) DatabaseFile() string { return filepath.Join(c.Data, "berth.db") }

// BlobDirectory is where blobs rest when no bucket is named.
func (c Config) BlobDirectory() string { return filepath.Join(c.Data, "blobs") }

// complete fills in the defaults that depend on other settings.
func (c *Config) complete(s Sources) error {
	if c.Data == "" {
		dir, err := defaultData(s.Environment)
		if err != nil {
			return err
		}
		c.Data = dir
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return c.problem("data", "%w", err)
	}
	c.Data = data
	if c.MasterKeyFile == "" {
		c.MasterKeyFile = filepath.Join(c.Data, "master.key")
	}
	if c.Delivery == "" {
		c.Delivery = Proxy
		// An endpoint is often a name that only servers know (http://minio:9000). Clients are sent there
		// when somebody says that they can reach it.
		if c.Blobs != "" && (c.S3.Endpoint == "" || c.S3.PublicEndpoint != "") {
			c.Delivery = Redirect
		}
	}
	return nil
}
