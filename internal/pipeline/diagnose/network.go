package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// way is how a server is reached: straight, or through a proxy.
type way struct {
	proxy      *url.URL // nil: none
	host, port string   // that a connection is made to
}

// wayTo goes by the environment, as the AWS SDK and docker do.
func wayTo(at *url.URL) (way, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: at})
	if err != nil {
		return way{}, err //nolint:wrapcheck // the caller words it
	}
	w := way{proxy, at.Hostname(), portOf(at)}
	if proxy != nil {
		w.host, w.port = proxy.Hostname(), portOf(proxy)
	}
	return w, nil
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	case strings.HasPrefix(u.Scheme, "socks5"):
		return "1080"
	default:
		return "80"
	}
}

func (w way) String() string { return net.JoinHostPort(w.host, w.port) }

// dns looks up the server's name, or the proxy's, which looks up the server's by itself.
func dns(ctx context.Context, e *Env) Result {
	w, err := wayTo(e.at)
	if err != nil {
		return fail("unset HTTPS_PROXY HTTP_PROXY", "HTTPS_PROXY or HTTP_PROXY names no proxy such as http://proxy.example.com:3128")
	}
	e.way = w
	whose := "the server's name"
	if w.proxy != nil {
		whose = "HTTPS_PROXY or HTTP_PROXY leads through the proxy " + w.proxy.Redacted() + ", whose name"
	}
	if net.ParseIP(w.host) != nil {
		return ok("%s is an address, %s", whose, w.host)
	}
	all, err := net.DefaultResolver.LookupHost(ctx, w.host)
	if err != nil {
		why := sentence(err)
		if no, asked := errors.AsType[*net.DNSError](err); asked && no.IsNotFound {
			why = "no such host"
		}
		return fail("getent hosts "+quote(w.host), "%s, %s, leads nowhere: %s", whose, w.host, why)
	}
	return ok("%s, %s, is known: %s", whose, w.host, strings.Join(all, ", "))
}

// connection makes one.
func connection(ctx context.Context, e *Env) Result {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.way.String())
	switch {
	case err != nil && e.way.proxy != nil:
		return fail("export NO_PROXY="+quote(e.at.Hostname())+" # or set HTTPS_PROXY right", "the proxy is not reached: %s", unreachable(err, e.way.String()))
	case err != nil:
		return fail(e.serveFix(e.way.host), "%s", unreachable(err, e.way.String()))
	}
	_ = conn.Close()
	if e.way.proxy != nil {
		return ok("the proxy at %s is reached", e.way)
	}
	return ok("%s is reached", conn.RemoteAddr())
}

// serveFix is what to type where nothing listens.
func (e *Env) serveFix(host string) string {
	if e.way.proxy == nil && registry.IsLoopback(host) {
		return e.Self + " serve"
	}
	return "curl -v " + quote(e.at.Redacted())
}

func unreachable(err error, where string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + where
	case errors.Is(err, context.DeadlineExceeded):
		return where + " does not answer: a firewall, or another network"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to " + where + " from this network"
	default:
		return where + " cannot be reached: " + sentence(err)
	}
}

// answer is what a server says to somebody without a name.
type answer struct {
	tls   *tls.ConnectionState // nil: plain HTTP
	date  time.Time            // by its clock; zero if it does not say
	asked time.Time            // by ours
	text  string               // the beginning of the body
}

// look asks for the server's root without a login, and with any certificate: that is judged afterwards.
func look(ctx context.Context, e *Env, at *url.URL) (answer, error) {
	var a answer
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
		// Nothing secret is sent, and a certificate that is not good is what this is about.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
			a.tls = &s
			return nil
		}},
	}
	defer transport.CloseIdleConnections()
	clean := url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, clean.String(), http.NoBody)
	if err != nil {
		return a, err //nolint:wrapcheck // the caller words it
	}
	begun := e.Now()
	res, err := transport.RoundTrip(req) // no redirect is followed
	if err != nil {
		return a, err //nolint:wrapcheck // the caller words it
	}
	defer res.Body.Close()
	a.asked = begun.Add(e.Now().Sub(begun) / 2)
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		a.date = at
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	a.text = string(text)
	return a, err //nolint:wrapcheck // the caller words it
}

// tlsOfEndpoint looks at the certificate.
func tlsOfEndpoint(ctx context.Context, e *Env) Result {
	a, err := look(ctx, e, e.at)
	e.answer = a
	where := e.at.Host
	plain := "export AWS_ENDPOINT_URL=http://" + where
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case noTLS:
		return fail(plain, "%s speaks plain HTTP, and is asked for https", where)
	case err != nil && e.way.proxy != nil:
		return fail("export NO_PROXY="+quote(e.at.Hostname()), "the proxy %s does not lead to %s: %s", e.way.proxy.Redacted(), where, sentence(err))
	case err != nil:
		return fail(e.serveFix(e.at.Hostname()), "%s does not answer: %s", where, sentence(err))
	case a.tls == nil && strings.Contains(a.text, "HTTP request to an HTTPS server"):
		return fail("export AWS_ENDPOINT_URL=https://"+where, "%s speaks TLS, and is asked for plain HTTP", where)
	case a.tls == nil && !registry.IsLoopback(e.at.Hostname()):
		return warn("", "%s is used without TLS: who listens on the way can use the token", where)
	case a.tls == nil:
		return ok("%s is this machine, and is used without TLS", where)
	}
	return e.judge(a, where)
}

// judge says of a certificate what it is worth.
func (e *Env) judge(a answer, where string) Result {
	verdict := judge(a.tls.PeerCertificates, e.at.Hostname(), e.roots(), a.asked)
	switch {
	case verdict.kind == untimely && !a.date.IsZero() && judge(a.tls.PeerCertificates, e.at.Hostname(), e.roots(), a.date).kind != untimely:
		return fail("date --utc", "%s; by the server's clock, which says %s, it is in its time: this machine's clock is wrong", verdict.message, a.date.UTC().Format(time.RFC3339))
	case verdict.kind == stranger509:
		return fail("export AWS_CA_BUNDLE=/path/to/ca.pem", "%s", verdict.message)
	case verdict.kind != good:
		return fail("openssl s_client -connect "+net.JoinHostPort(e.at.Hostname(), portOf(e.at))+" -servername "+e.at.Hostname(), "%s", verdict.message)
	case e.roots() != nil && judge(a.tls.PeerCertificates, e.at.Hostname(), nil, a.asked).kind != good:
		return warn("export SSL_CERT_FILE="+quote(e.get("AWS_CA_BUNDLE")), "AWS_CA_BUNDLE vouches for the certificate of %s, and the system does not, by which docker and pushes go", where)
	}
	if left := verdict.until.Sub(a.asked); left < 14*24*time.Hour {
		return warn("", "the certificate of %s is good, and ends soon, at %s", where, verdict.until.UTC().Format(time.RFC3339))
	}
	return ok("the certificate of %s is good until %s", where, verdict.until.UTC().Format(time.DateOnly))
}

// roots are the authorities that AWS clients go by; nil for the system's.
func (e *Env) roots() *x509.CertPool {
	client, isSDKs := e.aws.HTTPClient.(*awshttp.BuildableClient)
	if !isSDKs {
		return nil
	}
	if config := client.GetTransport().TLSClientConfig; config != nil {
		return config.RootCAs
	}
	return nil
}

// maxSkew is how far a signed request's time may be from the server's, at Amazon and at Berth.
const maxSkew = 5 * time.Minute

// clock compares the server's with ours.
func clock(_ context.Context, e *Env) Result {
	a := e.answer
	if a.date.IsZero() {
		return unseen("the server does not say what time it is").open()
	}
	skew := a.date.Add(500 * time.Millisecond).Sub(a.asked) // the header has whole seconds
	how := "behind"
	if skew < 0 {
		how = "ahead of"
	}
	switch size := skew.Abs().Round(time.Second); {
	case size >= maxSkew:
		return fail("sudo timedatectl set-ntp true", "this machine's clock is %s %s the server's, and signed requests are refused from %s on", size, how, maxSkew)
	case size >= 30*time.Second:
		return warn("sudo timedatectl set-ntp true", "this machine's clock is %s %s the server's; signed requests are refused from %s on", size, how, maxSkew)
	default:
		return ok("this machine's clock agrees with the server's")
	}
}
