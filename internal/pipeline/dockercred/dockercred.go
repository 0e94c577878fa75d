// Package dockercred gives docker credentials for registries that speak Amazon ECR's API, from AWS
// credentials: what a docker credential helper does, for Berths on any host name and for Amazon's.
//
// A registry is only told who asks, and a token is only given away, where that was meant:
//
//   - The endpoint that the AWS configuration names is asked. Its token goes to the endpoint itself, and to
//     the registry that the endpoint names as its own (proxyEndpoint), and to no other.
//   - Where no endpoint is configured, a registry with one of Amazon's names is served by Amazon's ECR of
//     that region.
//   - Any other registry is asked by its own name, and only if somebody said so for this very name: in the
//     credHelpers of docker's configuration, or in BERTH_CREDENTIAL_SERVERS. Otherwise an image name of a
//     stranger's would have a request signed for him, with a session token in it.
package dockercred

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// ErrNotFound says that there are no credentials for a registry, which docker then uses without.
var ErrNotFound = errors.New("used without a login")

// Login is what docker authenticates with.
type Login struct{ Username, Secret string }

// Config is what a Helper is told.
type Config struct {
	Cache        string   // file to keep tokens in; empty: keep none
	DockerConfig string   // docker's configuration file, which may not exist
	Servers      []string // registries, host[:port], that may be asked by their own name
	Now          func() time.Time
	// Warn is told what went wrong without keeping the helper from its work.
	Warn func(error)
}

// Helper gives credentials.
type Helper struct {
	Config
	cache cache
}

// New makes a Helper.
func New(c Config) *Helper {
	if c.Warn == nil {
		c.Warn = func(error) {}
	}
	return &Helper{Config: c, cache: cache{file: c.Cache, now: c.Now}}
}

// Get gives the login for a registry, which docker calls by host[:port] or by a URL. Its error is
// ErrNotFound, with the reason, where the registry is to be used without one.
func (h *Helper) Get(ctx context.Context, named string) (Login, error) {
	at, err := parseServer(named)
	if err != nil {
		return Login{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	config, err := platform.AWS(ctx)
	if err != nil {
		return Login{}, err
	}
	asked, err := h.source(config, at)
	if err != nil {
		return Login{}, err
	}
	config.Region = asked.region
	credentials, err := platform.Credentials(ctx, config)
	if errors.Is(err, platform.ErrNoCredentials) {
		return Login{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return Login{}, err
	}
	id := entryID(credentials, asked.endpoint, asked.region, at.String())
	if login, ok := h.cache.find(id); ok {
		return login, nil
	}
	t, err := asked.token(ctx, config)
	if err != nil {
		return Login{}, fmt.Errorf("asking %s for a token: %w", asked.called(), platform.Plain(err))
	}
	if !asked.mayGive(at, t) {
		return Login{}, fmt.Errorf("%w: the token of %s is for %s, not for %s", ErrNotFound, asked.called(), t.Registry, at)
	}
	if err := h.cache.keep(id, at.String(), token{Login{t.Username, t.Secret}, t.Expires}); err != nil {
		h.Warn(fmt.Errorf("the token is not kept: %w", err))
	}
	return Login{t.Username, t.Secret}, nil
}

// Erase forgets the tokens that are kept for a registry.
func (h *Helper) Erase(named string) error {
	at, err := parseServer(named)
	if err != nil {
		return nil //nolint:nilerr // nothing is kept under such a name
	}
	return h.cache.erase(at.String())
}

// source is where tokens come from.
type source struct {
	endpoint string // empty: Amazon's
	region   string
	fips     bool
	own      bool // the endpoint was derived from the registry's name, or is Amazon's for it
}

func (s source) called() string {
	if s.endpoint == "" {
		return "Amazon ECR in " + s.region
	}
	return s.endpoint
}

// source finds who is asked for a registry's token.
func (h *Helper) source(c aws.Config, at server) (source, error) {
	// The SDK has rules of its own for where an endpoint is configured.
	if configured := aws.ToString(ecr.NewFromConfig(c).Options().BaseEndpoint); configured != "" {
		return source{endpoint: configured, region: c.Region}, nil
	}
	if region, fips, ok := at.amazon(); ok {
		return source{region: region, fips: fips, own: true}, nil
	}
	named, err := h.named(at)
	if err != nil {
		return source{}, err
	}
	if !named {
		return source{}, fmt.Errorf("%w: AWS_ENDPOINT_URL is not set, and neither docker's credHelpers nor BERTH_CREDENTIAL_SERVERS name %s", ErrNotFound, at)
	}
	return source{endpoint: at.endpoint(), region: c.Region, own: true}, nil
}

// named tells whether somebody said that this registry may be asked by its own name.
func (h *Helper) named(at server) (bool, error) {
	for _, s := range h.Servers {
		if one, err := parseServer(s); err == nil && one == at {
			return true, nil
		}
	}
	return namedInDocker(h.DockerConfig, at)
}

// mayGive tells whether a token may be given to a registry.
func (s source) mayGive(at server, t platform.Token) bool {
	return s.own || at.isAt(s.endpoint) || at.isAt(t.Registry)
}

func (s source) token(ctx context.Context, c aws.Config) (platform.Token, error) {
	return platform.Authorize(ctx, ecr.NewFromConfig(c, func(o *ecr.Options) {
		if s.endpoint != "" {
			o.BaseEndpoint = &s.endpoint
		}
		if s.fips {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
	}))
}
