package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$&'*+.^_|~-]+$")
	headerValue = regexp.MustCompile("^[\t\x20-\x7e]*$")
)

// Telemetry is what Berth tells of itself, and to whom.
type Telemetry struct {
	OpsListen    string            // host:port, or empty: there is no listener of its own
	Repositories int               // that are named in metrics
	OTLP         string            // URL that spans are posted to, or empty
	OTLPHeaders  map[string]string // of these requests
	TraceRatio   float64           // 0 to 1
}

// maxNamedRepositories bounds how many series Prometheus has for repositories.
const maxNamedRepositories = 10_000

// tracesPath is where collectors take spans, below the endpoint.
const tracesPath = "/v1/traces"

// telemetryOptions says who is told of how Berth is.
func telemetryOptions() []Option {
	return []Option{
		{
			Name: "ops-listen", Computed: "none",
			Usage: "address for metrics, profiles and health alone, host:port; whoever reaches it needs no credentials, so keep it to localhost or a private network",
			set:   text(func(c *Config) *string { return &c.Telemetry.OpsListen }),
		},
		{
			Name: "metrics-repositories", Default: "0",
			Usage: "how many repositories metrics count by their names; the others go together as \"other\"",
			set: func(c *Config, v string) error {
				n, err := strconv.Atoi(v)
				if err != nil || n < 0 || n > maxNamedRepositories {
					return fmt.Errorf("%q is not a number from 0 to %d", v, maxNamedRepositories)
				}
				c.Telemetry.Repositories = n
				return nil
			},
		},
		{
			Name: "otlp-endpoint", Computed: "none: there are no traces",
			Usage: "URL of an OpenTelemetry collector that takes OTLP over HTTP, such as http://localhost:4318; spans go to " + tracesPath + " below it",
			set: func(c *Config, v string) error {
				u, err := url.Parse(v)
				if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
					return errors.New("not a URL such as http://localhost:4318; credentials go into otlp-headers")
				}
				if !strings.HasSuffix(u.Path, tracesPath) {
					u = u.JoinPath(tracesPath)
				}
				c.Telemetry.OTLP = u.String()
				return nil
			},
		},
		{
			Name: "otlp-headers", Computed: "none", Secret: true,
			Usage: "headers for the collector, such as its credentials: name=value, separated by commas, values percent-encoded where they have any of %,=",
			set: func(c *Config, v string) (err error) {
				c.Telemetry.OTLPHeaders, err = headers(v)
				return err
			},
		},
		{
			Name: "trace-ratio", Default: "1",
			Usage: "how much of what begins here is traced, from 0 to 1; requests with a W3C traceparent go by what that says",
			set: func(c *Config, v string) error {
				f, err := strconv.ParseFloat(v, 64)
				if err != nil || !(f >= 0 && f <= 1) {
					return fmt.Errorf("%q is not a number from 0 to 1", v)
				}
				c.Telemetry.TraceRatio = f
				return nil
			},
		},
	}
}

// headers reads names and values as OTEL_EXPORTER_OTLP_HEADERS has them. Its errors repeat no value.
func headers(v string) (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(v, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || err != nil || !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return nil, errors.New("not name=value, separated by commas")
		}
		all[name] = value
	}
	return all, nil
}

func (c *Config) validateTelemetry() error {
	var problems []error
	if c.Telemetry.OpsListen != "" {
		if host, port, err := net.SplitHostPort(c.Telemetry.OpsListen); err != nil || !validPort(port, 0) || (host != "" && !validHost(host)) {
			problems = append(problems, c.problem("ops-listen", "%q is not host:port such as localhost:5081", c.Telemetry.OpsListen))
		}
	}
	if c.Telemetry.OTLP == "" {
		for _, name := range []string{"otlp-headers", "trace-ratio"} {
			if c.given(name) {
				problems = append(problems, c.problem(name, "has no effect without a collector: set otlp-endpoint"))
			}
		}
	}
	return errors.Join(problems...)
}
