package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestOverlap compares with what comes of trying every text that goes on a little.
func TestOverlap(t *testing.T) {
	t.Parallel()
	var tails []string
	for all := []string{""}; len(all) < 1<<7; {
		var longer []string
		for _, s := range all {
			longer = append(longer, s+"a", s+"b")
		}
		tails, all = append(tails, longer...), longer
	}
	made := strings.NewReplacer("*", string([]byte{anyRun}), "?", string([]byte{anyChar}))
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*?]{0,6}`).Draw(t, "pattern")
		prefix := rapid.StringMatching(`[ab]{0,4}`).Draw(t, "prefix")
		some, every := false, true
		for _, tail := range tails {
			fits := Matches(pattern, prefix+tail)
			some, every = some || fits, every && fits
		}
		touches, covers := overlap(made.Replace(pattern), prefix)
		if touches != some {
			t.Errorf("%q below %q: touches %v, want %v", pattern, prefix, touches, some)
		}
		if covers && !every {
			t.Errorf("%q below %q: covers, and does not fit all of it", pattern, prefix)
		}
	})
}

func TestBelow(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:ecr:us-east-1:123456789012:repository/"
	tags := func(key string) ([]string, bool) { return []string{"a"}, key == "aws:principaltag/team" }
	for name, test := range map[string]struct {
		statements string
		want       Outcome
	}{
		"all":                              {`{"Effect":"Allow","Action":"*","Resource":"*"}`, Allowed},
		"all of the prefix":                {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `team/*"}`, Allowed},
		"more than the prefix":             {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `t*"}`, Allowed},
		"the account's":                    {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:123456789012:*"}`, Allowed},
		"one character":                    {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `team/?"}`, ImplicitDeny},
		"some of the prefix":               {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `team/a*"}`, ImplicitDeny},
		"another region":                   {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:eu-west-1:123456789012:*"}`, ImplicitDeny},
		"a variable":                       {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `te${aws:PrincipalTag/team}m/*"}`, Allowed},
		"a variable without a value":       {`{"Effect":"Allow","Action":"*","Resource":"` + arn + `${aws:PrincipalTag/none}*"}`, ImplicitDeny},
		"all but another":                  {`{"Effect":"Allow","Action":"*","NotResource":"` + arn + `other/*"}`, Allowed},
		"all but some of it":               {`{"Effect":"Allow","Action":"*","NotResource":"` + arn + `team/x"}`, ImplicitDeny},
		"denied for one":                   {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"` + arn + `team/prod"}`, ExplicitDeny},
		"denied for some":                  {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"` + arn + `*/prod/*"}`, ExplicitDeny},
		"denied by a variable without one": {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"` + arn + `team/${aws:PrincipalTag/none}"}`, ExplicitDeny},
		"denied elsewhere":                 {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"` + arn + `other/*"}`, Allowed},
		"denied but for all of it":         {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","NotResource":"` + arn + `team/*"}`, Allowed},
		"denied but for some of it":        {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","NotResource":"` + arn + `team/a*"}`, ExplicitDeny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := ParseDocument(`{"Version":"2012-10-17","Statement":[` + test.statements + `]}`)
			if err != nil {
				t.Fatal(err)
			}
			got := Decide(Question{
				Asker:  Asker{ARN: "arn:aws:iam::123456789012:user/ci", Account: "123456789012"},
				Action: SetRepositoryPolicy, Resource: arn + "team/*", Below: true, Account: "123456789012", Context: tags,
				Identity: []*Policy{Compile(IdentityBased, "p", d)},
			})
			if got.Outcome != test.want {
				t.Errorf("on everything below team/: %s, want %s", got.Outcome, test.want)
			}
		})
	}
}
