package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// registryAnswers asks the registry with the token, as docker would.
func registryAnswers(ctx context.Context, e *Env) Result {
	at := e.registry
	switch {
	case registry.IsLoopback(e.at.Hostname()) && registry.IsAmazons(at.Hostname()):
		return unseen("the server is a stand-in for Amazon's API, and its registry is Amazon's name")
	case at.Scheme == "http" && !registry.IsLoopback(at.Hostname()) && e.at.Scheme != "http":
		return fail(e.Self+" serve --hostname "+quote(e.at.Host), "the server is asked over TLS and names %s as its registry, without: the token is not sent there", at.Redacted())
	}
	status, err := knock(ctx, at, e.found.token.Username, e.found.token.Secret)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	_, wrong := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case unknown:
		return fail("export SSL_CERT_FILE=/path/to/ca.pem", "nobody whom the system trusts vouches for the certificate of the registry %s", at.Host)
	case misnamed, wrong:
		return fail("openssl s_client -connect "+at.Hostname()+":"+portOf(at), "the certificate of the registry %s is not good: %s", at.Host, sentence(err))
	case err != nil && !strings.EqualFold(at.Host, e.at.Host):
		return fail(e.Self+" serve --hostname "+quote(e.at.Host), "the server at %s names %s as its registry, and that does not answer: %s", e.at.Host, at.Host, unreachable(err, at.Host))
	case err != nil:
		return fail("curl -v "+quote(at.Scheme+"://"+at.Host+"/v2/"), "the registry does not answer: %s", unreachable(err, at.Host))
	}
	switch status {
	case http.StatusOK:
		return ok("%s://%s/v2/ takes the token", at.Scheme, at.Host)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fail("", "the registry %s does not take the token that the server gave for it: it answers %d", at.Host, status)
	default:
		return fail("curl -v "+quote(at.Scheme+"://"+at.Host+"/v2/"), "%s is no registry: it answers %d to /v2/", at.Host, status)
	}
}

// knock asks a registry whether a login is good, and gives the status.
func knock(ctx context.Context, at *url.URL, user, secret string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Scheme+"://"+at.Host+"/v2/", http.NoBody)
	if err != nil {
		return 0, err //nolint:wrapcheck // the caller words it
	}
	req.SetBasicAuth(user, secret)
	req.Header.Set("User-Agent", "berth")
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	res, err := transport.RoundTrip(req) // no redirect is followed: the login is for this host
	if err != nil {
		return 0, err //nolint:wrapcheck // the caller words it
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16)) // it is the status that counts
	return res.StatusCode, nil
}
