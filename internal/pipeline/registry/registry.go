// Package registry is a customer of one registry that speaks Amazon ECR's API, Berth or Amazon's, by both of its sides:
// the AWS API, by the SDK, and the OCI distribution API, by go-containerregistry.
//
// Who asks is found by the default chain of AWS credentials: environment, profiles, SSO, the web identity of a job in
// GitHub Actions, the role of the machine. The OCI side is logged in to by an authorization token that is asked for when
// it is first needed, and anew before it ends, and that goes to the registry alone which the answer names.
package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// userAgent is what the registry's log calls these requests.
const userAgent = "berth"

// ErrNoLayers says that the endpoint is a stand-in for Amazon's API: it names Amazon's registry as its own, which has not
// heard of its images, and is not to be asked by tests.
var ErrNoLayers = errors.New("the server is a stand-in for Amazon's API, and has no layers")

// Client is a customer of one registry. It may be used by many goroutines.
type Client struct {
	ECR *ecr.Client
	// Berth asks the same server for what only a Berth answers; nil of Amazon's ECR.
	Berth *platform.Client

	login *login

	mu       sync.Mutex
	registry name.Registry
	options  []remote.Option
}

// Config is what a Client is told.
type Config struct {
	URL string // as for platform.ECR
	Now func() time.Time
}

// New makes a client from the AWS configuration. It asks for nothing yet.
func New(ctx context.Context, c Config) (*Client, error) {
	client, err := platform.ECR(ctx, c.URL)
	if err != nil {
		return nil, err
	}
	all := &Client{ECR: client, login: &login{ecr: client, now: c.Now}}
	if at := all.Endpoint(); at != "" {
		if all.Berth, err = platform.New(ctx, platform.Config{URL: at, Now: c.Now}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Region is the region that is asked.
func (c *Client) Region() string { return c.ECR.Options().Region }

// Endpoint is the URL of the AWS API, or empty if it is Amazon's own.
func (c *Client) Endpoint() string { return aws.ToString(c.ECR.Options().BaseEndpoint) }

// Host is the registry's address as docker knows it.
func (c *Client) Host(ctx context.Context) (string, error) {
	u, err := c.address(ctx)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// PlainHTTP tells whether the registry has no TLS.
func (c *Client) PlainHTTP(ctx context.Context) (bool, error) {
	u, err := c.address(ctx)
	if err != nil {
		return false, err
	}
	return u.Scheme == "http", nil
}

// Login gives what a program logs in to the registry with, for as long as the token has.
func (c *Client) Login(ctx context.Context) (user, secret string, err error) {
	t, err := c.login.token(ctx)
	return t.Username, t.Secret, err
}

// address is where the registry is: where the token's answer says, or at the endpoint itself.
func (c *Client) address(ctx context.Context) (*url.URL, error) {
	t, err := c.login.token(ctx)
	if err != nil {
		return nil, err
	}
	at := t.Registry
	if at == "" {
		at = c.Endpoint()
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server names %q as its registry, which is no address", at)
	}
	return u, nil
}

// Remote gives a repository of the OCI side, and what go-containerregistry needs to use it: the login, the transport, and
// connections that are shared by all who ask.
func (c *Client) Remote(ctx context.Context, repository string) (name.Repository, []remote.Option, error) {
	u, err := c.address(ctx)
	if err != nil {
		return name.Repository{}, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.options == nil {
		if err := c.connect(u); err != nil {
			return name.Repository{}, nil, err
		}
	}
	return c.registry.Repo(repository), append([]remote.Option{remote.WithContext(ctx)}, c.options...), nil
}

// connect makes the options.
func (c *Client) connect(u *url.URL) error {
	endpoint, err := url.Parse(c.Endpoint())
	switch {
	case err != nil:
		return fmt.Errorf("reading the endpoint: %w", err)
	case IsLoopback(endpoint.Hostname()) && IsAmazons(u.Hostname()):
		return ErrNoLayers
	case u.Scheme == "http" && !IsLoopback(u.Hostname()) && endpoint.Scheme != "http":
		// A server that was asked over TLS would have the token sent in the clear.
		return fmt.Errorf("the server names %s as its registry, which is not encrypted", u.Redacted())
	}
	var options []name.Option
	if u.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	if c.registry, err = name.NewRegistry(u.Host, options...); err != nil {
		return fmt.Errorf("the server names %q as its registry: %w", u.Host, err)
	}
	usual := []remote.Option{
		remote.WithAuth(c.login), remote.WithUserAgent(userAgent), remote.WithTransport(pinned{u.Host, u.Scheme, remote.DefaultTransport}),
	}
	puller, err := remote.NewPuller(usual...)
	if err != nil {
		return fmt.Errorf("making a client of %s: %w", u.Host, err)
	}
	c.options = append(usual, remote.Reuse(puller))
	return nil
}

// Blob reads a layer or configuration of at most that many bytes, and checks its digest.
func (c *Client) Blob(ctx context.Context, repository string, d oci.Digest, maxBytes int64) ([]byte, error) {
	repo, options, err := c.Remote(ctx, repository)
	if err != nil {
		return nil, err
	}
	layer, err := remote.Layer(repo.Digest(d.String()), options...)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", d, err)
	}
	body, err := layer.Compressed() // as it is stored, whatever that is
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", d, err)
	}
	defer body.Close()
	var read bytes.Buffer
	n, err := io.Copy(&read, io.LimitReader(body, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", d, err)
	case n > maxBytes:
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", d, maxBytes)
	case !d.Matches(read.Bytes()):
		return nil, fmt.Errorf("reading %s: the bytes are others", d)
	}
	return read.Bytes(), nil
}

// Referrers lists what refers to an image.
func (c *Client) Referrers(ctx context.Context, repository string, d oci.Digest) ([]v1.Descriptor, error) {
	repo, options, err := c.Remote(ctx, repository)
	if err != nil {
		return nil, err
	}
	index, err := remote.Referrers(repo.Digest(d.String()), options...)
	if err != nil {
		return nil, fmt.Errorf("listing what refers to %s: %w", d, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("listing what refers to %s: %w", d, err)
	}
	return manifest.Manifests, nil
}

// pinned uses the registry by the scheme that it named: go-containerregistry would try others, too, and take plain HTTP
// from any private address.
type pinned struct {
	host, scheme string
	inner        http.RoundTripper
}

// RoundTrip sends a request.
func (p pinned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == p.host && r.URL.Scheme != p.scheme {
		return nil, fmt.Errorf("%s is used by %s only", p.host, p.scheme)
	}
	r, count := metered(r)
	res, err := p.inner.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := busy(res); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	count(found(r, res))
	return res, nil
}

// IsLoopback tells whether a host is this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// IsAmazons tells whether a host has a name of Amazon's.
func IsAmazons(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".cn")
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".on.aws") || strings.HasSuffix(host, ".amazonaws.eu")
}
