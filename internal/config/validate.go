package config

import (
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

var (
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	// A region becomes part of ARNs and of what signatures cover: a host label, as all of AWS's are.
	regionPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	labelPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// masterKeyBytes is the size of an AES-256 key.
const masterKeyBytes = 32

// validate reports everything that is wrong, and splits what is compound.
func (c *Config) validate() error {
	return errors.Join(c.validateAddress(), c.validateIdentity(), c.validateDatabase(), c.validateBlobs(), c.validateUsage())
}

func (c *Config) validateAddress() error {
	var problems []error
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || !validPort(port, 0) || (host != "" && !validHost(host)) {
		problems = append(problems, c.problem("listen", "%q is not host:port such as localhost:5080 or 0.0.0.0:443", c.Listen))
	}
	if c.Hostname != "" {
		problems = append(problems, c.validateHostname())
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		set, missing := "tls-cert", "tls-key"
		if c.TLSCert == "" {
			set, missing = missing, set
		}
		problems = append(problems, c.problem(set, "TLS needs a certificate and its key: set %s too", missing))
	}
	return errors.Join(problems...)
}

func (c *Config) validateHostname() error {
	scheme, authority := splitScheme(c.Hostname)
	if scheme != "" && scheme != "http" && scheme != "https" {
		return c.problem("hostname", "%q has a scheme other than http and https", c.Hostname)
	}
	host, port := authority, ""
	if h, p, err := net.SplitHostPort(authority); err == nil {
		host, port = h, p
		if !validPort(port, 1) {
			return c.problem("hostname", "%q has no valid port", c.Hostname)
		}
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	} else if strings.Contains(host, ":") {
		return c.problem("hostname", "%q is not host[:port]; an IPv6 address stands in brackets", c.Hostname)
	}
	if !validHost(host) {
		return c.problem("hostname", "%q is not a host name (lower case, without a path) or address", c.Hostname)
	}
	if host != "localhost" && port == "" && !strings.ContainsAny(host, ".:") {
		// docker takes the first part of a reference for a host only if it has a dot or a port.
		return c.problem("hostname", "docker reads %s/… as a Docker Hub name: add a port or a domain", host)
	}
	return nil
}

func (c *Config) validateIdentity() error {
	var problems []error
	if !accountPattern.MatchString(c.Account) {
		problems = append(problems, c.problem("account-id", "%q is not an account id of 12 digits", c.Account))
	}
	if !regionPattern.MatchString(c.Region) {
		problems = append(problems, c.problem("region", "%q is not a region such as us-east-1", c.Region))
	}
	if c.MasterKey != "" {
		for text := range strings.SplitSeq(c.MasterKey, ",") {
			if key, err := hex.DecodeString(strings.TrimSpace(text)); err != nil || len(key) != masterKeyBytes {
				problems = append(problems, c.problem("master-key", "the master key is 64 hexadecimal digits, or several with commas between; make one with: openssl rand -hex 32"))
				break
			}
		}
		if c.given("master-key-file") {
			problems = append(problems, c.problem("master-key-file", "has no effect beside BERTH_MASTER_KEY: set one of them"))
		}
	}
	return errors.Join(problems...)
}

func (c *Config) validateDatabase() error {
	if c.Database == "" {
		return nil
	}
	// The URL may hold a password, so no message repeats it.
	u, err := url.Parse(c.Database)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return c.problem("database", "not a URL such as postgres://berth@db.example.com/berth; leave it out for SQLite")
	}
	return nil
}

func (c *Config) validateBlobs() error {
	if c.Blobs == "" {
		var problems []error
		for _, o := range storageOptions() {
			if strings.HasPrefix(o.Name, "s3-") && c.given(o.Name) {
				problems = append(problems, c.problem(o.Name, "has no effect without a bucket: set blobs to s3://bucket/prefix"))
			}
		}
		if c.Delivery == Redirect {
			problems = append(problems, c.problem("blob-delivery", "redirect needs a bucket: set blobs to s3://bucket/prefix, or delivery to proxy"))
		}
		return errors.Join(problems...)
	}
	var problems []error
	u, err := url.Parse(c.Blobs)
	if err != nil || u.Scheme != "s3" || !bucketPattern.MatchString(u.Host) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		problems = append(problems, c.problem("blobs", "%q is not s3://bucket/prefix; leave it out for a directory", c.Blobs))
	} else {
		c.S3.Bucket, c.S3.Prefix = u.Host, strings.Trim(u.Path, "/")
	}
	for name, endpoint := range map[string]string{"s3-endpoint": c.S3.Endpoint, "s3-public-endpoint": c.S3.PublicEndpoint} {
		if endpoint != "" && !validEndpoint(endpoint) {
			problems = append(problems, c.problem(name, "%q is not a URL such as https://s3.example.com", endpoint))
		}
	}
	if c.S3.PublicEndpoint != "" && c.Delivery == Proxy {
		problems = append(problems, c.problem("s3-public-endpoint", "has no effect where blob-delivery is proxy: leave one of them out"))
	}
	if (c.S3.AccessKeyID == "") != (c.S3.SecretAccessKey == "") {
		problems = append(problems, errors.New("s3-access-key-id and s3-secret-access-key come together: set both, or neither for the AWS SDK's own chain"))
	}
	if c.S3.Region == "" {
		c.S3.Region = c.Region
	}
	return errors.Join(problems...)
}

func validEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// splitScheme parts "https://host:port" from a plain host:port, dropping one slash at the end.
func splitScheme(s string) (scheme, authority string) {
	scheme, authority, ok := strings.Cut(s, "://")
	if !ok {
		return "", s
	}
	return strings.ToLower(scheme), strings.TrimSuffix(authority, "/")
}

// listenHost is how to reach a listen address from the same machine.
func listenHost(listen, port string) string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		host = "localhost"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

func validPort(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= least && n <= 65535 && strconv.Itoa(n) == s
}

func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if !labelPattern.MatchString(label) {
			return false
		}
	}
	return len(host) <= 253
}
