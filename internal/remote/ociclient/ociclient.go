// Package ociclient asks other registries, as a client of the OCI distribution API: what a tag names, manifests,
// layers as streams, referrers.
//
// It says what an answer means in faults, and never retries: whoever asks knows whether waiting is worth it. A
// registry that answers 429, or names a time to come back, is fault.UpstreamBusy or UpstreamUnavailable with
// fault.Wait. There is a limit on the time that a registry takes to begin its answer and on each pause in it, and none on
// how long a layer takes.
//
// Where a registry sends its clients on (a bucket, a token server) is the registry's to say, so an upstream is
// trusted as far as the network goes, with these exceptions: nothing is asked at addresses where clouds keep a
// machine's credentials, link-local ones above all, credentials stay with the host they are for and its token server, and
// what began over TLS goes on over TLS.
package ociclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 20 * time.Second
	// longestPause is how long a layer's bytes may stand still.
	longestPause = time.Minute
	maxRedirects = 5
	// maxHeader bounds an answer's header, which may stand in errors. Signed URLs are a few KiB.
	maxHeader = 128 << 10
)

// accepted are the manifests that can be stored.
var accepted = strings.Join([]string{
	oci.MediaTypeOCIManifest, oci.MediaTypeOCIIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList,
}, ", ")

// Client asks registries. Its methods may be called from many goroutines.
type Client struct {
	http  *http.Client
	now   func() time.Time
	pause time.Duration
	known authorizations
}

// Config is what a Client may be told; Now must be set.
type Config struct {
	Now func() time.Time
	// Pause is how long a layer's bytes may stand still; a minute where it is 0.
	Pause time.Duration
	// Wrap puts something around the transport, such as spans of traces; nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// New makes a client.
func New(c Config) *Client {
	if c.Pause == 0 {
		c.Pause = longestPause
	}
	refuse := guard.Refusal(guard.Metadata)
	dialer := &net.Dialer{Timeout: dialTimeout, Control: refuse.Control}
	client := &Client{
		now: c.Now, pause: c.Pause,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy: refuse.Proxy(http.ProxyFromEnvironment), DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout,
				ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true,
				DisableCompression:     true, // a digest is of the bytes as they are
				MaxResponseHeaderBytes: maxHeader,
			},
			CheckRedirect: follow,
		},
	}
	if c.Wrap != nil {
		client.http.Transport = c.Wrap(client.http.Transport)
	}
	return client
}

// Close gives up connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// follow keeps a redirect from leaving TLS, and the Authorization from other hosts: Go's client itself lets it go on to
// subdomains and to other ports.
func follow(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("a redirect from https to " + req.URL.Scheme)
	case req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme:
		req.Header.Del("Authorization")
	}
	return nil
}

// Ping implements pullthrough.Upstream.
func (c *Client) Ping(ctx context.Context, at pullthrough.Endpoint) error {
	res, err := c.do(ctx, at, http.MethodGet, "/v2/", "", nil)
	if err != nil {
		return err
	}
	defer drain(res)
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return c.refused(at, res, fault.UpstreamUnavailable)
}

// Head implements pullthrough.Upstream.
func (c *Client) Head(ctx context.Context, at pullthrough.Endpoint, repository string, ref oci.Reference) (pullthrough.Found, error) {
	res, err := c.manifest(ctx, at, http.MethodHead, repository, ref)
	if err != nil {
		return pullthrough.Found{}, err
	}
	defer drain(res)
	if res.StatusCode == http.StatusMethodNotAllowed {
		return pullthrough.Found{}, nil // so it has to be fetched to be known
	}
	if res.StatusCode != http.StatusOK {
		return pullthrough.Found{}, c.refused(at, res, fault.ImageNotFound)
	}
	return describe(res), nil
}

// Manifest implements pullthrough.Upstream.
func (c *Client) Manifest(ctx context.Context, at pullthrough.Endpoint, repository string, ref oci.Reference) (pullthrough.Found, error) {
	res, err := c.manifest(ctx, at, http.MethodGet, repository, ref)
	if err != nil {
		return pullthrough.Found{}, err
	}
	defer drain(res)
	if res.StatusCode != http.StatusOK {
		return pullthrough.Found{}, c.refused(at, res, fault.ImageNotFound)
	}
	found := describe(res)
	found.Body, err = readAll(res)
	if err != nil {
		return pullthrough.Found{}, unavailable(at, err)
	}
	return found, nil
}

func (c *Client) manifest(ctx context.Context, at pullthrough.Endpoint, method, repository string, ref oci.Reference) (*http.Response, error) {
	return c.do(ctx, at, method, "/v2/"+repository+"/manifests/"+ref.String(), pullScope(repository), http.Header{"Accept": {accepted}})
}

// describe reads what headers say of a manifest. A type that is none of a manifest's is left for the manifest itself
// to say: some registries and proxies call them all JSON.
func describe(res *http.Response) pullthrough.Found {
	var found pullthrough.Found
	if d, err := oci.ParseDigest(res.Header.Get("Docker-Content-Digest")); err == nil {
		found.Digest = d
	}
	mediaType, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if mediaType = strings.ToLower(strings.TrimSpace(mediaType)); oci.IsManifestType(mediaType) {
		found.MediaType = mediaType
	}
	return found
}

// readAll reads a manifest, or a list of them.
func readAll(res *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(res.Body, oci.MaxManifestBytes+1))
	if err == nil && len(body) > oci.MaxManifestBytes {
		err = fmt.Errorf("a manifest has at most %d bytes", oci.MaxManifestBytes)
	}
	return body, err
}

// LayerSize implements pullthrough.Upstream.
func (c *Client) LayerSize(ctx context.Context, at pullthrough.Endpoint, repository string, d oci.Digest) (int64, error) {
	res, err := c.do(ctx, at, http.MethodHead, "/v2/"+repository+"/blobs/"+d.String(), pullScope(repository), nil)
	if err != nil {
		return 0, err
	}
	defer drain(res)
	switch {
	case res.StatusCode != http.StatusOK:
		return 0, c.refused(at, res, fault.LayerNotFound)
	case res.ContentLength < 0:
		return 0, unavailable(at, fmt.Errorf("it does not say how large %s is", d))
	}
	return res.ContentLength, nil
}

// Layer implements pullthrough.Upstream.
func (c *Client) Layer(ctx context.Context, at pullthrough.Endpoint, repository string, d oci.Digest) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	watch := time.AfterFunc(c.pause, cancel) // of what comes before the layer too: a challenge, a token
	res, err := c.do(ctx, at, http.MethodGet, "/v2/"+repository+"/blobs/"+d.String(), pullScope(repository), nil)
	if err != nil {
		watch.Stop()
		cancel()
		return nil, 0, err
	}
	if res.StatusCode != http.StatusOK {
		defer watch.Stop()
		defer cancel()
		defer drain(res)
		return nil, 0, c.refused(at, res, fault.LayerNotFound)
	}
	return &layer{body: res.Body, cancel: cancel, pause: c.pause, watch: watch}, res.ContentLength, nil
}

// layer is a body whose bytes keep coming, or which ends with an error.
type layer struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	pause  time.Duration
	watch  *time.Timer
}

// Read gives up when nothing comes for too long.
func (l *layer) Read(p []byte) (int, error) {
	l.watch.Reset(l.pause)
	n, err := l.body.Read(p)
	l.watch.Stop()
	return n, err
}

// Close gives up the connection, if the body was not read to its end.
func (l *layer) Close() error {
	l.watch.Stop()
	l.cancel()
	return l.body.Close()
}

// Referrers implements pullthrough.Upstream: by the referrers API, or where there is none by the tag that stands in for
// it (distribution-spec, "Referrers Tag Schema").
func (c *Client) Referrers(ctx context.Context, at pullthrough.Endpoint, repository string, d oci.Digest) ([]oci.Descriptor, error) {
	res, err := c.do(ctx, at, http.MethodGet, "/v2/"+repository+"/referrers/"+d.String(), pullScope(repository),
		http.Header{"Accept": {oci.MediaTypeOCIIndex}})
	if err != nil {
		return nil, err
	}
	defer drain(res)
	var body []byte
	switch res.StatusCode {
	case http.StatusOK:
		if body, err = readAll(res); err != nil {
			return nil, unavailable(at, err)
		}
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest:
		found, err := c.Manifest(ctx, at, repository, oci.Reference{Tag: string(d.Algorithm()) + "-" + d.Hex()})
		if err != nil {
			return nil, err
		}
		body = found.Body
	default:
		return nil, c.refused(at, res, fault.ImageNotFound)
	}
	var index struct {
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, unavailable(at, fmt.Errorf("reading its list of referrers: %w", err))
	}
	for _, m := range index.Manifests {
		if _, err := oci.ParseDigest(m.Digest.String()); err != nil {
			return nil, unavailable(at, fmt.Errorf("reading its list of referrers: %w", err))
		}
	}
	return index.Manifests, nil
}

// refused says what an answer other than the wished one means.
func (c *Client) refused(at pullthrough.Endpoint, res *http.Response, notThere fault.Code) error {
	wait, asked := c.retryAfter(res)
	switch status := res.StatusCode; {
	case status == http.StatusNotFound && notThere != fault.UpstreamUnavailable:
		return fault.New(notThere, "The upstream registry %s does not have it", at.URL)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.New(fault.UpstreamDenied, "The upstream registry %s denies access: it answered %d %s", at.URL, status, http.StatusText(status))
	case status == http.StatusTooManyRequests:
		return fault.New(fault.UpstreamBusy, "The upstream registry %s has had too many requests", at.URL).With(fault.Wait{For: wait})
	default:
		f := fault.New(fault.UpstreamUnavailable, "The upstream registry %s answered %d %s", at.URL, status, http.StatusText(status))
		if asked {
			return f.With(fault.Wait{For: wait})
		}
		return f
	}
}

// retryAfter reads for how long a registry wants to be left alone (RFC 9110 §10.2.3).
func (c *Client) retryAfter(res *http.Response) (time.Duration, bool) {
	text := res.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(c.now())), true
	}
	return 0, false
}

func unavailable(at pullthrough.Endpoint, err error) error {
	return fault.Wrap(fault.UpstreamUnavailable, err, "The upstream registry %s does not answer as a registry does", at.URL)
}

// drain reads the rest of a short answer, so that its connection is good for another request.
func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	_ = res.Body.Close()
}

func pullScope(repository string) string { return "repository:" + repository + ":pull" }

// withoutSlash is a URL to which a path can be added.
func withoutSlash(u string) string { return strings.TrimSuffix(u, "/") }

// sameScheme tells whether another server may be asked on behalf of one: TLS is never left.
func sameScheme(at pullthrough.Endpoint, other *url.URL) bool {
	return other.Scheme == "https" || other.Scheme == "http" && strings.HasPrefix(at.URL, "http://")
}
