package berth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

func TestPullThroughCachesOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, prefix := range []string{"hub", "ROOT"} {
		if _, err := s.caches.CreateRule(t.Context(), s.root, pullthrough.Rule{Prefix: prefix, Upstream: "registry-1.docker.io"}); err != nil {
			t.Fatal(err)
		}
	}
	const root = `{"ecrRepositoryPrefix":"ROOT","ttlSeconds":86400,"upstreamRegistryUrl":"registry-1.docker.io","upstreamRepositoryPrefix":"ROOT"}`
	hub := strings.NewReplacer(`Prefix":"ROOT","ttlSeconds":86400`, `Prefix":"hub","ttlSeconds":90`).Replace(root)
	for _, c := range []struct{ operation, who, body, want string }{
		{"SetPullThroughCacheTtl", "root", `{"ecrRepositoryPrefix":"hub","ttlSeconds":90}`, `{"pullThroughCache":` + hub + `}`},
		{"ListPullThroughCaches", "root", `{}`, `{"pullThroughCaches":[` + root + `,` + hub + `]}`},
		{"ListPullThroughCaches", "root", `{"maxResults":0}`, "InvalidParameterException"},
		{"ListPullThroughCaches", "user", `{}`, "ecr:DescribePullThroughCacheRules"},
		{"SetPullThroughCacheTtl", "user", `{"ecrRepositoryPrefix":"hub","ttlSeconds":90}`, "ecr:UpdatePullThroughCacheRule"},
		{"SetPullThroughCacheTtl", "root", `{"ecrRepositoryPrefix":"hub"}`, "'ttlSeconds'"},
		{"SetPullThroughCacheTtl", "root", `{"ttlSeconds":1}`, "'ecrRepositoryPrefix'"},
		{"SetPullThroughCacheTtl", "root", `{"ecrRepositoryPrefix":"hub","ttlSeconds":-1}`, "'ttlSeconds'"},
		{"SetPullThroughCacheTtl", "root", `{"ecrRepositoryPrefix":"nub","ttlSeconds":1}`, "PullThroughCacheRuleNotFoundException"},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if ok := strings.HasPrefix(c.want, "{"); ok && (status != http.StatusOK || body != c.want) || !ok && (status != http.StatusBadRequest || !strings.Contains(body, c.want)) {
			t.Errorf("%s(%s) by %s: %d %s\nwant %s", c.operation, c.body, c.who, status, body, c.want)
		}
	}
}
