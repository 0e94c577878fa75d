package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// properties are what is true of every decision, said of a random question and what is random besides.
var properties = map[string]func(t *rapid.T, r request, d draw){
	"a deny beats every allow": func(t *rapid.T, r request, d draw) {
		deny := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{Effect: policy.Deny, Actions: []string{"*"}, Resources: []string{"*"}}}}
		switch d(4) {
		case 0:
			r.identity = append(r.identity, deny)
		case 1:
			r.boundary = &deny
		case 2:
			r.sessions = append(r.sessions, deny)
		case 3:
			deny.Statements[0].Principals = []policy.Principal{{Type: "AWS", ID: "*"}}
			r.resources = append(r.resources, deny)
		}
		if got := policy.Decide(r.question()); got.Outcome != policy.ExplicitDeny {
			t.Errorf("%+v: %s", r, inWords(got))
		}
	},
	"a further statement takes no deny away": func(t *rapid.T, r request, d draw) {
		before := policy.Decide(r.question())
		r.identity = append(r.identity, drawDocument(d, false))
		r.resources = append(r.resources, drawDocument(d, true))
		if got := policy.Decide(r.question()); before.Outcome == policy.ExplicitDeny && got.Outcome != policy.ExplicitDeny {
			t.Errorf("%+v: from %s to %s", r, inWords(before), inWords(got))
		}
	},
	"a further allow makes nothing denied": func(t *rapid.T, r request, d draw) {
		before := policy.Decide(r.question())
		identity, resource := drawDocument(d, false), drawDocument(d, true)
		for _, doc := range []policy.Document{identity, resource} {
			for i := range doc.Statements {
				doc.Statements[i].Effect = policy.Allow
			}
		}
		r.identity, r.resources = append(r.identity, identity), append(r.resources, resource)
		if got := policy.Decide(r.question()); before.Outcome == policy.Allowed && got.Outcome != policy.Allowed {
			t.Errorf("%+v: from %s to %s", r, inWords(before), inWords(got))
		}
	},
	"the order does not matter": func(t *rapid.T, r request, _ draw) {
		before := policy.Decide(r.question())
		for _, docs := range [][]policy.Document{r.identity, r.sessions, r.resources} {
			slices.Reverse(docs)
			for _, doc := range docs {
				slices.Reverse(doc.Statements)
				for _, s := range doc.Statements {
					slices.Reverse(s.Actions)
					slices.Reverse(s.Resources)
					slices.Reverse(s.NotResources)
					slices.Reverse(s.Principals)
					slices.Reverse(s.Conditions)
				}
			}
		}
		if got := policy.Decide(r.question()); got.Outcome != before.Outcome || got.Lacking != before.Lacking || len(got.Because) != len(before.Because) {
			t.Errorf("%+v: from %s to %s", r, inWords(before), inWords(got))
		}
	},
	"ForAllValues of nothing is met, ForAnyValue is not": func(t *rapid.T, r request, d draw) {
		names := slices.DeleteFunc(policy.Operators(), func(n string) bool { return n == "Null" })
		op := pick(d, names...)
		r = request{asker: askers["eve"], account: ours, action: "ecr:PutImage", resource: "*", values: map[string][]string{}}
		if d(2) == 0 {
			r.values["k"] = nil
		}
		for prefix, want := range map[string]policy.Outcome{"ForAllValues:": policy.Allowed, "ForAnyValue:": policy.ImplicitDeny} {
			r.identity = []policy.Document{{Version: policy.Version2012, Statements: []policy.Statement{{
				Effect: policy.Allow, Actions: []string{"*"}, Resources: []string{"*"},
				Conditions: []policy.Condition{{Operator: prefix + op, Key: "k", Values: []string{pick(d, valuesFor(op)...)}}},
			}}}}
			if got := policy.Decide(r.question()); got.Outcome != want {
				t.Errorf("%s%s: %s", prefix, op, inWords(got))
			}
		}
	},
	"everything has an explanation": func(t *rapid.T, r request, _ draw) {
		q := r.question()
		got := policy.Decide(q)
		if len(policy.Explain(q, got)) == 0 || got.Denied(q.Asker.ARN, q.Action, q.Resource) == "" {
			t.Errorf("%+v: %s is not explained", r, inWords(got))
		}
	},
}

func TestProperties(t *testing.T) {
	t.Parallel()
	for name, holds := range properties {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				d := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
				for range 10 {
					holds(t, drawRequest(d), d)
				}
			})
		})
	}
}

// FuzzDecide looks for policies and questions that bring the evaluator down, or that it decides otherwise when asked again.
func FuzzDecide(f *testing.F) {
	f.Add(statement(`Condition={"StringEquals":{"k":["${aws:username}",1]}}`), "ecr:PutImage", "arn:aws:ecr:r:1:repository/a", "K", "v")
	f.Add(statement(`Principal=`, `Resource="arn:aws:ecr:*:*:repository/${k, 'x'}*"`), "ecr:GetImage", "*", "k", "\xff")
	f.Add(statement(`Effect="Deny"`, `Condition={"ForAnyValue:NotIpAddress":{"k":"10.0.0.0/8"},"DateLessThan":{"k":"2026"}}`), "ecr:GetImage", "arn:", "k", "10.1.1.1")
	f.Fuzz(func(t *testing.T, text, action, resource, key, value string) {
		d, err := policy.ParseDocument(text)
		if err != nil {
			return
		}
		for _, asker := range askers {
			for _, kind := range []policy.Kind{policy.IdentityBased, policy.ResourceBased} {
				p := []*policy.Policy{policy.Compile(kind, "p", d)}
				q := policy.Question{Asker: asker, Action: policy.Action(action), Resource: resource, Account: ours, Identity: p, Boundary: p[0], Resources: p}
				q.Context = func(string) ([]string, bool) { return []string{value, key}[:len(key)%3%2+1], key != "" }
				got := policy.Decide(q)
				if again := policy.Decide(q); inWords(got) != inWords(again) {
					t.Errorf("%s, then %s", inWords(got), inWords(again))
				}
				if d.OfIdentity() == nil && kind == policy.ResourceBased && got.Outcome == policy.Allowed && asker.Account != ours {
					t.Errorf("a policy without a principal allows a stranger: %s", inWords(got))
				}
				policy.Explain(q, got)
			}
		}
	})
}
