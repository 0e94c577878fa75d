package authn_test

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// TestUsesAreTold holds that a credential's use is told when it held, with the service and region of its scope, and
// otherwise not.
func TestUsesAreTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var got []string
	a := authn.New(authn.Config{Directory: h.directory, Now: h.now, Used: func(c identity.Caller, service, region string) {
		got = append(got, c.AccessKeyID+" "+service+" "+region)
	}})
	if _, err := a.Basic(basic(authn.TokenUser, h.issue(t))); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Basic(basic(authn.TokenUser, "berth_x")); err == nil {
		t.Fatal("a wrong token was taken")
	}
	signed := func(secret string) *http.Request {
		return sign(t, nil, aws.Credentials{AccessKeyID: h.root.ID, SecretAccessKey: secret}, "ecr", h.now())
	}
	if _, err := a.SigV4(signed(h.root.Secret), nil, "ecr"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SigV4(signed("wrong"), nil, "ecr"); err == nil {
		t.Fatal("a wrong signature was taken")
	}
	want := []string{h.root.ID + " ecr ", h.root.ID + " ecr us-east-1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
}
