package distribution_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// refusing allows nobody anything, and says why.
type refusing struct{}

func (refusing) Authorize(_ context.Context, caller identity.Caller, r policy.Request) error {
	return fault.New(fault.AccessDenied, "refused").With(policy.Refusal{Principal: caller.ARN, Action: r.Action, Resource: r.Resource})
}

// denials writes a refusal in the clear, where the real one seals it.
type denials struct{}

func (denials) Encode(_ context.Context, r policy.Refusal) string {
	return r.Principal + " " + string(r.Action)
}

func TestRefusalsCarryTheirReason(t *testing.T) {
	t.Parallel()
	store, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closed := registry.New(registry.Config{
		Store: metadbtest.New(t), Blobs: store, Account: account, Region: "us-east-1", Now: time.Now, Access: refusing{},
	})
	for name, c := range map[string]struct {
		denials distribution.Denials
		want    string
	}{
		"sealed":     {denials{}, "arn:aws:iam::" + account + ":user/mallory ecr:BatchGetImage"},
		"by nothing": {nil, ""},
	} {
		s := newServer(t, func(d *distribution.Config) { d.Registry, d.Denials = closed, c.denials })
		res := s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/v1", nil, "Authorization", basic("other"))
		if res.status != http.StatusForbidden || res.header.Get("X-Berth-Authorization-Message") != c.want || strings.Contains(string(res.body), "BatchGetImage") {
			t.Errorf("%s: %d %s %s, want the header %q", name, res.status, res.header, res.body, c.want)
		}
	}
}
