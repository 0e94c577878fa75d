package policy_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

var long = flag.Bool("policy.long", false, "compare on a million random questions")

// draw answers a number below n.
type draw func(n int) int

func pick[T any](d draw, from ...T) T { return from[d(len(from))] }

// some picks up to n.
func some[T any](d draw, n int, from ...T) []T {
	var all []T
	for range d(n + 1) {
		all = append(all, pick(d, from...))
	}
	return all
}

var patternValues = []string{
	"a", "b", "a*", "*", "?", "${aws:username}", "${aws:username}*", "x${aws:username}", "${aws:PrincipalTag/team, 'a'}", "${*}", "A", "true", "10", "é?",
	"arn:aws:iam::1:role/a", "${aws:username, 'b'}${aws:PrincipalTag/team}", "",
}

// valuesFor are values of policies by the operators they are for.
func valuesFor(operator string) []string {
	switch {
	case strings.Contains(operator, "String"):
		return patternValues
	case strings.Contains(operator, "Numeric"):
		return []string{"1", "10", "10.0", "-3", "2.5", "1777636800", "2026"}
	case strings.Contains(operator, "Date"):
		return []string{"2026", "2026-05", "2026-05-01", "2026-05-01T12:00:00Z", "2026-05-01T12:00Z", "1777636800"}
	case strings.Contains(operator, "Bool"), strings.Contains(operator, "Null"):
		return []string{"true", "false", "TRUE"}
	case strings.Contains(operator, "Binary"):
		return []string{"YQ==", "Yg==", "YWE="}
	case strings.Contains(operator, "Ip"):
		return []string{"10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "::1", "10.1.2.3/16"}
	}
	return []string{
		"*", "arn:aws:iam::1:role/a", "arn:aws:iam::*:role/*", "arn:*:*:*:*:*", "arn:aws:iam::1:role/${aws:username}", "${aws:PrincipalTag/team}",
		"arn:aws:iam:*", "arn:aws:${aws:username}::1:role/?", "arn:aws:iam:*:role/a",
	}
}

var requestValues = []string{
	"a", "b", "ab", "A", "é", "éa", "*", "?", "true", "FALSE", "10", "1", "2.5", "abc", "2026", "2026-05-01", "2026-05-01T12:00:00Z", "1777636800", "YQ==", "YWE=",
	"10.1.2.3", "10.200.0.1", "2001:db8::1", "::1", "::ffff:10.1.2.3", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b:c", "arn:aws:a::1:role/x", "iam::1:role/a", "",
}

func (r *request) drawValues(d draw) {
	r.values = map[string][]string{}
	for _, key := range []string{"k", "k2", "aws:username", "aws:principaltag/team"} {
		pool := requestValues
		if strings.HasPrefix(key, "aws:") {
			pool = []string{"a", "b", "*", "?", "iam", "x/y", "a:b", "arn:aws:iam::1:role/a"}
		}
		switch d(5) {
		case 0, 1, 2:
			r.values[key] = []string{pick(d, pool...)}
		case 3:
			r.values[key] = some(d, 3, pool...)
		}
	}
}

func drawConditions(d draw) []policy.Condition {
	var all []policy.Condition
	names := policy.Operators()
	for range pick(d, 0, 0, 0, 1, 1, 2) {
		op := pick(d, names...)
		values := some(d, 2, valuesFor(op)...)
		values = append(values, pick(d, valuesFor(op)...))
		if op != "Null" {
			op += pick(d, "", "", "IfExists")
		}
		all = append(all, policy.Condition{Operator: pick(d, "", "", "ForAllValues:", "ForAnyValue:") + op, Key: pick(d, "k", "K", "k2"), Values: values})
	}
	return all
}

func drawDocument(d draw, ofResource bool) policy.Document {
	doc := policy.Document{Version: pick(d, policy.Version2012, policy.Version2012, policy.Version2012, policy.Version2008)}
	for range 1 + d(3) {
		s := policy.Statement{Effect: pick(d, policy.Allow, policy.Allow, policy.Allow, policy.Deny), Conditions: drawConditions(d)}
		actions := append(some(d, 1, "s3:*", "ecr:List*"), pick(d, "*", "*", "ecr:*", "ECR:put*", "ecr:PutImage", "ecr:?utImage", "sts:*", "sts:AssumeRole"))
		if d(5) == 0 {
			s.NotActions = actions
		} else {
			s.Actions = actions
		}
		resources := append(some(d, 1, "arn:aws:s3:::b/*"), pick(d, "*", "*", "arn:aws:ecr:*:*:repository/*", "arn:aws:ecr:us-east-1:111122223333:repository/a",
			"arn:aws:ecr:*:*:repository/${aws:username}", "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'a'}*", "arn:aws:ecr", "arn:aws:ecr:*a", "arn:*:ecr:${aws:username}:*:repository/?",
			"arn:aws:ecr:*:*:*${aws:username}*"))
		switch {
		case ofResource && d(3) > 0:
		case d(4) == 0:
			s.NotResources = resources
		default:
			s.Resources = resources
		}
		if ofResource {
			drawPrincipals(d, &s)
		}
		doc.Statements = append(doc.Statements, s)
	}
	return doc
}

func drawPrincipals(d draw, s *policy.Statement) {
	principals := some(d, 2, anyPrincipals...)
	principals = append(principals, pick(d, anyPrincipals...))
	if d(5) == 0 {
		s.NotPrincipals = principals
	} else {
		s.Principals = principals
	}
}

var anyPrincipals = func() []policy.Principal {
	all := []policy.Principal{
		{Type: "*", ID: "*"},
		{Type: "AWS", ID: "*"},
		{Type: "Service", ID: "lambda.amazonaws.com"},
		{Type: "Federated", ID: askers["web"].Federated},
		{Type: "Federated", ID: "cognito-identity.amazonaws.com"},
	}
	for _, id := range []string{
		ours, "444455556666", "arn:aws:iam::111122223333:root", askers["eve"].ARN, askers["eve"].UserID, askers["session"].ARN, askers["session"].RoleARN,
		"AROAAAAAAAAAAAAAAACI", "arn:aws:iam::111122223333:role/ci", askers["stranger"].ARN, askers["strange-session"].RoleARN,
	} {
		all = append(all, policy.Principal{Type: "AWS", ID: id})
	}
	return all
}()

var askerNames = []string{"anonymous", "eve", "eve", "root", "session", "session", "strange-session", "stranger", "web"}

func drawRequest(d draw) request {
	r := request{
		asker:    askers[pick(d, askerNames...)],
		action:   pick(d, "ecr:PutImage", "ecr:PutImage", "ecr:BatchGetImage", "sts:AssumeRole", "sts:TagSession", "sts:GetCallerIdentity"),
		resource: pick(d, "*", policy.RepositoryARN("us-east-1", ours, "a"), policy.RepositoryARN("a", ours, "b"), policy.RepositoryARN("us-east-1", ours, "x/y"), "arn:aws:ecr:r:1:2:repository/a:b"),
		account:  ours,
	}
	r.drawValues(d)
	for range d(3) {
		r.identity = append(r.identity, drawDocument(d, false))
	}
	for range d(3) {
		r.resources = append(r.resources, drawDocument(d, true))
	}
	if d(3) == 0 {
		b := drawDocument(d, false)
		r.boundary = &b
	}
	if d(3) == 0 {
		r.sessions = []policy.Document{}
		for range pick(d, 0, 1, 1, 2) {
			r.sessions = append(r.sessions, drawDocument(d, false))
		}
	}
	return r
}

// question compiles the request's documents.
func (r request) question() policy.Question {
	q := policy.Question{
		Asker: r.asker, Action: policy.Action(r.action), Resource: r.resource, Account: r.account,
		Context: func(key string) ([]string, bool) { v, ok := r.values[key]; return v, ok },
	}
	compile := func(kind policy.Kind, docs []policy.Document) (all []*policy.Policy) {
		for i, d := range docs {
			all = append(all, policy.Compile(kind, fmt.Sprintf("%d", i), d))
		}
		return all
	}
	q.Identity = compile(policy.IdentityBased, r.identity)
	q.Resources = compile(policy.ResourceBased, r.resources)
	if r.boundary != nil {
		q.Boundary = policy.Compile(policy.PermissionsBoundary, "b", *r.boundary)
	}
	if r.sessions != nil {
		q.Sessions = append([]*policy.Policy{}, compile(policy.SessionPolicy, r.sessions)...)
	}
	return q
}

// disagreement is empty if both evaluators agree.
func disagreement(r request) string {
	want, got := r.decide(), policy.Decide(r.question())
	switch {
	case got.Outcome != want.outcome || got.Lacking != want.lacking:
	case got.Outcome == policy.ExplicitDeny && len(got.Because) != want.denies:
	case got.Outcome == policy.Allowed && len(got.Because) == 0:
	default:
		return ""
	}
	if r.boundary != nil {
		r.identity, r.boundary = append(r.identity, *r.boundary), nil // to be read
	}
	return fmt.Sprintf("%+v\nnaive: %+v\ngot:   %s", r, want, inWords(got))
}

// TestAgreesWithNaive compares the evaluator with the naive one: a few thousand questions, or a million of random policies
// with -policy.long, which takes minutes.
func TestAgreesWithNaive(t *testing.T) {
	t.Parallel()
	if !*long {
		rapid.Check(t, func(t *rapid.T) {
			d := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
			for range 5 {
				if words := disagreement(drawRequest(d)); words != "" {
					t.Fatal(words)
				}
			}
		})
	}
	count := 3000
	if *long {
		count = 1_000_000
	}
	outcomes := map[string]int{}
	for seed := range count {
		d := rand.New(rand.NewPCG(uint64(seed), 4)).IntN
		r := drawRequest(d)
		if words := disagreement(r); words != "" {
			t.Fatalf("seed %d: %s", seed, words)
		}
		s := r.decide()
		outcomes[string(s.outcome)+string(s.lacking)]++
	}
	t.Log(outcomes)
	if len(outcomes) < 7 {
		t.Errorf("only %v came up", outcomes)
	}
}
