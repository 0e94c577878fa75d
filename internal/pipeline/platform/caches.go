package platform

import (
	"context"
	"time"
)

// Cache is a rule of the pull-through cache.
type Cache struct {
	Prefix         string // of repositories here, or ROOT
	Upstream       string // the registry that they are copies of
	UpstreamPrefix string // of repositories there, or ROOT
	Credential     string // the ARN of a secret, or empty
	TTL            time.Duration
}

type wireCache struct {
	Prefix         string `json:"ecrRepositoryPrefix"`
	Upstream       string `json:"upstreamRegistryUrl"`
	UpstreamPrefix string `json:"upstreamRepositoryPrefix"`
	Credential     string `json:"credentialArn"`
	TTLSeconds     int64  `json:"ttlSeconds"`
}

func (w wireCache) cache() Cache {
	return Cache{w.Prefix, w.Upstream, w.UpstreamPrefix, w.Credential, time.Duration(w.TTLSeconds) * time.Second}
}

// Caches lists all rules of the pull-through cache in order of prefix.
func (c *Client) Caches(ctx context.Context) ([]Cache, error) {
	type input struct {
		NextToken string `json:"nextToken,omitempty"`
	}
	var caches []Cache
	for in := (input{}); ; {
		var out struct {
			PullThroughCaches []wireCache `json:"pullThroughCaches"`
			NextToken         string      `json:"nextToken"`
		}
		if err := c.call(ctx, "ListPullThroughCaches", in, &out); err != nil {
			return nil, err
		}
		for _, w := range out.PullThroughCaches {
			caches = append(caches, w.cache())
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return caches, nil
		}
	}
}

// SetCacheTTL sets for how long tags under a rule are served without asking the upstream, in whole seconds, and gives
// the rule as it now is.
func (c *Client) SetCacheTTL(ctx context.Context, prefix string, ttl time.Duration) (Cache, error) {
	in := struct {
		Prefix     string `json:"ecrRepositoryPrefix"`
		TTLSeconds int64  `json:"ttlSeconds"`
	}{prefix, int64(ttl / time.Second)}
	var out struct {
		PullThroughCache wireCache `json:"pullThroughCache"`
	}
	err := c.call(ctx, "SetPullThroughCacheTtl", in, &out)
	return out.PullThroughCache.cache(), err
}
