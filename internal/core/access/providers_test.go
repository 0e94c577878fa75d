package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestProviders(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		h := newSTSHouse(t, db)
		ctx := t.Context()
		thumbprint := strings.Repeat("0123456789ABCDEF", 3)[:40]
		p, err := h.CreateProvider(ctx, h.root, access.NewProvider{
			Issuer: stsIssuer, ClientIDs: []string{"b", "a", "b"}, Thumbprints: []string{thumbprint}, Tags: []access.Tag{{Key: "Team", Value: "x"}},
		})
		if want := "arn:aws:iam::" + stsAccount + ":oidc-provider/token.actions.githubusercontent.com"; err != nil || p.ARN != want {
			t.Fatalf("CreateProvider: %+v, %v; want %s", p, err, want)
		}
		_, err = h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: stsIssuer})
		stsWants(t, "again", err, fault.EntityExists)
		steps := []error{
			h.AddClientID(ctx, h.root, p.ARN, "c"), h.AddClientID(ctx, h.root, p.ARN, "c"),
			h.RemoveClientID(ctx, h.root, p.ARN, "a"), h.RemoveClientID(ctx, h.root, p.ARN, "a"),
			h.TagProvider(ctx, h.root, p.ARN, []access.Tag{{Key: "TEAM", Value: "y"}, {Key: "Cost", Value: "7"}, {Key: "z"}}),
			h.UntagProvider(ctx, h.root, p.ARN, []string{"COST", "none"}),
			h.SetThumbprints(ctx, h.root, p.ARN, nil),
		}
		for i, err := range steps {
			if err != nil {
				t.Errorf("step %d: %v", i, err)
			}
		}
		got, tags, err := h.Provider(ctx, h.root, p.ARN)
		if diff := cmp.Diff([]string{"b", "c"}, got.ClientIDs); err != nil || diff != "" || len(got.Thumbprints) != 0 || got.Issuer != stsIssuer {
			t.Errorf("Provider: %+v, %v %s", got, err, diff)
		}
		if diff := cmp.Diff([]access.Tag{{Key: "TEAM", Value: "y"}, {Key: "z"}}, tags); diff != "" {
			t.Errorf("tags: %s", diff)
		}
		one, marker, err := h.ProviderTags(ctx, h.root, p.ARN, access.Page{Limit: 1})
		two, end, err2 := h.ProviderTags(ctx, h.root, p.ARN, access.Page{Limit: 1, Marker: marker})
		if err != nil || err2 != nil || len(one) != 1 || one[0].Key != "TEAM" || len(two) != 1 || two[0].Key != "z" || end != "" {
			t.Errorf("pages of tags: %v %v, %v %v, %q", one, err, two, err2, end)
		}
		if all, err := h.Providers(ctx, h.root); err != nil || len(all) != 1 || all[0].ARN != p.ARN {
			t.Errorf("Providers: %+v, %v", all, err)
		}
		for range 2 {
			if err := h.DeleteProvider(ctx, h.root, p.ARN); err != nil {
				t.Errorf("DeleteProvider: %v", err)
			}
		}
		_, _, err = h.Provider(ctx, h.root, p.ARN)
		stsWants(t, "a deleted one", err, fault.EntityNotFound, "OpenIDConnect Provider not found for arn "+p.ARN)
		stsWants(t, "a deleted one's client ids", h.AddClientID(ctx, h.root, p.ARN, "c"), fault.EntityNotFound)
	})
}

func TestProvidersAreHeldToTheirRules(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	ctx := t.Context()
	many := func(n int, form string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(form, i))
		}
		return list
	}
	for _, issuer := range []string{
		"", "token.example", "http://token.example", "https://", "https:///path", "https://user@token.example", "https://token.example?a=b",
		"https://token.example?", "https://token.example#x", "https://token.example/a b", "https://tökén.example", "HTTPS://token.example",
		"https://token.example/*", "https://" + strings.Repeat("a", 250), "https://aws", "https://STS/x",
	} {
		_, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: issuer})
		stsWants(t, "issuer "+issuer, err, fault.InvalidParameter, "Invalid Open ID Connect Provider URL")
	}
	for what, c := range map[string]struct {
		n    access.NewProvider
		code fault.Code
	}{
		"an empty client id":   {access.NewProvider{ClientIDs: []string{""}}, fault.InvalidParameter},
		"a long client id":     {access.NewProvider{ClientIDs: []string{strings.Repeat("x", 256)}}, fault.InvalidParameter},
		"101 client ids":       {access.NewProvider{ClientIDs: many(101, "id%d")}, fault.LimitExceeded},
		"6 thumbprints":        {access.NewProvider{Thumbprints: many(6, "%040d")}, fault.InvalidParameter},
		"a thumbprint":         {access.NewProvider{Thumbprints: []string{"xyz"}}, fault.InvalidParameter},
		"51 tags":              {access.NewProvider{Tags: make([]access.Tag, 51)}, fault.LimitExceeded},
		"a reserved tag's key": {access.NewProvider{Tags: []access.Tag{{Key: "aws:x"}}}, fault.InvalidParameter},
	} {
		c.n.Issuer = stsIssuer
		_, err := h.CreateProvider(ctx, h.root, c.n)
		stsWants(t, what, err, c.code)
	}
	for _, issuer := range []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080/path"} {
		p, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: issuer})
		if err != nil || p.ARN != "arn:aws:iam::"+stsAccount+":oidc-provider/"+strings.TrimPrefix(issuer, "http://") {
			t.Errorf("%s: %s, %v", issuer, p.ARN, err)
		} else if err := h.DeleteProvider(ctx, h.root, p.ARN); err != nil {
			t.Error(err)
		}
	}
	for i := range 100 {
		if _, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: fmt.Sprintf("https://127.0.0.1:%d/", 1000+i), ClientIDs: many(100, "id%d")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: stsIssuer})
	stsWants(t, "the 101st", err, fault.LimitExceeded)
	arn := "arn:aws:iam::" + stsAccount + ":oidc-provider/127.0.0.1:1000/"
	stsWants(t, "the 101st client id", h.AddClientID(ctx, h.root, arn, "x"), fault.LimitExceeded)
	_, _, err = h.Provider(ctx, h.root, strings.Replace(arn, "000", "999", 1))
	stsWants(t, "another account's", err, fault.InvalidParameter)
}

// TestProvidersAskForPermission calls each operation as a user who may do nothing, on a provider and on none.
func TestProvidersAskForPermission(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	ctx := t.Context()
	eve := h.user("eve")
	p, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: stsIssuer, Tags: []access.Tag{{Key: "team", Value: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []string{p.ARN, p.ARN + "x"} {
		_, created := h.CreateProvider(ctx, eve, access.NewProvider{Issuer: stsIssuer})
		_, _, got := h.Provider(ctx, eve, arn)
		_, listed := h.Providers(ctx, eve)
		_, _, tags := h.ProviderTags(ctx, eve, arn, access.Page{})
		for action, err := range map[string]error{
			"Create": created, "Get": got, "List": listed, "ListTags": tags,
			"Thumbprint": h.SetThumbprints(ctx, eve, arn, nil), "AddClientID": h.AddClientID(ctx, eve, arn, "x"),
			"RemoveClientID": h.RemoveClientID(ctx, eve, arn, "x"), "Tag": h.TagProvider(ctx, eve, arn, nil),
			"Untag": h.UntagProvider(ctx, eve, arn, nil), "Delete": h.DeleteProvider(ctx, eve, arn),
		} {
			stsWants(t, action, err, fault.AccessDenied, "OpenIDConnectProvider")
		}
	}
	tagger := h.user("tagger", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}}]}`)
	if _, _, err := h.Provider(ctx, tagger, p.ARN); err != nil {
		t.Errorf("by the provider's tag: %v", err)
	}
}

// TestTagsOfANewProviderAreAskedFor has somebody make providers who may not tag them.
func TestTagsOfANewProviderAreAskedFor(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	maker := h.user("maker", stsAllow("iam:CreateOpenIDConnectProvider", "*"))
	n := access.NewProvider{Issuer: stsIssuer, Tags: []access.Tag{{Key: "team", Value: "a"}}}
	_, err := h.CreateProvider(t.Context(), maker, n)
	stsWants(t, "with tags", err, fault.AccessDenied, "iam:TagOpenIDConnectProvider")
	n.Tags = nil
	if _, err := h.CreateProvider(t.Context(), maker, n); err != nil {
		t.Errorf("without tags: %v", err)
	}
}
