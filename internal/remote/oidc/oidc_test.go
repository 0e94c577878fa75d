package oidc_test

import (
	"crypto"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	verifier "github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

// TestShapes has tokens as the issuers that people use make them.
func TestShapes(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := newVerifier(t, newClock(), nil)
	for name, tt := range map[string]struct {
		claims map[string]any
		want   map[string][]string // some of the values; nil for what must not be there
	}{
		"GitHub": {
			map[string]any{
				"jti": "example", "ref": "refs/heads/main", "repository": "org/app", "repository_owner_id": "12", "run_attempt": "2",
				"environment": "prod", "job_workflow_ref": "org/automation/.github/workflows/oidc.yml@refs/heads/main",
				"runner_environment": "github-hosted", "nbf": start.Unix() - 300,
			},
			map[string][]string{"aud": {audience}, "repository": {"org/app"}, "environment": {"prod"}, "exp": {"1795695000"}, "azp": nil, "oaud": nil},
		},
		"GitHub, immutable": {
			map[string]any{"sub": "repo:octocat@123456/my-repo@456789:ref:refs/heads/main"},
			map[string][]string{"sub": {"repo:octocat@123456/my-repo@456789:ref:refs/heads/main"}},
		},
		"GitLab": {
			map[string]any{
				"aud": []string{"https://gitlab.example.com", audience}, "sub": "project_path:group/app:ref_type:branch:ref:main", "project_id": "22",
				"ref_protected": "true", "groups_direct": []string{"group", "group/sub"}, "user_access_level": "owner",
			},
			map[string][]string{"aud": {audience}, "ref_protected": {"true"}, "groups_direct": {"group", "group/sub"}},
		},
		"Buildkite": {
			map[string]any{
				"sub":               "organization:acme:pipeline:app:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:build",
				"organization_slug": "acme", "build_number": 1, "step_key": nil,
			},
			map[string][]string{"organization_slug": {"acme"}, "build_number": {"1"}},
		},
		"Kubernetes": {
			map[string]any{
				"aud": []string{audience}, "sub": "system:serviceaccount:ci:builder", "nbf": start.Unix(),
				"kubernetes.io": map[string]any{"namespace": "ci", "serviceaccount": map[string]any{"name": "builder", "uid": "x"}},
			},
			map[string][]string{"aud": {audience}, "sub": {"system:serviceaccount:ci:builder"}, "kubernetes.io": nil},
		},
		"a party that is a client": {
			map[string]any{"aud": []string{"https://api.example.com", "https://issuer.example.com/userinfo"}, "azp": audience},
			map[string][]string{"aud": {audience}, "azp": {audience}, "oaud": {"https://api.example.com", "https://issuer.example.com/userinfo"}},
		},
		"kinds of values": {
			map[string]any{
				"large": json.Number("9007199254740993"), "exponent": json.Number("12e3"), "flag": true, "mixed": []any{1, "a", false}, "nothing": "", "amr": []string{"mfa", "pwd"},
				"null": []any{nil}, "nested": []any{[]any{"a"}}, "empty": []any{},
			},
			map[string][]string{
				"large": {"9007199254740993"}, "exponent": {"12000"}, "flag": {"true"}, "mixed": {"1", "a", "false"}, "nothing": {""},
				"null": nil, "nested": nil, "empty": nil,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for id, key := range map[string]crypto.PrivateKey{"rsa": rsaKey(), "ec": ecKey()} {
				token := oidctest.SignIDToken(key, id, map[string]string{"rsa": "RS256", "ec": "ES256"}[id], i.claims(tt.claims))
				got, err := v.Verify(t.Context(), i.trusted(), token)
				if err != nil {
					t.Fatal(err)
				}
				if got.Audience != audience || got.Issuer != i.url || got.Subject != got.Values["sub"][0] || !got.Expires.Equal(start.Add(10*time.Minute)) || !got.IssuedAt.Equal(start) {
					t.Errorf("the claims are %+v", got)
				}
				for claim, want := range tt.want {
					if diff := cmp.Diff(want, got.Values[claim]); diff != "" {
						t.Errorf("%s (-want +got):\n%s", claim, diff)
					}
				}
				if iss, err := oidc.Issuer(token); err != nil || iss != i.url {
					t.Errorf("Issuer = %q, %v", iss, err)
				}
				// An independent library takes it too.
				clients := &verifier.Config{SkipClientIDCheck: true, Now: func() time.Time { return start }, SupportedSigningAlgs: []string{"RS256", "ES256"}}
				if _, err := must(verifier.NewProvider(t.Context(), i.url)).Verifier(clients).Verify(t.Context(), token); err != nil {
					t.Errorf("go-oidc: %v", err)
				}
			}
		})
	}
}

func TestSessionTags(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := newVerifier(t, newClock(), nil)
	const tags = "https://aws.amazon.com/tags"
	want := map[string]string{"Project": "Automation", "Cost": "987654"}
	for name, claims := range map[string]map[string]any{
		"nested": {tags: map[string]any{
			"principal_tags":      map[string]any{"Project": []string{"Automation"}, "Cost": []string{"987654"}},
			"transitive_tag_keys": []string{"Project", "Cost"},
		}},
		"flat": {
			tags + "/principal_tags/Project": "Automation", tags + "/principal_tags/Cost": []string{"987654"},
			tags + "/transitive_tag_keys": []string{"Project", "Cost"},
		},
		"both": {
			tags:                          map[string]any{"principal_tags": map[string]any{"Project": "Automation"}, "transitive_tag_keys": []string{"Project"}},
			tags + "/principal_tags/Cost": "987654", tags + "/transitive_tag_keys": []string{"Project", "Cost"},
		},
	} {
		claims["https://aws.amazon.com/source_identity"] = "Admin"
		got, err := v.Verify(t.Context(), i.trusted(), i.token(claims))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got.SessionTags); diff != "" || !slices.Equal(got.TransitiveTags, []string{"Project", "Cost"}) || got.SourceIdentity != "Admin" {
			t.Errorf("%s: transitive %q, source %q, tags (-want +got):\n%s", name, got.TransitiveTags, got.SourceIdentity, diff)
		}
	}
	many := map[string]any{}
	for n := range 51 {
		many[strings.Repeat("k", n+1)] = "v"
	}
	for name, claims := range map[string]map[string]any{
		"not an object":      {tags: "x"},
		"tags as a list":     {tags: map[string]any{"principal_tags": []string{"x"}}},
		"two values":         {tags: map[string]any{"principal_tags": map[string]any{"a": []string{"x", "y"}}}},
		"no value":           {tags: map[string]any{"principal_tags": map[string]any{"a": []string{}}}},
		"a number":           {tags: map[string]any{"principal_tags": map[string]any{"a": 1}}},
		"no key":             {tags + "/principal_tags/": "x"},
		"a long value":       {tags + "/principal_tags/a": strings.Repeat("x", 257)},
		"a long key":         {tags + "/principal_tags/" + strings.Repeat("x", 129): "x"},
		"twice":              {tags: map[string]any{"principal_tags": map[string]any{"a": "x"}}, tags + "/principal_tags/a": "y"},
		"too many":           {tags: map[string]any{"principal_tags": many}},
		"keys that are none": {tags + "/transitive_tag_keys": "a"},
		"a key that is none": {tags + "/transitive_tag_keys": []any{1}},
		"a source of two":    {"https://aws.amazon.com/source_identity": []string{"a", "b"}},
	} {
		token := i.token(claims)
		_, err := v.Verify(t.Context(), i.trusted(), token)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, err, fault.IdentityTokenRejected, "The token's claims are rejected: ", token)
		})
	}
}

// TestClaimsRefused has tokens whose signature is good.
func TestClaimsRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, tt := range map[string]struct {
		changes map[string]any
		code    fault.Code
		words   string
	}{
		"another audience":        {map[string]any{"aud": "https://github.com/org"}, fault.IdentityTokenInvalid, `Incorrect token audience: the token is for "https://github.com/org"`},
		"other audiences":         {map[string]any{"aud": []string{"a", "b"}}, fault.IdentityTokenInvalid, `Incorrect token audience: the token is for "a, b"`},
		"an audience's beginning": {map[string]any{"aud": audience + ".evil"}, fault.IdentityTokenInvalid, "Incorrect token audience"},
		"another party":           {map[string]any{"azp": "other"}, fault.IdentityTokenInvalid, `Incorrect token audience: the token is for "other"`},
		"a party that is none":    {map[string]any{"azp": []string{audience}}, fault.IdentityTokenInvalid, "azp"},
		"a long audience":         {map[string]any{"aud": strings.Repeat("a", 5000)}, fault.IdentityTokenInvalid, "Incorrect token audience"},
		"no audience":             {map[string]any{"aud": nil}, fault.IdentityTokenInvalid, "Missing a required claim: aud"},
		"an empty list":           {map[string]any{"aud": []string{}}, fault.IdentityTokenInvalid, "Missing a required claim: aud"},
		"an object for it":        {map[string]any{"aud": map[string]any{audience: true}}, fault.IdentityTokenInvalid, "Missing a required claim: aud"},
		"another issuer":          {map[string]any{"iss": "https://other.example"}, fault.IdentityTokenInvalid, `of the issuer "https://other.example"`},
		"a slash more":            {map[string]any{"iss": i.url + "/"}, fault.IdentityTokenInvalid, "of the issuer"},
		"no issuer":               {map[string]any{"iss": nil}, fault.IdentityTokenInvalid, "Missing a required claim: iss"},
		"no subject":              {map[string]any{"sub": nil}, fault.IdentityTokenInvalid, "Missing a required claim: sub"},
		"an empty subject":        {map[string]any{"sub": ""}, fault.IdentityTokenInvalid, "Missing a required claim: sub"},
		"two subjects":            {map[string]any{"sub": []string{"a", "b"}}, fault.IdentityTokenInvalid, "Missing a required claim: sub"},
		"no end":                  {map[string]any{"exp": nil}, fault.IdentityTokenInvalid, "Missing a required claim: exp"},
		"a text for an end":       {map[string]any{"exp": "1795694400"}, fault.IdentityTokenInvalid, "The claim exp must be a number"},
		"an end without end":      {map[string]any{"exp": 1e300}, fault.IdentityTokenInvalid, "The claim exp must be a number"},
		"an end before all":       {map[string]any{"exp": -1}, fault.IdentityTokenInvalid, "The claim exp must be a number"},
		"at its end":              {map[string]any{"exp": start.Unix()}, fault.IdentityTokenExpired, "Token expired: current date/time 1795694400 must be before the expiration date/time 1795694400"},
		"long past its end":       {map[string]any{"exp": 1}, fault.IdentityTokenExpired, "Token expired"},
		"not yet":                 {map[string]any{"nbf": start.Unix() + 61}, fault.IdentityTokenInvalid, "Token is not valid yet"},
		"of the future":           {map[string]any{"iat": start.Unix() + 61}, fault.IdentityTokenInvalid, "Token was issued in the future"},
		"a text for a beginning":  {map[string]any{"nbf": "0"}, fault.IdentityTokenInvalid, "The claim nbf must be a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := i.token(tt.changes)
			_, err := newVerifier(t, newClock(), nil).Verify(t.Context(), i.trusted(), token)
			wantFault(t, err, tt.code, tt.words, token)
		})
	}
	for name, changes := range map[string]map[string]any{
		"a clock that is ahead": {"iat": start.Unix() + 60, "nbf": start.Unix() + 60},
		"the last second":       {"exp": float64(start.Unix()) + 0.5},
		"no time of issue":      {"iat": nil},
	} {
		if _, err := newVerifier(t, newClock(), nil).Verify(t.Context(), i.trusted(), i.token(changes)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	none := i.trusted()
	none.ClientIDs = nil
	_, err := newVerifier(t, newClock(), nil).Verify(t.Context(), none, i.token(nil))
	wantFault(t, err, fault.IdentityTokenInvalid, "Incorrect token audience", "")
}

func TestDecimal(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"0": "0", "-1": "-1", "1.50": "1.50", "123456789012345678901234567890": "123456789012345678901234567890",
		"1e3": "1000", "1E+3": "1000", "1.5e1": "15", "1.25e1": "12.5", "12e-1": "1.2", "100e-1": "10", "-1e-3": "-0.001", "0e10": "0",
		"1e999999999": "", "1e-999999999": "", "1e401": "", "1e99999999999999999999": "",
	}
	for _, number := range slices.Sorted(maps.Keys(cases)) {
		if got, _ := oidc.Decimal(number); got != cases[number] {
			t.Errorf("%s is written %q, want %q", number, got, cases[number])
		}
	}
}
