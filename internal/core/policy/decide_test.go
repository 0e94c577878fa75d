package policy_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const ours = "111122223333"

// askers are who may ask in testdata.
var askers = map[string]policy.Asker{
	"anonymous": {},
	"web":       {Federated: "arn:aws:iam::111122223333:oidc-provider/token.example.com"},
	"root":      {ARN: "arn:aws:iam::111122223333:root", Account: ours, UserID: ours},
	"eve":       {ARN: "arn:aws:iam::111122223333:user/eve", Account: ours, UserID: "AIDAAAAAAAAAAAAAAEVE"},
	"session": {
		ARN: "arn:aws:sts::111122223333:assumed-role/ci/run-17", Account: ours,
		RoleARN: "arn:aws:iam::111122223333:role/build/ci", UserID: "AROAAAAAAAAAAAAAAACI:run-17",
	},
	"stranger": {ARN: "arn:aws:iam::444455556666:user/sam", Account: "444455556666", UserID: "AIDAAAAAAAAAAAAAASAM"},
	"strange-session": {
		ARN: "arn:aws:sts::444455556666:assumed-role/app/x", Account: "444455556666",
		RoleARN: "arn:aws:iam::444455556666:role/app", UserID: "AROAAAAAAAAAAAAAAAPP:x",
	},
}

// TestDecide goes through testdata/decide. Each file is a txtar archive: what it is about, policies, and questions with
// what is expected. A policy is named by its side: identity/NAME, boundary, session/NAME, resource/NAME, trust/NAME; it is a
// document, or a statement or a list of statements of one of 2012. A question is a line
//
//	WHO ACTION RESOURCE [KEY=VALUE|VALUE]… -> OUTCOME [POLICY.STATEMENT]… [missing=KEY,KEY]
//
// where repo:NAME is a repository's ARN, KEY=[] is a key without values, and a space in a value is written _. An implicit
// deny has what is lacking for an outcome. What follows a # and a space is a comment.
func TestDecide(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/decide/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			base := policy.Question{Account: ours}
			for _, f := range txtar.Parse(text).Files {
				if strings.HasPrefix(f.Name, "questions") {
					asked += askAll(t, base, string(f.Data))
					continue
				}
				if f.Name == "nothing" { // from here on, other policies
					base = policy.Question{Account: ours}
					continue
				}
				addPolicy(t, &base, f.Name, string(f.Data))
			}
			if asked == 0 {
				t.Error("no questions")
			}
		})
	}
}

func addPolicy(t *testing.T, q *policy.Question, name, text string) {
	t.Helper()
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") || !strings.Contains(text, `"Statement"`) {
		text = `{"Version":"2012-10-17","Statement":` + text + `}`
	}
	d, err := policy.ParseDocument(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	switch side, _ := path.Split(name); {
	case name == "boundary":
		q.Boundary, err = policy.Compile(policy.PermissionsBoundary, name, d), d.OfIdentity()
	case side == "identity/":
		q.Identity, err = append(q.Identity, policy.Compile(policy.IdentityBased, name, d)), d.OfIdentity()
	case side == "session/":
		q.Sessions, err = append(q.Sessions, policy.Compile(policy.SessionPolicy, name, d)), d.OfIdentity()
	case side == "resource/":
		q.Resources = append(q.Resources, policy.Compile(policy.ResourceBased, name, d))
	case side == "trust/":
		q.Resources, err = append(q.Resources, policy.Compile(policy.RoleTrust, name, d)), d.OfTrust()
	default:
		t.Fatalf("there is no such file as %s", name)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func askAll(t *testing.T, base policy.Question, lines string) (asked int) {
	t.Helper()
	for line := range strings.Lines(lines) {
		line, _, _ = strings.Cut(line, "# ")
		if strings.TrimSpace(line) == "" {
			continue
		}
		question, want, ok := strings.Cut(line, "->")
		words := strings.Fields(question)
		if !ok || len(words) < 3 {
			t.Fatalf("no question: %s", line)
		}
		q := base
		who, known := askers[words[0]]
		if !known {
			t.Fatalf("who is %s?", words[0])
		}
		q.Asker, q.Action, q.Resource = who, policy.Action(words[1]), words[2]
		if name, isRepo := strings.CutPrefix(words[2], "repo:"); isRepo {
			q.Resource = policy.RepositoryARN("us-east-1", ours, name)
		}
		q.Context = contextOf(words[3:])
		if got, want := inWords(policy.Decide(q)), strings.Join(strings.Fields(want), " "); got != want {
			t.Errorf("%s\n got  %s\n want %s", strings.TrimSpace(question), got, want)
		}
		asked++
	}
	return asked
}

func contextOf(words []string) policy.Context {
	values := map[string][]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		values[strings.ToLower(key)] = strings.Split(strings.ReplaceAll(value, "_", " "), "|")
		if value == "[]" {
			values[strings.ToLower(key)] = nil
		}
	}
	return func(key string) ([]string, bool) {
		if strings.ToLower(key) != key {
			panic("asked for " + key)
		}
		v, ok := values[key]
		return v, ok
	}
}

func inWords(d policy.Decision) string {
	words := []string{string(d.Outcome)}
	if d.Outcome == policy.ImplicitDeny {
		words = []string{"no", string(d.Lacking)}
	}
	for _, m := range d.Because {
		words = append(words, fmt.Sprintf("%s.%d", m.Policy.Name(), m.Statement))
	}
	if len(d.MissingKeys) > 0 {
		words = append(words, "missing="+strings.Join(d.MissingKeys, ","))
	}
	return strings.Join(words, " ")
}

// TestConditions goes through testdata/conditions.txt: after each condition block come what a request has, as in
// [TestDecide], and whether it meets the conditions. Each is tried in an Allow and in a Deny, which seldom differ.
func TestConditions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var q policy.Question
	tried := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '"':
			q = policy.Question{Asker: askers["eve"], Account: ours, Resource: policy.RepositoryARN("r", ours, "app")}
			block := `","Resource":"*","Condition":{` + line + `}}`
			addPolicy(t, &q, "identity/c", `[{"Effect":"Allow","Action":"ecr:PutImage`+block+`,{"Effect":"Deny","Action":"ecr:ListImages`+block+`]`)
			continue
		}
		has, want, _ := strings.Cut(line, "->")
		q.Context = contextOf(strings.Fields(has))
		q.Action = policy.PutImage
		allow := policy.Decide(q)
		q.Action = policy.ListImages
		deny := policy.Decide(q)
		got := "unmet"
		switch met := deny.Outcome == policy.ExplicitDeny; {
		case met && allow.Outcome == policy.Allowed:
			got = "met"
		case met:
			got = "met in Deny"
		case allow.Outcome == policy.Allowed:
			got = "met in Allow"
		}
		if len(allow.MissingKeys) > 0 {
			got += " missing=" + strings.Join(allow.MissingKeys, ",")
		}
		if got != strings.TrimSpace(want) {
			t.Errorf("%s: got %s", line, got)
		}
		tried++
	}
	if tried < 100 {
		t.Errorf("tried %d", tried)
	}
}
