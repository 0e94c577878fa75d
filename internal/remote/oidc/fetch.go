package oidc

import (
	"context"
	"crypto/sha1" //nolint:gosec // thumbprints are SHA-1 at AWS; what is trusted by one is chosen by who owns the account
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

const (
	wellKnown    = "/.well-known/openid-configuration"
	maxDocument  = 1 << 20
	maxRedirects = 5
	// maxChain bounds how many certificates of a chain are looked at.
	maxChain = 10
)

// fetchKeys asks an issuer for its keys. Messages of its faults say which step failed; what a connection met is in the
// cause, for the log: callers who are nobody yet are not told what is at which address.
func (v *Verifier) fetchKeys(ctx context.Context, issuer string, t trust) ([]jose.JSONWebKey, error) {
	text, _, err := v.fetchKeySet(ctx, issuer, t)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, unavailable(err, "the keys of %s cannot be used (%v)", issuer, err)
	}
	return keys, nil
}

// fetchKeySet gives the key set of an issuer as it came, and the certificates of the server it came from.
func (v *Verifier) fetchKeySet(ctx context.Context, issuer string, t trust) ([]byte, []*x509.Certificate, error) {
	private := v.allowPrivate(issuer)
	at, err := place(issuer, private)
	if err != nil || at.RawQuery != "" {
		return nil, nil, unavailable(err, "the issuer %s must be an https URL without a user, a query and a fragment", issuer)
	}
	refuse := v.refusal(issuer)
	at.Path, at.RawPath = strings.TrimSuffix(at.Path, "/")+wellKnown, ""
	text, _, err := get(ctx, at, refuse, t)
	if err != nil {
		return nil, nil, unavailable(err, "the discovery document %s could not be fetched", at)
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, nil, unavailable(err, "the discovery document %s is not one", at)
	}
	if document.Issuer != issuer {
		return nil, nil, unavailable(nil, "the discovery document of %s is of another issuer", issuer)
	}
	keysAt, err := place(document.Keys, private)
	if err != nil {
		return nil, nil, unavailable(err, "the jwks_uri of %s must be an https URL without a user and a fragment", issuer)
	}
	text, certificates, err := get(ctx, keysAt, refuse, t)
	if err != nil {
		return nil, nil, unavailable(err, "the keys of %s could not be fetched from its jwks_uri", issuer)
	}
	return text, certificates, nil
}

func unavailable(cause error, format string, args ...any) error {
	return fault.Wrap(fault.IdentityProviderUnavailable, cause, noKey+format, args...)
}

// place reads a URL that is asked. Plain http is for providers on this machine, where the operator allows them.
func place(text string, private bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("no URL")
	}
	if u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !private || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("%s is no place to ask for keys", u.Redacted())
	}
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// get fetches a small document. Redirects stay with their server.
func get(ctx context.Context, at *url.URL, refuse guard.Refusal, t trust) ([]byte, []*x509.Certificate, error) {
	client := http.Client{
		Transport: guard.Transport(refuse, func(transport *http.Transport) { transport.TLSClientConfig = t.tlsFor(at.Hostname()) }),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.URL.Scheme != at.Scheme || req.URL.Host != at.Host {
				return errors.New("a redirect to another server")
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}
	if t.wrap != nil {
		client.Transport = t.wrap(client.Transport)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("asking %s: %w", at, err)
	}
	req.Header.Set("User-Agent", "berth")
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // names the URL
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answered %d %s", at, res.StatusCode, http.StatusText(res.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = fmt.Errorf("more than %d bytes", maxDocument)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", at, err)
	}
	if res.TLS == nil {
		return body, nil, nil
	}
	return body, res.TLS.PeerCertificates, nil
}

// trust is what makes a server's certificate good.
type trust struct {
	roots       *x509.CertPool // nil: the system's
	thumbprints []string       // normal
	now         func() time.Time
	wrap        func(http.RoundTripper) http.RoundTripper // or nil
}

func (v *Verifier) trustOf(p Provider) trust {
	return trust{roots: v.roots, thumbprints: normal(p.Thumbprints), now: v.now, wrap: v.wrap}
}

// tlsFor verifies in its own way, which crypto/tls has no other hook for: see verify.
func (t trust) tlsFor(host string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection:   func(state tls.ConnectionState) error { return t.verify(host, state.PeerCertificates) },
	}
}

// verify takes a chain that leads to the roots, or else to one of its own certificates whose thumbprint is known. In both
// cases the server's certificate must be for the host, of its time, and signed on the way there.
func (t trust) verify(host string, chain []*x509.Certificate) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("%s presents %d certificates", host, len(chain))
	}
	options := x509.VerifyOptions{DNSName: host, Roots: t.roots, Intermediates: x509.NewCertPool(), CurrentTime: t.now()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	if err == nil {
		return nil
	}
	pinned, any := x509.NewCertPool(), false
	for _, c := range chain {
		if slices.Contains(t.thumbprints, thumbprint(c)) {
			pinned.AddCert(c)
			any = true
		}
	}
	if !any {
		return fmt.Errorf("the certificate of %s: %w", host, err)
	}
	options.Roots = pinned
	if _, err := chain[0].Verify(options); err != nil {
		return fmt.Errorf("the certificate of %s, with the provider's thumbprints: %w", host, err)
	}
	return nil
}

func thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// Thumbprint gives the fingerprint of the last certificate that an issuer's key server presents: what
// CreateOpenIDConnectProvider stores when it is given none. The certificate must verify against the system's authorities:
// that of an authority nobody knows is for the account's owner to vouch for.
func (v *Verifier) Thumbprint(ctx context.Context, issuer string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	_, chain, err := v.fetchKeySet(ctx, issuer, v.trustOf(Provider{}))
	if err != nil {
		return "", err
	}
	if len(chain) == 0 {
		return "", unavailable(nil, "%s is not asked over https, and has no certificate", issuer)
	}
	return thumbprint(chain[len(chain)-1]), nil
}
