package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"
)

// issuer is an identity provider whose keys the operator has pinned.
type issuer struct {
	url string
	key *rsa.PrivateKey
}

// issuers makes some, and the settings file that pins their keys.
func issuers(t *testing.T, urls ...string) (all []issuer, file string) {
	t.Helper()
	dir, yaml := t.TempDir(), "oidc-providers:\n"
	for i, url := range urls {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, fmt.Sprintf("%d.json", i))
		if err := os.WriteFile(name, keys, 0o600); err != nil {
			t.Fatal(err)
		}
		yaml += "  " + url + ":\n    jwks-file: " + name + "\n"
		all = append(all, issuer{url, key})
	}
	file = filepath.Join(dir, "berth.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return all, file
}

// token is a job's, with claims that differ from those of the main branch.
func (i issuer) token(t *testing.T, differ map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": i.url, "sub": "repo:org/app:ref:refs/heads/main", "aud": "sts.amazonaws.com", "repository": "org/app", "ref": "refs/heads/main",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "1",
	}
	for k, v := range differ {
		claims[k] = v
		if v == nil {
			delete(claims, k)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return oidctest.SignIDToken(i.key, "k", "RS256", string(text))
}

// TestConfusedDeputies exchanges tokens that verify and are for something else.
func TestConfusedDeputies(t *testing.T) {
	t.Parallel()
	all, file := issuers(t, "https://github.example.com", "https://gitlab.example.com", "https://nobody.example.com")
	github, gitlab, unknown := all[0], all[1], all[2]
	c := newCastle(t, "config="+file)
	ctx := t.Context()
	for _, i := range all[:2] {
		c.must(c.iam().CreateOpenIDConnectProvider(ctx, &iam.CreateOpenIDConnectProviderInput{
			Url: &i.url, ClientIDList: []string{"sts.amazonaws.com"}, ThumbprintList: []string{strings.Repeat("a", 40)},
		}))
	}
	trust := func(issuer, condition string) *string {
		return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":` +
			`"arn:aws:iam::123456789012:oidc-provider/` + issuer + `"},"Condition":` + condition + `}]}`)
	}
	for name, document := range map[string]*string{
		"push": trust("github.example.com", `{"StringEquals":{"github.example.com:aud":"sts.amazonaws.com","github.example.com:sub":"repo:org/app:ref:refs/heads/main"}}`),
		"any":  trust("github.example.com", `{"StringLike":{"github.example.com:sub":"repo:org/app:*"}}`),
		"odd":  trust("gitlab.example.com", `{"StringEquals":{"github.example.com:sub":"repo:org/app:ref:refs/heads/main"}}`),
	} {
		c.must(c.iam().CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: document}))
	}
	exchange := func(role, token string) error {
		_, err := c.stsAs(aws.Credentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: aws.String("arn:aws:iam::123456789012:role/" + role), RoleSessionName: aws.String("job"), WebIdentityToken: &token,
		})
		return err
	}
	for _, role := range []string{"push", "any"} {
		if err := exchange(role, github.token(t, nil)); err != nil {
			t.Fatalf("the job that the role %s is for: %v", role, err)
		}
	}
	for name, tt := range map[string]struct{ role, token, code string }{
		"another branch":                         {"push", github.token(t, map[string]any{"sub": "repo:org/app:ref:refs/heads/x"}), "AccessDenied"},
		"a branch whose name ends so":            {"push", github.token(t, map[string]any{"sub": "repo:org/app:ref:refs/heads/x/refs/heads/main"}), "AccessDenied"},
		"a tag called main":                      {"push", github.token(t, map[string]any{"sub": "repo:org/app:ref:refs/tags/main"}), "AccessDenied"},
		"a fork":                                 {"push", github.token(t, map[string]any{"sub": "repo:mallory/app:ref:refs/heads/main"}), "AccessDenied"},
		"a fork, by wildcard":                    {"any", github.token(t, map[string]any{"sub": "repo:mallory/app:ref:refs/heads/main"}), "AccessDenied"},
		"a longer name, by wildcard":             {"any", github.token(t, map[string]any{"sub": "repo:org/app-evil:ref:refs/heads/main"}), "AccessDenied"},
		"a pull request":                         {"push", github.token(t, map[string]any{"sub": "repo:org/app:pull_request"}), "AccessDenied"},
		"the subject in capitals":                {"push", github.token(t, map[string]any{"sub": "repo:ORG/app:ref:refs/heads/main"}), "AccessDenied"},
		"the subject and more":                   {"push", github.token(t, map[string]any{"sub": "repo:org/app:ref:refs/heads/main\x00"}), "AccessDenied"},
		"a claim in capitals":                    {"push", github.token(t, map[string]any{"sub": "repo:mallory/app:pull_request", "SUB": "repo:org/app:ref:refs/heads/main"}), "AccessDenied"},
		"another audience":                       {"push", github.token(t, map[string]any{"aud": "https://github.com/org"}), "InvalidIdentityToken"},
		"another audience, where none is a rule": {"any", github.token(t, map[string]any{"aud": "https://github.com/org"}), "InvalidIdentityToken"},
		"no audience":                            {"any", github.token(t, map[string]any{"aud": nil}), "InvalidIdentityToken"},
		"no subject":                             {"any", github.token(t, map[string]any{"sub": nil}), "InvalidIdentityToken"},
		"the other provider's, the same subject": {"push", gitlab.token(t, nil), "AccessDenied"},
		"the other provider's, by wildcard":      {"any", gitlab.token(t, nil), "AccessDenied"},
		"a condition about the other provider":   {"odd", gitlab.token(t, nil), "AccessDenied"},
		"the other's key, the first's name":      {"push", issuer{github.url, gitlab.key}.token(t, nil), "InvalidIdentityToken"},
		"a provider that is not the account's":   {"push", unknown.token(t, nil), "InvalidIdentityToken"},
		"the provider's name and a slash":        {"push", issuer{github.url + "/", github.key}.token(t, nil), "InvalidIdentityToken"},
		"the provider's name without TLS":        {"push", issuer{"http://github.example.com", github.key}.token(t, nil), "InvalidIdentityToken"},
		"yesterday's":                            {"push", github.token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "ExpiredToken"},
		"tomorrow's":                             {"push", github.token(t, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "InvalidIdentityToken"},
		"the right token, another role":          {"odd", github.token(t, nil), "AccessDenied"},
		"the right token, no role":               {"none", github.token(t, nil), "AccessDenied"},
	} {
		c.refused(name, exchange(tt.role, tt.token), tt.code)
	}

	// Whoever has a sound token hears the same of a role that does not trust it and of one that there is not.
	ask := func(role string) (status int, header http.Header, answer string) {
		return c.form(aws.Credentials{}, "sts", "AssumeRoleWithWebIdentity", "RoleArn", "arn:aws:iam::123456789012:role/"+role, "RoleSessionName", "job",
			"WebIdentityToken", github.token(t, map[string]any{"sub": "repo:mallory/app:pull_request"}))
	}
	status, header, answer := ask("push")
	none, noneHeader, silence := ask("gone")
	alike := func(s string) string {
		return requestIDs.ReplaceAllString(strings.NewReplacer("role/push", "role", "role/gone", "role").Replace(s), "ID")
	}
	if status != none || alike(answer) != alike(silence) {
		t.Errorf("a role that does not trust: %d %s\none that there is not:   %d %s", status, answer, none, silence)
	}
	if got, want := len(header.Get("X-Berth-Authorization-Message")), len(noneHeader.Get("X-Berth-Authorization-Message")); got != want {
		t.Errorf("the sealed message has %d bytes of a role that does not trust, and %d of one that there is not", got, want)
	}
}

// TestSessionsOfAnotherBerth brings what another Berth issued: to a user and a role of the same names, keys and time.
func TestSessionsOfAnotherBerth(t *testing.T) {
	t.Parallel()
	ours, theirs := newCastle(t), newCastle(t)
	keys := map[string]aws.Credentials{}
	for _, c := range []*castle{ours, theirs} {
		c.repository("team/app", "a layer")
		sam := c.user("sam", allowing("*", "*"))
		keys["a user's key"] = sam
		out, err := c.stsAs(sam).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		keys["a user's session"] = sessionOf(out.Credentials)
		keys["a role's session"] = c.assume(sam, c.role("job", allowing("*", "*")))
		keys["the root key"] = c.root
	}
	for name, key := range keys { // theirs
		if status, _, answer := theirs.call(key, ecrTarget+"DescribeRepositories", "{}"); status != http.StatusOK {
			t.Fatalf("%s, where it is from: %d %s", name, status, answer)
		}
		if status, _, answer := ours.call(key, ecrTarget+"DescribeRepositories", "{}"); status != http.StatusBadRequest || !strings.Contains(answer, "UnrecognizedClientException") {
			t.Errorf("%s of another Berth: %d %s", name, status, answer)
		}
		if status, _, answer := ours.docker(theirs.password(key), http.MethodGet, "/v2/", ""); status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("a password of another Berth, for %s: %d %s", name, status, answer)
		}
	}
	// The parts of a session's credentials go together.
	mine := ours.assume(ours.user("ada", allowing("*", "*")), "arn:aws:iam::123456789012:role/job")
	other := ours.assume(ours.user("bob", allowing("*", "*")), "arn:aws:iam::123456789012:role/job")
	for name, key := range map[string]aws.Credentials{
		"another session's token":       {AccessKeyID: mine.AccessKeyID, SecretAccessKey: mine.SecretAccessKey, SessionToken: other.SessionToken},
		"another session's key":         {AccessKeyID: other.AccessKeyID, SecretAccessKey: other.SecretAccessKey, SessionToken: mine.SessionToken},
		"another session's secret":      {AccessKeyID: mine.AccessKeyID, SecretAccessKey: other.SecretAccessKey, SessionToken: mine.SessionToken},
		"no token":                      {AccessKeyID: mine.AccessKeyID, SecretAccessKey: mine.SecretAccessKey},
		"the root key's id":             {AccessKeyID: ours.root.AccessKeyID, SecretAccessKey: mine.SecretAccessKey, SessionToken: mine.SessionToken},
		"the root key, with a token":    {AccessKeyID: ours.root.AccessKeyID, SecretAccessKey: ours.root.SecretAccessKey, SessionToken: mine.SessionToken},
		"a password for a token":        {AccessKeyID: mine.AccessKeyID, SecretAccessKey: mine.SecretAccessKey, SessionToken: ours.password(mine)},
		"a token of none":               {AccessKeyID: mine.AccessKeyID, SecretAccessKey: mine.SecretAccessKey, SessionToken: "berths_" + strings.Repeat("A", 400)},
		"the token with another ending": {AccessKeyID: mine.AccessKeyID, SecretAccessKey: mine.SecretAccessKey, SessionToken: mine.SessionToken + "A"},
	} {
		status, _, answer := ours.call(key, ecrTarget+"DescribeRepositories", "{}")
		if status != http.StatusBadRequest || !strings.Contains(answer, "UnrecognizedClientException") && !strings.Contains(answer, "InvalidSignatureException") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, _, answer := ours.docker(mine.SessionToken, http.MethodGet, "/v2/", ""); status != http.StatusUnauthorized && status != http.StatusForbidden {
		t.Errorf("a session token for a password: %d %s", status, answer)
	}
}
