package audit_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	account = "123456789012"
	roleARN = "arn:aws:iam::" + account + ":role/ci/deploy"
	subject = "repo:hoopstat-haus/app:ref:refs/heads/main"
)

var begin = time.Date(2026, 11, 27, 7, 1, 42, 123456000, time.UTC)

func encoder() audit.Encoder { return audit.Encoder{Account: account, Region: "us-east-1"} }

// pullBy is a pull by a session that began with GitHub's token.
func pullBy() audit.Entry {
	digest := oci.FromBytes([]byte("image"))
	return audit.Entry{
		At: begin, ID: "0123456789abcdef0123456789abcdef", Service: "ecr", Operation: "BatchGetImage", ReadOnly: true,
		Caller: identity.Caller{
			Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/deploy/run-7", UserID: "AROAEXAMPLE:run-7", AccessKeyID: "ASIAEXAMPLE",
			Session: &identity.Session{
				Name: "run-7", RoleARN: roleARN, IssuedAt: begin.Add(-time.Minute), Expires: begin.Add(time.Hour),
				Provider: "arn:aws:iam::" + account + ":oidc-provider/token.actions.githubusercontent.com", Subject: subject, SourceIdentity: "octocat",
			},
			Origin: identity.Origin{Address: "192.0.2.7", UserAgent: "docker/29"},
		},
		Repository: "hoopstat-haus/prod", Images: []audit.ImageName{{Digest: digest, Tag: "v1"}},
		Method: "GET", Path: "/v2/hoopstat-haus/prod/manifests/v1", Status: 200, DecidedBy: "statement 1 (Pull) of the identity-based policy p",
		Pulled: []oci.Digest{digest}, BytesOut: 512, Duration: 1500 * time.Microsecond,
	}
}

func line(e audit.Entry, n int64) []byte {
	return audit.Number(encoder().Append(nil, &e), "l1", n, []byte{1, 2, 3, 4, 5, 6, 7, 8})
}

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	e := pullBy()
	text := line(e, 7)
	if again := line(e, 7); !bytes.Equal(text, again) {
		t.Errorf("the same entry makes %s and %s", text, again)
	}
	r, err := audit.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Record{
		Line: text, Log: "l1", Sequence: 7, Previous: []byte{1, 2, 3, 4, 5, 6, 7, 8}, At: begin, EventID: "01234567-89ab-cdef-0123-456789abcdef",
		RequestID: e.ID, Type: "AwsApiCall", Source: "ecr.amazonaws.com", Operation: "BatchGetImage", ReadOnly: true,
		Principal: roleARN, ARN: e.Caller.ARN, UserName: "deploy", AccessKeyID: "ASIAEXAMPLE", Subject: subject, Provider: e.Caller.Session.Provider,
		SourceIdentity: "octocat", Address: "192.0.2.7", UserAgent: "docker/29", Repository: e.Repository, Images: e.Images,
		Resources: []string{"arn:aws:ecr:us-east-1:" + account + ":repository/hoopstat-haus/prod"}, Method: "GET", Path: e.Path, Status: 200,
		DecidedBy: e.DecidedBy, Pulled: e.Pulled, BytesOut: 512, Duration: e.Duration,
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("Decode (-want +got):\n%s", diff)
	}
	// What tools for CloudTrail look at.
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	user := document["userIdentity"].(map[string]any)
	session := user["sessionContext"].(map[string]any)
	got := []any{
		document["eventVersion"], document["eventTime"], document["eventCategory"], user["type"], session["sourceIdentity"],
		session["webIdFederationData"].(map[string]any)["attributes"].(map[string]any)["sub"],
		document["requestParameters"].(map[string]any)["imageIds"].([]any)[0].(map[string]any)["imageTag"],
	}
	if diff := cmp.Diff([]any{"1.11", "2026-11-27T07:01:42Z", "Management", "AssumedRole", "octocat", subject, "v1"}, got); diff != "" {
		t.Errorf("the record in CloudTrail's words (-want +got):\n%s", diff)
	}
}

func TestCallersOfAllKinds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		caller              identity.Caller
		kind, principal, by string
	}{
		"root":      {identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Root: true}, "Root", "arn:aws:iam::" + account + ":root", ""},
		"user":      {identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/team/eve", UserID: "AIDA1"}, "IAMUser", "arn:aws:iam::" + account + ":user/team/eve", "eve"},
		"nobody":    {identity.Caller{}, "AWSAccount", audit.Anonymous, ""},
		"itself":    {identity.Service(account, "lifecycle"), "AWSService", "berth:lifecycle", ""},
		"a token":   {identity.Caller{Session: &identity.Session{Provider: "p", Subject: subject}}, "WebIdentityUser", audit.Anonymous, subject},
		"a session": {pullBy().Caller, "AssumedRole", roleARN, "deploy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := audit.Entry{At: begin, Service: "sts", Operation: "GetCallerIdentity", Caller: tt.caller}
			text := line(e, 0)
			r, err := audit.Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), `"userIdentity":{"type":"`+tt.kind+`"`) || r.Principal != tt.principal || r.UserName != tt.by {
				t.Errorf("principal %q, name %q, want %s %q, %q: %s", r.Principal, r.UserName, tt.kind, tt.principal, tt.by, text)
			}
		})
	}
}

// FuzzAppend feeds what clients choose. A record is one line of sound JSON whatever they send, and short.
func FuzzAppend(f *testing.F) {
	f.Add("app", "v1", "docker/29", "/v2/", "no")
	f.Add("a\nb", "\x1b[2J", "\u009b31m\xff", "\"}\\", strings.Repeat("é", 4000))
	f.Fuzz(func(t *testing.T, repository, tag, agent, path, message string) {
		e := pullBy()
		e.Repository, e.Images[0].Tag, e.Caller.Origin.UserAgent, e.Path, e.Message = repository, tag, agent, path, message
		e.Parameters = []audit.Parameter{{Name: "userName", Value: tag}}
		text := line(e, 1)
		r, err := audit.Decode(text)
		if err != nil || len(text) > 40<<10 {
			t.Fatalf("Decode of %d bytes: %v: %q", len(text), err, text)
		}
		for _, c := range string(text) {
			if c < ' ' || c >= 0x7f && c < 0xa0 {
				t.Fatalf("a control in %q", text)
			}
		}
		if len(repository) < 1000 && strings.ToValidUTF8(repository, "") == repository && r.Repository != repository {
			t.Errorf("repository %q is read as %q", repository, r.Repository)
		}
	})
}

func TestQueriesMatch(t *testing.T) {
	t.Parallel()
	e := pullBy()
	pull, err := audit.Decode(line(e, 0))
	if err != nil {
		t.Fatal(err)
	}
	e.Status, e.Fault, e.Pulled = 400, "AccessDeniedException", nil
	refused, err := audit.Decode(line(e, 1))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	for name, tt := range map[string]struct {
		q             audit.Query
		pull, refused bool
	}{
		"everything":      {audit.Query{}, true, true},
		"since":           {audit.Query{Since: begin}, true, true},
		"later":           {audit.Query{Since: begin.Add(1)}, false, false},
		"until":           {audit.Query{Until: begin}, false, false},
		"role":            {audit.Query{Principal: roleARN}, true, true},
		"session":         {audit.Query{Principal: e.Caller.ARN}, true, true},
		"name":            {audit.Query{Principal: "deploy"}, true, true},
		"subject":         {audit.Query{Principal: subject}, true, true},
		"somebody else":   {audit.Query{Principal: "eve"}, false, false},
		"denied":          {audit.Query{DeniedOnly: true}, false, true},
		"digest":          {audit.Query{Image: string(oci.FromBytes([]byte("image")))}, true, true},
		"tag":             {audit.Query{Repository: "hoopstat-haus/prod", Image: "v1"}, true, true},
		"another's tag":   {audit.Query{Repository: "other", Image: "v1"}, false, false},
		"operation":       {audit.Query{Operation: "BatchGetImage"}, true, true},
		"key":             {audit.Query{AccessKeyID: "ASIAEXAMPLE"}, true, true},
		"request":         {audit.Query{RequestID: e.ID}, true, true},
		"event":           {audit.Query{RequestID: "01234567-89ab-cdef-0123-456789abcdef"}, true, true},
		"another request": {audit.Query{RequestID: "x"}, false, false},
		"read-only":       {audit.Query{ReadOnly: &yes}, true, true},
		"writes":          {audit.Query{ReadOnly: &no}, false, false},
	} {
		if got := tt.q.Matches(&pull); got != tt.pull {
			t.Errorf("%s: the pull matches: %v", name, got)
		}
		if got := tt.q.Matches(&refused); got != tt.refused {
			t.Errorf("%s: the refusal matches: %v", name, got)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	e := pullBy()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.Number(encoder().Append(buf[:0], &e), "l1", 7, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	text := line(pullBy(), 7)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
