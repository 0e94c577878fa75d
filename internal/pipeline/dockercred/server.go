package dockercred

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// server is a registry as docker knows it.
type server struct {
	host string // lower case, an IPv6 address without brackets
	port string // empty: the usual one, of HTTPS or, where docker is told so, of HTTP
}

// parseServer reads host[:port], which may stand in a URL.
func parseServer(s string) (server, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "docker://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Hostname() == "" || !plainHost.MatchString(u.Hostname()) {
		return server{}, errors.New("docker names no registry")
	}
	at := server{strings.ToLower(u.Hostname()), u.Port()}
	if at.port == usualPorts[u.Scheme] {
		at.port = ""
	}
	return at, nil
}

var (
	plainHost  = regexp.MustCompile(`^[0-9A-Za-z._:-]+$`) // of names and addresses
	usualPorts = map[string]string{"https": "443", "http": "80"}
	// amazonName matches registries of Amazon's: everything that it has as a suffix is Amazon's own domain.
	amazonName = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9][a-z0-9-]*)\.` +
		`(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)
)

// String gives host[:port].
func (s server) String() string {
	if s.port == "" && strings.Contains(s.host, ":") {
		return "[" + s.host + "]"
	}
	if s.port == "" {
		return s.host
	}
	return net.JoinHostPort(s.host, s.port)
}

// amazon tells whether the registry is Amazon's, and where.
func (s server) amazon() (region string, fips, ok bool) {
	m := amazonName.FindStringSubmatch(s.host)
	if m == nil || (s.port != "" && s.port != "443") {
		return "", false, false
	}
	return m[2], m[1] != "", true
}

// endpoint is the URL at which docker itself would look for the registry. Docker takes plain HTTP from this
// machine only, unless its daemon is told otherwise.
func (s server) endpoint() string {
	scheme := "https"
	if ip := net.ParseIP(s.host); s.host == "localhost" || (ip != nil && ip.IsLoopback()) {
		scheme = "http"
	}
	return scheme + "://" + s.String()
}

// isAt tells whether the registry is the one at a URL.
func (s server) isAt(at string) bool {
	u, err := url.Parse(at)
	if err != nil || !strings.EqualFold(u.Hostname(), s.host) {
		return false
	}
	port := u.Port()
	if port == "" {
		port = usualPorts[u.Scheme]
	}
	if s.port == "" { // docker tries HTTPS, then, where it may, HTTP
		return port != "" && port == usualPorts[u.Scheme]
	}
	return port == s.port
}
