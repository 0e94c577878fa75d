package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/config"
)

// environment is a process's environment with a home, as processes have.
func environment(pairs ...string) func(string) (string, bool) {
	vars := map[string]string{"HOME": "/home/anna"}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		vars[k] = v
	}
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "berth.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environment: environment()})
	if err != nil {
		t.Fatalf("Load without settings: %v", err)
	}
	got := fmt.Sprint(c.Listen, " ", c.Data, " ", c.Account, " ", c.Region, " ", c.MasterKeyFile, " ", c.Delivery, " ",
		c.LogFormat, " ", c.LogLevel, " ", c.ShutdownTimeout, " ", c.PublicURL("5080"), " ", c.DatabaseFile(), " ", c.BlobDirectory())
	want := "localhost:5080 /home/anna/.local/share/berth 123456789012 us-east-1 /home/anna/.local/share/berth/master.key proxy " +
		"text INFO 1m0s http://localhost:5080 /home/anna/.local/share/berth/berth.db /home/anna/.local/share/berth/blobs"
	if got != want {
		t.Errorf("Load without settings\n got %s\nwant %s", got, want)
	}
}

// TestPrecedence sets one setting in every subset of the sources: the highest that sets it wins.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "region: from-file\n")
	for mask := range 8 {
		s := config.Sources{Flags: map[string]string{}}
		want := "us-east-1"
		var env []string
		if mask&1 != 0 {
			s.Flags["config"] = file
			want = "from-file"
		}
		if mask&2 != 0 {
			env = append(env, "BERTH_REGION=from-environment")
			want = "from-environment"
		}
		if mask&4 != 0 {
			s.Flags["region"] = "from-flag"
			want = "from-flag"
		}
		s.Environment = environment(env...)
		c, err := config.Load(s)
		if err != nil || c.Region != want {
			t.Errorf("file, environment, flag = %03b: region %q, %v, want %q", mask, c.Region, err, want)
		}
	}
}

func TestFileIsNamedByFlagBeforeEnvironment(t *testing.T) {
	t.Parallel()
	one, two := write(t, "region: one\n"), write(t, "region: two\n")
	s := config.Sources{Environment: environment("BERTH_CONFIG=" + one)}
	if c, err := config.Load(s); err != nil || c.Region != "one" {
		t.Errorf("BERTH_CONFIG: region %q, %v, want one", c.Region, err)
	}
	s.Flags = map[string]string{"config": two}
	if c, err := config.Load(s); err != nil || c.Region != "two" {
		t.Errorf("--config beside BERTH_CONFIG: region %q, %v, want two", c.Region, err)
	}
}

// TestEveryOptionHasEveryWay sets each option by each of its ways and sees it arrive.
func TestEveryOptionHasEveryWay(t *testing.T) {
	t.Parallel()
	// Values that differ from the defaults, with what else has to be set for them to make sense.
	values := map[string]struct{ value, with string }{
		"listen": {"127.0.0.1:1", ""}, "data": {"/elsewhere", ""}, "account-id": {"000000000001", ""}, "region": {"eu-west-1", ""},
		"hostname": {"registry.example.com", ""}, "tls-cert": {"/c.pem", "BERTH_TLS_KEY=/k.pem"}, "tls-key": {"/k.pem", "BERTH_TLS_CERT=/c.pem"},
		"trusted-proxies": {"10.0.0.0/8", ""},
		"database":        {"postgres://db/berth", ""}, "blobs": {"s3://bucket/p", ""}, "s3-endpoint": {"http://s3:1", "BERTH_BLOBS=s3://bucket"},
		"s3-public-endpoint": {"https://s3.example.com", "BERTH_BLOBS=s3://bucket"},
		"s3-region":          {"eu-west-2", "BERTH_BLOBS=s3://bucket"}, "s3-path-style": {"true", "BERTH_BLOBS=s3://bucket"},
		"s3-access-key-id":     {"id", "BERTH_BLOBS=s3://bucket BERTH_S3_SECRET_ACCESS_KEY=s"},
		"s3-secret-access-key": {"s", "BERTH_BLOBS=s3://bucket BERTH_S3_ACCESS_KEY_ID=id"},
		"blob-delivery":        {"proxy", "BERTH_BLOBS=s3://bucket"}, "create-on-push": {"true", ""}, "master-key-file": {"/key", ""},
		"master-key": {strings.Repeat("ab", 32), ""}, "log-format": {"json", ""}, "log-level": {"debug", ""}, "shutdown-timeout": {"5s", ""},
		"trash-window": {"0", ""}, "gc-grace": {"2h", ""}, "upload-ttl": {"1h", ""}, "pinned-deployments": {"0", ""}, "gc-rate": {"5", ""},
		"scrub-period": {"24h", ""}, "scrub-rate": {"5MiB", ""},
		"usage-keep-minutes": {"2h", ""}, "usage-keep-hours": {"20000h", ""}, "usage-keep-days": {"50000h", ""},
		"events-keep": {"24h", ""}, "events-most": {"5000", ""},
		"scan-workers": {"4", ""}, "scan-daily-limit": {"true", ""},
		"advisories": {"osv", ""}, "advisories-every": {"2h", ""}, "advisories-ecosystems": {"Debian, npm", ""},
	}
	for _, o := range config.Options() {
		if o.Name == "config" {
			continue
		}
		v, ok := values[o.Name]
		if !ok {
			t.Errorf("option %s has no example in this test", o.Name)
			continue
		}
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			with := strings.Fields(v.with)
			plain := config.Sources{Environment: environment(with...)}
			before, _ := config.Load(plain) // may be invalid: half a pair
			ways := map[string]config.Sources{"environment": {Environment: environment(append(with, o.Env()+"="+v.value)...)}}
			if !o.Secret {
				ways["flag"] = config.Sources{Environment: environment(with...), Flags: map[string]string{o.Name: v.value}}
			}
			if !o.NoFile {
				file := write(t, fmt.Sprintf("%s: %q\n", o.Name, v.value))
				ways["file"] = config.Sources{Environment: environment(append(with, "BERTH_CONFIG="+file)...)}
			}
			for way, s := range ways {
				c, err := config.Load(s)
				if err != nil {
					t.Errorf("%s by %s: %v", o.Name, way, err)
				}
				c.File = ""
				if fields(c) == fields(before) {
					t.Errorf("%s=%s by %s changes nothing", o.Name, v.value, way)
				}
			}
		})
	}
}

// fields prints the exported fields, which is what the rest of Berth sees.
func fields(c config.Config) string {
	return fmt.Sprint(c.Listen, c.Data, c.File, c.Account, c.Region, c.Hostname, c.TLSCert, c.TLSKey, c.Database, c.Blobs, c.S3, c.TrustedProxies,
		c.Delivery, c.CreateOnPush, c.MasterKey, c.MasterKeyFile, c.LogFormat, c.LogLevel, c.ShutdownTimeout, c.TrashWindow, c.GCGrace, c.UploadTTL, c.PinnedDeployments, c.GCRate, c.ScrubPeriod, c.ScrubRate,
		c.Advisories, c.AdvisoriesEvery, c.AdvisoriesEcosystems, c.ScanWorkers, c.ScanDailyLimit, c.UsageKeepMinutes, c.UsageKeepHours, c.UsageKeepDays, c.EventsKeep, c.EventsMost)
}

func TestSecretsHaveNoFlag(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Sources{Environment: environment(), Flags: map[string]string{"master-key": strings.Repeat("ab", 32)}})
	if err == nil || !strings.Contains(err.Error(), "flag --master-key: no such setting") {
		t.Errorf("Load with --master-key: %v, want it refused", err)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ env, want string }{
		{"BERTH_LISTEN=5080", `BERTH_LISTEN: "5080" is not host:port`},
		{"BERTH_USAGE_KEEP_MINUTES=5m", `BERTH_USAGE_KEEP_MINUTES: "5m" is not a duration of at least an hour`},
		{"BERTH_USAGE_KEEP_HOURS=48h", `48h0m0s is shorter than usage-keep-minutes, 360h0m0s`},
		{"BERTH_USAGE_KEEP_DAYS=360h", `360h0m0s is shorter than usage-keep-hours, 10920h0m0s`},
		{"BERTH_LISTEN=localhost:65536", `BERTH_LISTEN: "localhost:65536" is not host:port`},
		{"BERTH_LISTEN=a b:1", `BERTH_LISTEN: "a b:1" is not host:port`},
		{"BERTH_ACCOUNT_ID=12345678901", `BERTH_ACCOUNT_ID: "12345678901" is not an account id of 12 digits`},
		{"BERTH_REGION=US East", `BERTH_REGION: "US East" is not a region`},
		{"BERTH_HOSTNAME=berth", "docker reads berth/… as a Docker Hub name"},
		{"BERTH_HOSTNAME=Registry.example.com", "is not a host name (lower case, without a path)"},
		{"BERTH_HOSTNAME=registry.example.com/path", "is not a host name"},
		{"BERTH_HOSTNAME=ftp://registry.example.com", "scheme other than http and https"},
		{"BERTH_HOSTNAME=registry.example.com:0", "has no valid port"},
		{"BERTH_HOSTNAME=::1", "an IPv6 address stands in brackets"},
		{"BERTH_TLS_CERT=/c.pem", "BERTH_TLS_CERT: TLS needs a certificate and its key: set tls-key too"},
		{"BERTH_TLS_KEY=/k.pem", "BERTH_TLS_KEY: TLS needs a certificate and its key: set tls-cert too"},
		{"BERTH_TRUSTED_PROXIES=10.0.0.0/8,proxy", `BERTH_TRUSTED_PROXIES: "proxy" is neither an address nor a network`},
		{"BERTH_TRUSTED_PROXIES=10.0.0.0/33", `"10.0.0.0/33" is neither`},
		{"BERTH_DATABASE=mysql://root:hunter2@db/berth", "BERTH_DATABASE: not a URL such as postgres://"},
		{"BERTH_BLOBS=/srv/blobs", `BERTH_BLOBS: "/srv/blobs" is not s3://bucket/prefix`},
		{"BERTH_BLOBS=s3://B", `"s3://B" is not s3://bucket/prefix`},
		{"BERTH_S3_ENDPOINT=http://s3:1", "BERTH_S3_ENDPOINT: has no effect without a bucket"},
		{"BERTH_BLOBS=s3://bucket BERTH_S3_ENDPOINT=s3:1", `BERTH_S3_ENDPOINT: "s3:1" is not a URL`},
		{"BERTH_S3_PUBLIC_ENDPOINT=http://s3:1", "BERTH_S3_PUBLIC_ENDPOINT: has no effect without a bucket"},
		{"BERTH_BLOBS=s3://bucket BERTH_S3_PUBLIC_ENDPOINT=s3", `BERTH_S3_PUBLIC_ENDPOINT: "s3" is not a URL`},
		{
			"BERTH_BLOBS=s3://bucket BERTH_S3_PUBLIC_ENDPOINT=http://s3:1 BERTH_BLOB_DELIVERY=proxy",
			"BERTH_S3_PUBLIC_ENDPOINT: has no effect where blob-delivery is proxy",
		},
		{"BERTH_BLOBS=s3://bucket BERTH_S3_ACCESS_KEY_ID=id", "come together"},
		{"BERTH_BLOB_DELIVERY=redirect", "BERTH_BLOB_DELIVERY: redirect needs a bucket"},
		{"BERTH_BLOB_DELIVERY=pigeon", `BERTH_BLOB_DELIVERY: "pigeon" is not one of redirect, proxy`},
		{"BERTH_MASTER_KEY=hunter2", "BERTH_MASTER_KEY: the master key is 64 hexadecimal digits"},
		{"BERTH_MASTER_KEY=" + strings.Repeat("ab", 32) + ",hunter2", "BERTH_MASTER_KEY: the master key is 64 hexadecimal digits"},
		{"BERTH_MASTER_KEY=" + strings.Repeat("ab", 32) + ",", "BERTH_MASTER_KEY: the master key is 64 hexadecimal digits"},
		{"BERTH_MASTER_KEY_FILE=/k BERTH_MASTER_KEY=" + strings.Repeat("ab", 32), "BERTH_MASTER_KEY_FILE: has no effect beside BERTH_MASTER_KEY"},
		{"BERTH_LOG_FORMAT=xml", `BERTH_LOG_FORMAT: "xml" is not one of text, json`},
		{"BERTH_LOG_LEVEL=info+1", `BERTH_LOG_LEVEL: "info+1" is not a log level`},
		{"BERTH_SHUTDOWN_TIMEOUT=60", `BERTH_SHUTDOWN_TIMEOUT: "60" is not a positive duration`},
		{"BERTH_PINNED_DEPLOYMENTS=101", `BERTH_PINNED_DEPLOYMENTS: "101" is not a number from 0 to 100`},
		{"BERTH_PINNED_DEPLOYMENTS=-1", `"-1" is not a number from 0 to 100`},
		{"BERTH_S3_PATH_STYLE=maybe", `BERTH_S3_PATH_STYLE: "maybe" is neither true nor false`},
		{"BERTH_CONFIG=/does/not/exist.yaml", "BERTH_CONFIG: open /does/not/exist.yaml"},
	} {
		var pairs []string
		for pair := range strings.SplitSeq(test.env, " BERTH_") {
			pairs = append(pairs, "BERTH_"+strings.TrimPrefix(pair, "BERTH_"))
		}
		_, err := config.Load(config.Sources{Environment: environment(pairs...)})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Load with %s\n got %v\nwant %s", test.env, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Load with %s repeats a secret: %v", test.env, err)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Sources{Environment: environment("BERTH_REGION=X", "BERTH_LISTEN=x"), Flags: map[string]string{"account-id": "1"}})
	for _, want := range []string{"BERTH_REGION:", "BERTH_LISTEN:", "--account-id:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load with three bad settings: %v, want it to name %s", err, want)
		}
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ env, port, want string }{
		{"BERTH_LISTEN=localhost:0", "4711", "http://localhost:4711"},
		{"BERTH_LISTEN=:5080", "5080", "http://localhost:5080"},
		{"BERTH_LISTEN=0.0.0.0:5080", "5080", "http://localhost:5080"},
		{"BERTH_LISTEN=[::]:5080", "5080", "http://localhost:5080"},
		{"BERTH_LISTEN=[::1]:5080", "5080", "http://[::1]:5080"},
		{"BERTH_LISTEN=10.0.0.1:443 BERTH_TLS_CERT=/c BERTH_TLS_KEY=/k", "443", "https://10.0.0.1:443"},
		{"BERTH_HOSTNAME=registry.example.com", "5080", "http://registry.example.com"},
		{"BERTH_HOSTNAME=registry.example.com:8080 BERTH_TLS_CERT=/c BERTH_TLS_KEY=/k", "5080", "https://registry.example.com:8080"},
		{"BERTH_HOSTNAME=https://registry.example.com/", "5080", "https://registry.example.com"},
		{"BERTH_HOSTNAME=[fd00::1]:5080", "5080", "http://[fd00::1]:5080"},
		{"BERTH_HOSTNAME=berth:5080", "5080", "http://berth:5080"},
	} {
		c, err := config.Load(config.Sources{Environment: environment(strings.Fields(test.env)...)})
		if err != nil {
			t.Errorf("Load with %s: %v", test.env, err)
		} else if got := c.PublicURL(test.port).String(); got != test.want {
			t.Errorf("PublicURL with %s = %s, want %s", test.env, got, test.want)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Sources{Environment: environment("BERTH_BLOBS=s3://images/a/b/", "BERTH_REGION=eu-west-1")})
	if err != nil {
		t.Fatal(err)
	}
	if want := (config.S3{Bucket: "images", Prefix: "a/b", Region: "eu-west-1"}); c.S3 != want || c.Delivery != config.Redirect {
		t.Errorf("s3://images/a/b/ gives %+v and delivery %s, want %+v and redirect", c.S3, c.Delivery, want)
	}
}

// TestDelivery sends clients to a bucket only where they can be expected to reach it.
func TestDelivery(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env  string
		want config.Delivery
	}{
		{"", config.Proxy},
		{"BERTH_BLOBS=s3://images", config.Redirect},
		{"BERTH_BLOBS=s3://images BERTH_S3_ENDPOINT=http://minio:9000", config.Proxy},
		{"BERTH_BLOBS=s3://images BERTH_S3_ENDPOINT=http://minio:9000 BERTH_BLOB_DELIVERY=redirect", config.Redirect},
		{"BERTH_BLOBS=s3://images BERTH_S3_ENDPOINT=http://minio:9000 BERTH_S3_PUBLIC_ENDPOINT=https://s3.example.com", config.Redirect},
		{"BERTH_BLOBS=s3://images BERTH_BLOB_DELIVERY=proxy", config.Proxy},
	} {
		c, err := config.Load(config.Sources{Environment: environment(strings.Fields(test.env)...)})
		if err != nil || c.Delivery != test.want {
			t.Errorf("Load with %s: delivery %s, %v, want %s", test.env, c.Delivery, err, test.want)
		}
	}
}

func TestDataDirectory(t *testing.T) {
	t.Parallel()
	nothing := func(string) (string, bool) { return "", false }
	if dir, err := config.LoadData(config.Sources{Environment: nothing}); err == nil {
		t.Errorf("LoadData without a home gives %s, want an error", dir)
	}
	for _, test := range []struct{ env, want string }{
		{"XDG_DATA_HOME=/xdg", "/xdg/berth"},
		{"XDG_DATA_HOME=relative", "/home/anna/.local/share/berth"},
		{"BERTH_DATA=/var/lib/berth", "/var/lib/berth"},
		{"BERTH_DATA=", "/home/anna/.local/share/berth"},
		// A server's other settings do not matter here, not even bad ones.
		{"BERTH_LISTEN=nonsense", "/home/anna/.local/share/berth"},
	} {
		dir, err := config.LoadData(config.Sources{Environment: environment(test.env)})
		if err != nil || dir != test.want {
			t.Errorf("LoadData with %s = %q, %v, want %q", test.env, dir, err, test.want)
		}
	}
}

func TestEnvironmentNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range config.Options() {
		if seen[o.Name] {
			t.Errorf("option %s is there twice", o.Name)
		}
		seen[o.Name] = true
		if o.Usage == "" || o.DefaultText() == "" {
			t.Errorf("option %s lacks usage or default", o.Name)
		}
		if want := "BERTH_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_")); o.Env() != want {
			t.Errorf("option %s has the variable %s, want %s", o.Name, o.Env(), want)
		}
	}
}
