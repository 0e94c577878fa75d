package diagnose

import (
	"strings"
	"testing"
)

const provider1 = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"

// trusting is a trust policy with conditions.
func trusting(conditions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + provider1 + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{` + conditions + `}}]}`
}

func sub(operator, value string) string {
	return trusting(`"` + operator + `":{"token.actions.githubusercontent.com:sub":` + value + `}`)
}

func TestJudgeTrust(t *testing.T) {
	t.Parallel()
	const main = "repo:org/app:ref:refs/heads/main"
	for name, tt := range map[string]struct {
		policy  string
		subject string
		allowed bool
		why     string
		unsure  string
	}{
		"as it is":            {sub("StringEquals", `"`+main+`"`), main, true, "", ""},
		"one of several":      {sub("StringEquals", `["repo:org/other:ref:refs/heads/main","`+main+`"]`), main, true, "", ""},
		"a pattern":           {sub("StringLike", `"repo:org/*:ref:refs/heads/ma?n"`), main, true, "", ""},
		"no conditions":       {trusting(""), main, true, "", ""},
		"another key":         {trusting(`"StringEquals":{"aws:RequestedRegion":"us-east-1"}`), main, true, "", "aws:RequestedRegion"},
		"an unknown operator": {sub("ArnLike", `"x"`), main, true, "", "ArnLike of token.actions.githubusercontent.com:sub"},
		"upper-case key":      {trusting(`"StringEquals":{"TOKEN.actions.githubusercontent.com:SUB":"` + main + `"}`), main, true, "", ""},
		"if it exists":        {trusting(`"StringEqualsIfExists":{"token.actions.githubusercontent.com:nothing":"x"}`), main, true, "", ""},
		"none of":             {sub("StringNotLike", `"repo:org/*:pull_request"`), main, true, "", ""},
		"any action":          {strings.ReplaceAll(sub("StringEquals", `"`+main+`"`), "sts:AssumeRoleWithWebIdentity", "sts:*"), main, true, "", ""},
		"a statement alone":   {strings.NewReplacer("[{", "{", "}]}", "}}").Replace(sub("StringEquals", `"`+main+`"`)), main, true, "", ""},

		"a star that is none":   {sub("StringEquals", `"repo:org/app:*"`), main, false, "StringLike is meant", ""},
		"case":                  {sub("StringEquals", `"repo:Org/App:ref:refs/heads/main"`), main, false, "upper and lower case", ""},
		"ids of GitHub":         {sub("StringEquals", `"`+main+`"`), "repo:org@12/app@34:ref:refs/heads/main", false, "GitHub puts ids", ""},
		"ids in the policy":     {sub("StringLike", `"repo:org@12/app@34:*"`), main, false, "GitHub puts ids", ""},
		"another repository":    {sub("StringLike", `"repo:org/app:*"`), "repo:fork/app:ref:refs/heads/main", false, "for the repository org/app, and this is fork/app", ""},
		"an environment":        {sub("StringEquals", `"`+main+`"`), "repo:org/app:environment:prod", false, "the job has an environment", ""},
		"no environment":        {sub("StringEquals", `"repo:org/app:environment:prod"`), main, false, "no environment: in the workflow", ""},
		"a pull request":        {sub("StringEquals", `"`+main+`"`), "repo:org/app:pull_request", false, "of a pull request", ""},
		"a tag":                 {sub("StringEquals", `"`+main+`"`), "repo:org/app:ref:refs/tags/v1", false, "of a tag", ""},
		"a branch's short name": {sub("StringEquals", `"repo:org/app:ref:main"`), main, false, "written ref:refs/heads/main", ""},
		"another branch":        {sub("StringEquals", `"`+main+`"`), "repo:org/app:ref:refs/heads/dev", false, "of refs/heads/dev", ""},
		"excluded":              {sub("StringNotLike", `"repo:org/*"`), main, false, "not to be", ""},
		"a claim that is none":  {trusting(`"StringEquals":{"token.actions.githubusercontent.com:job":"x"}`), main, false, "the token has none", ""},
		"audience":              {trusting(`"StringEquals":{"token.actions.githubusercontent.com:aud":"berth"}`), main, false, `wants aud to be "berth", and the token says "sts.amazonaws.com"`, ""},
		"the wrong action":      {strings.ReplaceAll(sub("StringEquals", `"`+main+`"`), "sts:AssumeRoleWithWebIdentity", "sts:AssumeRole"), main, false, "a token needs sts:AssumeRoleWithWebIdentity", ""},
		"another provider":      {strings.ReplaceAll(sub("StringEquals", `"x"`), "githubusercontent.com\"}", "example.com\"}"), main, false, "it trusts arn:aws:iam::123456789012:oidc-provider/token.actions.example.com", ""},
		"a service's":           {`{"Statement":{"Effect":"Allow","Principal":{"Service":"ecs.amazonaws.com"},"Action":"sts:AssumeRole"}}`, main, false, "trusts no identity provider", ""},
		"everybody's":           {`{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`, main, false, "trusts no identity provider", ""},
		"denied": {
			`{"Statement":[{"Effect":"Allow","Principal":{"Federated":"` + provider1 + `"},"Action":"sts:AssumeRoleWithWebIdentity"},{"Sid":"Fence","Effect":"Deny","Principal":{"Federated":"` + provider1 + `"},"Action":"*","Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:org/*"}}}]}`,
			main, false, "statement Fence denies it", "",
		},
		"the nearest counts": {
			`{"Statement":[{"Effect":"Allow","Principal":{"Federated":"` + provider1 + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"x","token.actions.githubusercontent.com:aud":"y"}}},{"Effect":"Allow","Principal":{"Federated":["` + provider1 + `"]},"Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":["repo:org/app:ref:refs/heads/dev"]}}}]}`,
			main, false, "repo:org/app:ref:refs/heads/dev", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := map[string][]string{"sub": {tt.subject}, "aud": {"sts.amazonaws.com"}, "iss": {GitHubIssuer}}
			got, err := judgeTrust(tt.policy, provider1, claims)
			if err != nil {
				t.Fatal(err)
			}
			why, unsure := strings.Join(got.why, "; "), strings.Join(got.unsure, "; ")
			if got.allowed != tt.allowed || (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) || unsure != tt.unsure {
				t.Errorf("judgeTrust = %t, why %q, unsure %q; want %t, %q, %q", got.allowed, why, unsure, tt.allowed, tt.why, tt.unsure)
			}
		})
	}
	if _, err := judgeTrust("{", provider1, nil); err == nil {
		t.Error("half a policy was read")
	}
}

func TestParseClaims(t *testing.T) {
	t.Parallel()
	// {"iss":"https://i","sub":"s","aud":["a","b"],"exp":1700000000.5,"n":12345678901234567890,"deep":{"x":1}}
	const token = "e30.eyJpc3MiOiJodHRwczovL2kiLCJzdWIiOiJzIiwiYXVkIjpbImEiLCJiIl0sImV4cCI6MTcwMDAwMDAwMC41LCJuIjoxMjM0NTY3ODkwMTIzNDU2Nzg5MCwiZGVlcCI6eyJ4IjoxfX0.eA"
	all, end, err := parseClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(all["aud"], " "); got != "a b" || first(all["n"]) != "12345678901234567890" || all["deep"] != nil || end.Unix() != 1700000000 {
		t.Errorf("parseClaims = %v, %v", all, end)
	}
	for _, bad := range []string{"", "a.b", "a.!.c", "a.e30x.c", "a.MQ.c"} {
		if _, _, err := parseClaims(bad); err == nil {
			t.Errorf("%q was read", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}
