package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	stsAccount = "000123456789"
	stsIssuer  = "https://token.actions.githubusercontent.com"
	stsClaims  = "token.actions.githubusercontent.com"
)

// stsHouse is an account in which time stands still until it is told to go on.
type stsHouse struct {
	*access.Service

	t         *testing.T
	db        *metadb.DB
	directory *identity.Directory
	now       time.Time
	root      identity.Caller
	tokens    stsTokens
}

// stsTokens verifies tokens that are JSON of their claims; what it holds for is in the claim "fault".
type stsTokens struct{}

func (stsTokens) Issuer(token string) (string, error) {
	var c struct{ Iss string }
	if err := json.Unmarshal([]byte(token), &c); err != nil {
		return "", fault.New(fault.IdentityTokenInvalid, "no token")
	}
	return c.Iss, nil
}

func (stsTokens) Verify(_ context.Context, p access.Provider, token string) (access.Claims, error) {
	var c struct {
		Iss, Sub, Aud, Fault, Source string
		Values                       map[string][]string
		Tags                         map[string]string
		Transitive                   []string
	}
	if err := json.Unmarshal([]byte(token), &c); err != nil {
		return access.Claims{}, fault.New(fault.IdentityTokenInvalid, "no token")
	}
	if c.Fault != "" {
		return access.Claims{}, fault.New(fault.Code(c.Fault), "as told")
	}
	values := map[string][]string{"sub": {c.Sub}, "aud": {c.Aud}}
	maps.Copy(values, c.Values)
	return access.Claims{
		Subject: c.Sub, Audience: c.Aud, Issuer: p.Issuer, Values: values, Tags: c.Tags, TransitiveTags: c.Transitive, SourceIdentity: c.Source,
	}, nil
}

func newSTSHouse(t *testing.T, db *metadb.DB) *stsHouse {
	t.Helper()
	h := &stsHouse{t: t, db: db, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return h.now }
	h.directory = identity.NewDirectory(identity.Config{Store: db, Master: master, Account: stsAccount, Now: clock})
	key, _, err := h.directory.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.root = key.Principal
	h.Service = access.New(access.Config{
		Store: db.Access(), Directory: h.directory, Account: stsAccount, Region: "eu-central-1", Now: clock, Tokens: h.tokens,
	})
	return h
}

// update writes rows, past the rules that others have tests for.
func (h *stsHouse) update(f func(ctx context.Context, tx access.Tx) error) {
	h.t.Helper()
	ctx := h.t.Context()
	if err := h.db.Access().Update(ctx, func(tx access.Tx) error { return f(ctx, tx) }); err != nil {
		h.t.Fatal(err)
	}
	h.now = h.now.Add(4 * time.Second) // nothing is remembered for so long
}

func (h *stsHouse) user(name string, policies ...string) identity.Caller {
	h.t.Helper()
	id := "AIDA" + strings.ToUpper(name) + "AAAAAAAAAAAAAAAAA"
	p := access.Principal{ID: id[:21], Kind: access.User, Name: name, Path: "/", ARN: "arn:aws:iam::" + stsAccount + ":user/" + name, CreatedAt: h.now}
	h.principal(p, policies)
	return identity.Caller{Account: stsAccount, ARN: p.ARN, UserID: p.ID, AccessKeyID: "AKIA" + p.ID[4:20], Origin: identity.Origin{Address: "192.0.2.7"}}
}

func (h *stsHouse) role(path, name, trust string, policies ...string) string {
	h.t.Helper()
	p := access.Principal{
		ID: "AROA" + strings.ToUpper(name) + "AAAAAAAAAAAAAAAAA", Kind: access.Role, Name: name, Path: path,
		ARN: "arn:aws:iam::" + stsAccount + ":role" + path + name, CreatedAt: h.now, Trust: trust, MaxSession: 2 * time.Hour,
	}
	p.ID = p.ID[:21]
	h.principal(p, policies)
	return p.ARN
}

func (h *stsHouse) principal(p access.Principal, policies []string) {
	h.t.Helper()
	h.update(func(ctx context.Context, tx access.Tx) error {
		err := tx.InsertPrincipal(ctx, p)
		for i, document := range policies {
			err = errors.Join(err, tx.PutInlinePolicy(ctx, p.ID, access.InlinePolicy{Name: fmt.Sprint("p", i), Document: document}))
		}
		return err
	})
}

// caller opens the credentials of a session, as a face does.
func (h *stsHouse) caller(s access.RoleSession) identity.Caller {
	h.t.Helper()
	key, err := h.directory.SessionKey(h.t.Context(), s.AccessKeyID, s.SessionToken)
	if err != nil {
		h.t.Fatalf("SessionKey: %v", err)
	}
	if key.Secret != s.SecretAccessKey {
		h.t.Fatalf("the secret that was told is not the one that signs")
	}
	key.Principal.Origin = identity.Origin{Address: "192.0.2.7"}
	return key.Principal
}

func (h *stsHouse) may(c identity.Caller, action policy.Action, resource string) error {
	return h.Authorize(h.t.Context(), c, policy.Request{Action: action, Resource: resource, Account: stsAccount})
}

// stsTrust is a trust policy with one statement. The condition may be empty.
func stsTrust(principal, actions, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":` + actions + condition + `}]}`
}

func stsAllow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

func stsToken(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": stsIssuer, "aud": "sts.amazonaws.com"}
	maps.Copy(all, claims)
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func stsWants(t *testing.T, what string, err error, code fault.Code, words ...string) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v\nwant %q in it", what, err, w)
		}
	}
}

const stsAnyAccount = `{"AWS":"` + stsAccount + `"}`

func TestAssumeRole(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		h := newSTSHouse(t, db)
		ci := h.user("ci", stsAllow("sts:*", "*"))
		eve := h.user("eve")
		push := h.role("/build/", "push", stsTrust(stsAnyAccount, `"sts:AssumeRole"`, ""), stsAllow("ecr:PutImage", "*"))
		named := h.role("/", "named", stsTrust(`{"AWS":"`+eve.ARN+`"}`, `"sts:AssumeRole"`, `{"StringEquals":{"sts:ExternalId":"s3cret"}}`))
		request := func(role string) access.AssumeRequest {
			return access.AssumeRequest{RoleRequest: access.RoleRequest{Role: role, Name: "run-17"}}
		}
		ctx := t.Context()

		begun, err := h.AssumeRole(ctx, ci, request(push))
		if err != nil {
			t.Fatalf("AssumeRole: %v", err)
		}
		c := h.caller(begun)
		if want := "arn:aws:sts::" + stsAccount + ":assumed-role/push/run-17"; c.ARN != want || begun.Principal.ARN != want {
			t.Errorf("the session is %s and %s, want %s", c.ARN, begun.Principal.ARN, want)
		}
		if !strings.HasPrefix(c.UserID, "AROAPUSH") || !strings.HasSuffix(c.UserID, ":run-17") || c.Session.RoleARN != push {
			t.Errorf("the session is of %s, %s", c.UserID, c.Session.RoleARN)
		}
		if got := begun.Expires.Sub(h.now); got != time.Hour {
			t.Errorf("it lasts %v, want an hour", got)
		}
		if err := h.may(c, policy.PutImage, "*"); err != nil {
			t.Errorf("it may not do what its role may: %v", err)
		}
		stsWants(t, "what the role may not", h.may(c, policy.BatchGetImage, "*"), fault.AccessDenied, c.ARN)

		_, err = h.AssumeRole(ctx, eve, request(push))
		stsWants(t, "without an identity policy", err, fault.AccessDenied, "User: "+eve.ARN+" is not authorized to perform: sts:AssumeRole on resource: "+push)
		_, err = h.AssumeRole(ctx, h.root, request(push))
		stsWants(t, "root", err, fault.AccessDenied, "Roles may not be assumed by root accounts.")
		external := request(named)
		_, err = h.AssumeRole(ctx, eve, external)
		stsWants(t, "without the external id", err, fault.AccessDenied)
		_, missing := h.AssumeRole(ctx, eve, request(named+"x"))
		if strings.ReplaceAll(missing.Error(), "namedx", "named") != err.Error() {
			t.Errorf("a role that there is not: %v\none that does not trust: %v", missing, err)
		}
		_, err = h.AssumeRole(ctx, eve, request(strings.ReplaceAll(push, "/build/", "/")))
		stsWants(t, "another path", err, fault.AccessDenied)
		external.ExternalID = "wr0ng"
		_, err = h.AssumeRole(ctx, eve, external)
		stsWants(t, "with another external id", err, fault.AccessDenied)
		if f, _ := fault.Of(err); strings.Contains(fmt.Sprintf("%+v", f.Detail), "wr0ng") || strings.Contains(fmt.Sprintf("%+v", f.Detail), "s3cret") {
			t.Errorf("the refusal tells external ids: %+v", f.Detail)
		}
		external.ExternalID = "s3cret"
		if _, err = h.AssumeRole(ctx, eve, external); err != nil {
			t.Errorf("with the external id: %v", err)
		}
	})
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		h := newSTSHouse(t, db)
		ctx := t.Context()
		provider, err := h.CreateProvider(ctx, h.root, access.NewProvider{Issuer: stsIssuer, ClientIDs: []string{"sts.amazonaws.com"}})
		if err != nil {
			t.Fatal(err)
		}
		role := h.role("/", "push", stsTrust(`{"Federated":"`+provider.ARN+`"}`, `"sts:AssumeRoleWithWebIdentity"`,
			`{"StringEquals":{"`+stsClaims+`:aud":"sts.amazonaws.com","`+stsClaims+`:sub":"repo:org/app:ref:refs/heads/main","`+stsClaims+`:environment":"prod"}}`),
			stsAllow("ecr:*", "*"))
		nobody := identity.Caller{Origin: identity.Origin{Address: "192.0.2.7"}}
		ask := func(role string, claims map[string]any) (access.WebIdentitySession, error) {
			all := map[string]any{"sub": "repo:org/app:ref:refs/heads/main", "values": map[string][]string{"environment": {"prod"}}}
			maps.Copy(all, claims)
			return h.AssumeRoleWithWebIdentity(ctx, nobody, access.WebIdentityRequest{
				RoleRequest: access.RoleRequest{Role: role, Name: "GitHubActions"}, Token: stsToken(t, all),
			})
		}
		begun, err := ask(role, nil)
		if err != nil {
			t.Fatalf("AssumeRoleWithWebIdentity: %v", err)
		}
		if begun.Subject != "repo:org/app:ref:refs/heads/main" || begun.Audience != "sts.amazonaws.com" || begun.Issuer != stsIssuer {
			t.Errorf("the token was %+v", begun)
		}
		if c := h.caller(begun.RoleSession); c.Session.Provider != provider.ARN || h.may(c, policy.PutImage, "*") != nil {
			t.Errorf("the session is %+v", c.Session)
		}
		const pr = "repo:org/app:pull_request"
		_, err = ask(role, map[string]any{"sub": pr})
		stsWants(t, "a pull request", err, fault.AccessDenied, "Not authorized to perform sts:AssumeRoleWithWebIdentity",
			`the token's `+stsClaims+`:sub is "`+pr+`"`, `its `+stsClaims+`:aud is "sts.amazonaws.com"`)
		if strings.Contains(err.Error(), "heads/main") {
			t.Errorf("a stranger is told what the policy wants: %v", err)
		}
		f, _ := fault.Of(err)
		if r, ok := f.Detail.(policy.Refusal); !ok || !strings.Contains(strings.Join(r.Explanation, " "), "heads/main") {
			t.Errorf("the refusal does not explain itself: %+v", f.Detail)
		}
		_, missing := ask(role+"x", map[string]any{"sub": pr})
		if missing == nil || strings.ReplaceAll(missing.Error(), "pushx", "push") != err.Error() {
			t.Errorf("a role that there is not: %v\none that does not trust: %v", missing, err)
		}
		for what, claims := range map[string]map[string]any{
			"a fork": {"sub": "repo:eve/app:ref:refs/heads/main"}, "another branch": {"sub": "repo:org/app:ref:refs/heads/x"},
			"another audience": {"aud": "other"}, "another environment": {"values": map[string][]string{"environment": {"test"}}}, "no environment": {"values": nil},
		} {
			_, err := ask(role, claims)
			stsWants(t, what, err, fault.AccessDenied)
		}
		_, err = ask(role, map[string]any{"sub": "repo:org@12/app@345:ref:refs/heads/main"})
		stsWants(t, "immutable ids", err, fault.AccessDenied, `"repo:org/app:ref:refs/heads/main" does not match`, `"repo:org@*/app@*:ref:refs/heads/main"`)
		_, err = ask(role, map[string]any{"iss": "https://evil.example"})
		stsWants(t, "another issuer", err, fault.IdentityTokenInvalid, "No OpenIDConnect provider found in your account for https://evil.example")
		_, err = ask(role, map[string]any{"fault": string(fault.IdentityTokenExpired)})
		stsWants(t, "a token that does not hold", err, fault.IdentityTokenExpired)
		_, err = ask(role, map[string]any{"tags": map[string]string{"team": "a"}})
		stsWants(t, "tags without TagSession", err, fault.AccessDenied, "sts:TagSession")
		_, err = ask(role, map[string]any{"source": "alice"})
		stsWants(t, "a source identity without SetSourceIdentity", err, fault.AccessDenied, "sts:SetSourceIdentity")
	})
}
