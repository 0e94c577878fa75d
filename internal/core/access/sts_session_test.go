package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const stsTakes = `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`

// TestSessionsAreChained goes from a user to a role and on to another.
func TestSessionsAreChained(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		h := newSTSHouse(t, db)
		ctx := t.Context()
		ci := h.user("ci", stsAllow("sts:*", "*"))
		first := h.role("/", "first", stsTrust(stsAnyAccount, stsTakes, ""), stsAllow("sts:*", "*"))
		second := h.role("/", "second", stsTrust(stsAnyAccount, stsTakes, ""), stsAllow("ecr:*", "*"))
		untagged := h.role("/", "untagged", stsTrust(stsAnyAccount, `["sts:AssumeRole","sts:SetSourceIdentity"]`, ""))
		r := access.AssumeRequest{
			RoleRequest: access.RoleRequest{Role: first, Name: "one", Duration: 2 * time.Hour},
			Tags:        []access.Tag{{Key: "Team", Value: "a"}, {Key: "Cost", Value: "7"}}, TransitiveTags: []string{"team"}, SourceIdentity: "alice",
		}
		begun, err := h.AssumeRole(ctx, ci, r)
		if err != nil {
			t.Fatalf("AssumeRole: %v", err)
		}
		one := h.caller(begun)
		if diff := cmp.Diff(map[string]string{"Team": "a", "Cost": "7"}, one.Session.Tags); diff != "" || one.Session.SourceIdentity != "alice" || !begun.Limited {
			t.Errorf("the first session: %+v %s", one.Session, diff)
		}
		r = access.AssumeRequest{RoleRequest: access.RoleRequest{Role: second, Name: "two"}}
		if begun, err = h.AssumeRole(ctx, one, r); err != nil {
			t.Fatalf("AssumeRole from a session: %v", err)
		}
		two := h.caller(begun)
		if diff := cmp.Diff(map[string]string{"Team": "a"}, two.Session.Tags); diff != "" || two.Session.SourceIdentity != "alice" {
			t.Errorf("the second session: %+v %s", two.Session, diff)
		}
		if diff := cmp.Diff([]string{"Team"}, two.Session.TransitiveTags); diff != "" {
			t.Errorf("its transitive tags: %s", diff)
		}
		for what, change := range map[string]func(r *access.AssumeRequest){
			"a transitive tag that is there":       func(r *access.AssumeRequest) { r.Tags = []access.Tag{{Key: "TEAM", Value: "b"}} },
			"another source identity":              func(r *access.AssumeRequest) { r.SourceIdentity = "bob" },
			"1 hour session limit":                 func(r *access.AssumeRequest) { r.Duration = time.Hour + time.Second },
			"a transitive key that is not a tag's": func(r *access.AssumeRequest) { r.TransitiveTags = []string{"x"} },
		} {
			changed := r
			change(&changed)
			_, err := h.AssumeRole(ctx, one, changed)
			stsWants(t, what, err, fault.InvalidParameter)
		}
		_, err = h.AssumeRole(ctx, one, access.AssumeRequest{RoleRequest: access.RoleRequest{Role: untagged, Name: "three"}})
		stsWants(t, "inherited tags without TagSession", err, fault.AccessDenied, "sts:TagSession")
	})
}

// TestAssumeRoleIsHeldToItsLimits asks for what there is too much of.
func TestAssumeRoleIsHeldToItsLimits(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	ctx := t.Context()
	ci := h.user("ci", stsAllow("sts:*", "*"))
	role := h.role("/", "push", stsTrust(stsAnyAccount, stsTakes, ""), stsAllow("ecr:*", "*"))
	managed := "arn:aws:iam::" + stsAccount + ":policy/pull"
	h.update(func(ctx context.Context, tx access.Tx) error {
		p := access.ManagedPolicy{ARN: managed, ID: "ANPA1", Name: "pull", Path: "/", InForce: 1, LastVersion: 1, CreatedAt: h.now, UpdatedAt: h.now}
		if err := tx.InsertManagedPolicy(ctx, p); err != nil {
			return err
		}
		return tx.InsertPolicyVersion(ctx, managed, access.PolicyVersion{Number: 1, Document: stsAllow("ecr:Batch*", "*"), CreatedAt: h.now})
	})
	many := func(n int, value string) (tags []access.Tag) {
		for i := range n {
			tags = append(tags, access.Tag{Key: fmt.Sprint("k", i), Value: fmt.Sprint(value, i)})
		}
		return tags
	}
	noise := func(n int) string { // what does not compress
		var b strings.Builder
		for i := uint32(1); b.Len() < n; i = i*1664525 + 1013904223 {
			fmt.Fprintf(&b, "%c", 'a'+rune(i>>24)%26)
		}
		return b.String()
	}
	loud, all := many(50, ""), noise(50*200)
	for i := range loud {
		loud[i].Value = all[i*200 : i*200+200] // noise of its own
	}
	for what, c := range map[string]struct {
		change func(r *access.AssumeRequest)
		code   fault.Code
		words  string
	}{
		"no role":             {func(r *access.AssumeRequest) { r.Role = "push" }, fault.InvalidParameter, ""},
		"a short name":        {func(r *access.AssumeRequest) { r.Name = "x" }, fault.InvalidParameter, "roleSessionName"},
		"a name with a slash": {func(r *access.AssumeRequest) { r.Name = "a/b" }, fault.InvalidParameter, "roleSessionName"},
		"too short":           {func(r *access.AssumeRequest) { r.Duration = 899 * time.Second }, fault.InvalidParameter, "900"},
		"too long":            {func(r *access.AssumeRequest) { r.Duration = 2*time.Hour + time.Second }, fault.InvalidParameter, "MaxSessionDuration"},
		"no policy":           {func(r *access.AssumeRequest) { r.Policy = "{" }, fault.PolicyMalformed, ""},
		"a policy for somebody": {
			func(r *access.AssumeRequest) { r.Policy = stsTrust(stsAnyAccount, `"sts:AssumeRole"`, "") }, fault.PolicyMalformed, "Principal",
		},
		"a long policy":       {func(r *access.AssumeRequest) { r.Policy = stsAllow("ecr:*", noise(2048)) }, fault.InvalidParameter, "2048"},
		"no managed policy":   {func(r *access.AssumeRequest) { r.PolicyARNs = []string{managed + "x"} }, fault.PolicyMalformed, "does not exist"},
		"11 managed policies": {func(r *access.AssumeRequest) { r.PolicyARNs = strings.Split(strings.Repeat(",", 10), ",") }, fault.InvalidParameter, ""},
		"51 tags":             {func(r *access.AssumeRequest) { r.Tags = many(51, "") }, fault.LimitExceeded, ""},
		"twice a tag":         {func(r *access.AssumeRequest) { r.Tags = []access.Tag{{Key: "a"}, {Key: "A"}} }, fault.InvalidParameter, "Duplicate"},
		"too much":            {func(r *access.AssumeRequest) { r.Tags = loud }, fault.SessionTooLarge, "% of allotted space"},
		"a source identity":   {func(r *access.AssumeRequest) { r.SourceIdentity = "aws:me" }, fault.InvalidParameter, ""},
		"an external id":      {func(r *access.AssumeRequest) { r.ExternalID = strings.Repeat("x", 1225) }, fault.InvalidParameter, ""},
	} {
		r := access.AssumeRequest{RoleRequest: access.RoleRequest{Role: role, Name: "run"}}
		c.change(&r)
		_, err := h.AssumeRole(ctx, ci, r)
		stsWants(t, what, err, c.code, c.words)
	}
	r := access.AssumeRequest{RoleRequest: access.RoleRequest{Role: role, Name: "run", Duration: 2 * time.Hour, PolicyARNs: []string{managed}}, Tags: many(50, "v")}
	begun, err := h.AssumeRole(ctx, ci, r)
	if err != nil {
		t.Fatalf("AssumeRole: %v", err)
	}
	if n := access.Percent(begun.Packed); n < 5 || n > 100 {
		t.Errorf("packed to %d%%", n)
	}
	c := h.caller(begun)
	if err := h.may(c, policy.BatchGetImage, "*"); err != nil {
		t.Errorf("what role and session policy allow: %v", err)
	}
	stsWants(t, "what the session policy does not allow", h.may(c, policy.PutImage, "*"), fault.AccessDenied, "session policy")
}

// TestSessionsEnd goes through the ways in which a session is over before its time, and at it.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		h := newSTSHouse(t, db)
		ctx := t.Context()
		ci := h.user("ci", stsAllow("sts:*", "*"))
		role := h.role("/", "push", stsTrust(stsAnyAccount, stsTakes, ""), stsAllow("ecr:*", "*"))
		begin := func() access.RoleSession {
			t.Helper()
			begun, err := h.AssumeRole(ctx, ci, access.AssumeRequest{RoleRequest: access.RoleRequest{Role: role, Name: "run"}})
			if err != nil {
				t.Fatalf("AssumeRole: %v", err)
			}
			return begun
		}
		old := begin()
		h.now = h.now.Add(time.Minute)
		revoke := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"` +
			h.now.Format(time.RFC3339) + `"}}}]}`
		before, err := db.Access().Read().Principal(ctx, access.Role, "push")
		if err != nil {
			t.Fatal(err)
		}
		h.update(func(ctx context.Context, tx access.Tx) error {
			return tx.PutInlinePolicy(ctx, before.ID, access.InlinePolicy{Name: "AWSRevokeOlderSessions", Document: revoke})
		})
		stsWants(t, "a session from before the revocation", h.may(h.caller(old), policy.PutImage, "*"), fault.AccessDenied, "explicit deny")
		fresh := begin()
		if err := h.may(h.caller(fresh), policy.PutImage, "*"); err != nil {
			t.Errorf("a session from after it: %v", err)
		}
		h.update(func(ctx context.Context, tx access.Tx) error { return tx.DeletePrincipal(ctx, before.ID) })
		_, err = h.directory.SessionKey(ctx, fresh.AccessKeyID, fresh.SessionToken)
		stsWants(t, "a deleted role's session", err, fault.AccessKeyUnknown)
		again := before
		again.ID = "AROAAGAINAAAAAAAAAAAA"
		h.principal(again, []string{stsAllow("ecr:*", "*")})
		_, err = h.directory.SessionKey(ctx, fresh.AccessKeyID, fresh.SessionToken)
		stsWants(t, "a session of a role that was deleted and made again", err, fault.AccessKeyUnknown)
		last := begin()
		h.now = last.Expires.Add(-time.Second)
		h.caller(last)
		h.now = last.Expires
		_, err = h.directory.SessionKey(ctx, last.AccessKeyID, last.SessionToken)
		stsWants(t, "a session at its end", err, fault.SessionExpired)
	})
}

func TestGetSessionToken(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	ctx := t.Context()
	ci := h.user("ci", stsAllow("*", "*"))
	role := h.role("/", "push", stsTrust(stsAnyAccount, stsTakes, ""))
	for what, c := range map[string]struct {
		who  identity.Caller
		asks time.Duration
		gets time.Duration
	}{
		"a user":        {ci, 0, 12 * time.Hour},
		"a user, short": {ci, 15 * time.Minute, 15 * time.Minute},
		"a user, long":  {ci, 36 * time.Hour, 36 * time.Hour},
		"root":          {h.root, 0, time.Hour},
		"root, long":    {h.root, 12 * time.Hour, time.Hour},
	} {
		begun, err := h.StartSession(ctx, c.who, c.asks)
		if err != nil || begun.Expires.Sub(h.now) != c.gets {
			t.Errorf("%s: %v, %v; want %v", what, begun.Expires.Sub(h.now), err, c.gets)
			continue
		}
		s := h.caller(begun)
		if s.ARN != c.who.ARN || s.UserID != c.who.UserID || s.Root != c.who.Root || s.AccessKeyID == c.who.AccessKeyID {
			t.Errorf("%s: the session is %+v", what, s)
		}
		if err := h.may(s, policy.PutImage, "*"); err != nil {
			t.Errorf("%s: it may not what its user may: %v", what, err)
		}
		_, err = h.StartSession(ctx, s, 0)
		stsWants(t, what+": from a session", err, fault.AccessDenied, "session credentials")
		_, err = h.Providers(ctx, s)
		stsWants(t, what+": IAM", err, fault.AccessDenied, "second factor")
		_, err = h.AccessKeyAccount(ctx, s, s.AccessKeyID)
		stsWants(t, what+": STS", err, fault.AccessDenied, "second factor")
		_, err = h.AssumeRole(ctx, s, access.AssumeRequest{RoleRequest: access.RoleRequest{Role: role, Name: "run", Duration: 2 * time.Hour}})
		if s.Root != (err != nil) {
			t.Errorf("%s: AssumeRole: %v", what, err)
		}
	}
	begun, err := h.StartSession(ctx, ci, 0)
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(ci.ARN, "user/ci", "user/cd", 1)
	h.update(func(ctx context.Context, tx access.Tx) error {
		p, err := tx.PrincipalByID(ctx, ci.UserID)
		p.Name, p.ARN = "cd", renamed
		return errors.Join(err, tx.UpdatePrincipal(ctx, p))
	})
	if c := h.caller(begun); c.ARN != renamed {
		t.Errorf("the session of a user who has another name since is %s, want %s", c.ARN, renamed)
	}
	_, err = h.StartSession(ctx, ci, 36*time.Hour+time.Second)
	stsWants(t, "too long", err, fault.InvalidParameter)
	_, err = h.StartSession(ctx, identity.Caller{}, 0)
	stsWants(t, "nobody", err, fault.AccessDenied)
}

func TestGetAccessKeyInfo(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	for id, want := range map[string]fault.Code{
		h.root.AccessKeyID: "", "ASIAIOSFODNN7EXAMPLE": "", "AKIAIOSFODNN7EXAMPLE": fault.InvalidParameter, "": fault.InvalidParameter,
		"ASIAIOSFODNN0EXAMPLE": fault.InvalidParameter,
	} {
		got, err := h.AccessKeyAccount(t.Context(), h.root, id)
		if want == "" && (err != nil || got != stsAccount) {
			t.Errorf("%s: %s, %v", id, got, err)
		} else if want != "" {
			stsWants(t, id, err, want)
		}
	}
	_, err := h.AccessKeyAccount(t.Context(), h.user("eve"), h.root.AccessKeyID)
	stsWants(t, "without permission", err, fault.AccessDenied, "sts:GetAccessKeyInfo")
}

func TestRefusalsAreDecoded(t *testing.T) {
	t.Parallel()
	h := newSTSHouse(t, metadbtest.New(t))
	ctx := t.Context()
	eve := h.user("eve", `{"Version":"2012-10-17","Statement":[{"Sid":"Office","Effect":"Allow","Action":"ecr:PutImage","Resource":"*",
		"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`, `{"Statement":[{"Sid":"No","Effect":"Deny","Action":"ecr:Delete*","Resource":"*"}]}`)
	refusal := func(action policy.Action) policy.Refusal {
		f, ok := fault.Of(h.may(eve, action, "arn:aws:ecr:eu-central-1:000123456789:repository/app"))
		r, is := f.Detail.(policy.Refusal)
		if !ok || !is {
			t.Fatalf("%s is not refused, or without a reason: %+v", action, f)
		}
		return r
	}
	text := h.Encode(ctx, refusal(policy.PutImage))
	document, err := h.DecodeAuthorizationMessage(ctx, h.root, text)
	if err != nil {
		t.Fatalf("DecodeAuthorizationMessage: %v", err)
	}
	for _, want := range []string{
		`"allowed":false`, `"explicitDeny":false`, `"matchedStatements":{"items":[]}`, `"principal":{"arn":"` + eve.ARN + `"}`,
		`"action":"ecr:PutImage"`, `"resource":"arn:aws:ecr:`, `10.0.0.0/8`, `{"key":"aws:sourceip","values":{"items":[{"value":"192.0.2.7"}]}}`,
	} {
		if !json.Valid([]byte(document)) || !strings.Contains(document, want) {
			t.Errorf("the document lacks %s:\n%s", want, document)
		}
	}
	document, err = h.DecodeAuthorizationMessage(ctx, h.root, h.Encode(ctx, refusal(policy.DeleteRepository)))
	if err != nil || !strings.Contains(document, `"explicitDeny":true`) || !strings.Contains(document, `"statementId":"No","effect":"Deny"`) {
		t.Errorf("an explicit deny: %v\n%s", err, document)
	}
	_, err = h.DecodeAuthorizationMessage(ctx, eve, text)
	stsWants(t, "without permission", err, fault.AccessDenied, "sts:DecodeAuthorizationMessage")
	begun, err := h.StartSession(ctx, eve, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, wrong := range map[string]string{
		"nothing": "", "words": "words", "cut short": text[:len(text)-2], "longer": text + "AA", "changed": "B" + text[1:],
		"a session": strings.TrimPrefix(begun.SessionToken, "berths_"), "huge": strings.Repeat("A", 5000),
	} {
		_, err = h.DecodeAuthorizationMessage(ctx, h.root, wrong)
		stsWants(t, what, err, fault.DecisionMessageInvalid)
	}
	big := refusal(policy.PutImage)
	for i := range 500 {
		big.Explanation = append(big.Explanation, fmt.Sprintf("%d%x", i, i*i*7919))
		if text := h.Encode(ctx, big); text == "" || len(text) > 3072 { // with the other headers it is to fit into 4096
			t.Fatalf("a refusal with %d reasons has %d characters", i+1, len(text))
		}
	}
	h.now = h.now.Add(24 * time.Hour)
	_, err = h.DecodeAuthorizationMessage(ctx, h.root, text)
	stsWants(t, "a day later", err, fault.DecisionMessageInvalid)
}
