package policy_test

import (
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// statement makes a policy of one statement, with members beside or instead of the usual ones.
func statement(members ...string) string {
	usual := map[string]string{"Effect": `"Allow"`, "Principal": `"*"`, "Action": `"ecr:GetImage"`}
	var all []string
	for _, m := range members {
		name, value, _ := strings.Cut(m, "=")
		delete(usual, name)
		if value != "" {
			all = append(all, `"`+name+`":`+value)
		}
	}
	for name, value := range usual {
		all = append(all, `"`+name+`":`+value)
	}
	return `{"Version":"2012-10-17","Statement":[{` + strings.Join(all, ",") + `}]}`
}

func TestParseDocument(t *testing.T) {
	t.Parallel()
	const text = `{
  "Version": "2008-10-17", "Id": "p1",
  "Statement": [
    {"Sid": "new statement", "Effect": "Allow",
     "Principal": {"AWS": ["111122223333", "arn:aws:iam::111122223333:role/build/ci"], "Service": "lambda.amazonaws.com"},
     "Action": ["ecr:BatchGetImage", "ecr:Get*"],
     "Condition": {"StringLike": {"aws:sourceArn": "arn:aws:lambda:*"}, "ForAnyValue:NumericLessThanIfExists": {"k": [1.50, "7"]}, "Bool": {"b": [true, "FALSE"]}}},
    {"Sid": "new statement", "Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "NotAction": "*", "NotResource": "arn:aws:ecr:us-east-1:111122223333:repository/*"}
  ]
}`
	got, err := policy.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Document{Version: policy.Version2008, ID: "p1", Statements: []policy.Statement{
		{
			Sid: "new statement", Effect: policy.Allow,
			Principals: []policy.Principal{
				{Type: "AWS", ID: "111122223333"}, {Type: "AWS", ID: "arn:aws:iam::111122223333:role/build/ci"}, {Type: "Service", ID: "lambda.amazonaws.com"},
			},
			Actions: []string{"ecr:BatchGetImage", "ecr:Get*"},
			Conditions: []policy.Condition{
				{Operator: "StringLike", Key: "aws:sourceArn", Values: []string{"arn:aws:lambda:*"}},
				{Operator: "ForAnyValue:NumericLessThanIfExists", Key: "k", Values: []string{"1.50", "7"}},
				{Operator: "Bool", Key: "b", Values: []string{"true", "FALSE"}},
			},
		},
		{
			Sid: "new statement", Effect: policy.Deny, NotPrincipals: []policy.Principal{{Type: "AWS", ID: "*"}},
			NotActions: []string{"*"}, NotResources: []string{"arn:aws:ecr:us-east-1:111122223333:repository/*"},
		},
	}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("ParseDocument (-want +got):\n%s", diff)
	}
	one, err := policy.ParseDocument(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*"}}`)
	if err != nil || len(one.Statements) != 1 || one.Version != policy.Version2008 {
		t.Errorf("one statement without a list: %+v, %v", one, err)
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, words := range map[string]string{
		``:              "not JSON",
		`{`:             "not JSON",
		`{} {}`:         "not JSON",
		"{\"\xff\":1}":  "not JSON",
		`[]`:            "must be an object",
		`null`:          "must be an object",
		`{}`:            "no Statement",
		`{"a":1,"a":1}`: "a twice",
		`{"version":"2012-10-17","Statement":[]}`: `no member "version"`,
		`{"Version":"2012-10-17","Statement":[]}`: "no Statement",
		`{"Version":"2026-01-01","Statement":[]}`: "Version",
		`{"Version":2012,"Statement":[]}`:         "Version of the policy must be a string",
		`{"Statement":"x"}`:                       "statement 1 must be an object",
		`{"Statement":[null]}`:                    "statement 1 must be an object",

		statement(`Effect=`):                                              "no Effect",
		statement(`Effect="allow"`):                                       "must be Allow or Deny",
		statement(`Effect=null`):                                          "must be a string",
		statement(`Action=`):                                              "no Action",
		statement(`Action=[]`):                                            "empty list",
		statement(`Resource=["*",""]`):                                    "empty string",
		statement(`Action="PutImage"`):                                    "must be an action",
		statement(`Action="ecr:Put Image"`):                               "must be an action",
		statement(`Action=7`):                                             "list of strings",
		statement(`Action=["ecr:*",["ecr:*"]]`):                           "list of strings",
		statement(`NotAction="ecr:*"`):                                    "both Action and NotAction",
		statement(`NotPrincipal="*"`):                                     "both Principal and NotPrincipal",
		statement(`Effects="x"`):                                          `"Effects"`,
		statement(`Sid=1`):                                                "Sid",
		statement(`Resource="repository/x"`):                              "ARN",
		statement(`Principal="111122223333"`):                             `or "*"`,
		statement(`Principal={}`):                                         "nobody",
		statement(`Principal={"AWS":[]}`):                                 "empty list",
		statement(`Principal={"AWS":"1111"}`):                             `"1111"`,
		statement(`Principal={"AWS":"arn:aws:s3:::b"}`):                   "nobody",
		statement(`Principal={"aws":"*"}`):                                "nobody",
		statement(`Principal={"Service":"*"}`):                            "nobody",
		statement(`Principal={"AWS":"*","AWS":"*"}`):                      "AWS twice",
		statement(`Condition=[]`):                                         "must be an object",
		statement(`Condition={"StringIs":{"k":"v"}}`):                     "StringIs",
		statement(`Condition={"NullIfExists":{"k":"v"}}`):                 "NullIfExists",
		statement(`Condition={"StringEquals":"v"}`):                       "must be an object",
		statement(`Condition={"StringEquals":{"k":[]}}`):                  "empty list",
		statement(`Condition={"StringEquals":{"k":null}}`):                "must be a string",
		statement(`Condition={"StringEquals":{"k":{}}}`):                  "must be a string",
		statement(`Principal={"AWS":"arn:aws:iam::111122223333:role/*"}`): "nobody",

		statement(`Resource="arn:aws:ecr:r:1:repository/${aws:username"`):                   "has ${ without a variable",
		statement(`NotResource="arn:aws:ecr:r:1:repository/${}"`):                           "NotResource of statement 1",
		statement(`Resource="arn:aws:ecr:r:1:repository/${aws:username, none}"`):            "has ${ without a variable",
		statement(`Resource="arn:aws:ecr:r:1:repository/${a${b}}"`):                         "has ${ without a variable",
		statement(`Resource="${aws:username}"`):                                             "ARN",
		statement(`Resource="arn"`):                                                         "ARN",
		statement(`Resource="arn:aws:ecr:r:1:"`):                                            "ARN",
		statement(`Resource="*:aws:ecr:r:1:repository/a"`):                                  "ARN",
		statement(`Condition={"StringLike":{"k":["a","${b"]}}`):                             `k in StringLike of Condition of statement 1 is "${b"`,
		statement(`Condition={"StringEqualsIgnoreCase":{"k":"${b c}"}}`):                    "has ${ without a variable",
		statement(`Condition={"StringEqualsIfExistsIfExists":{"k":"v"}}`):                   "which there is not",
		statement(`Condition={"ForAllValues:ForAnyValue:StringEquals":{"k":"v"}}`):          "which there is not",
		statement(`Condition={"ForSomeValues:StringEquals":{"k":"v"}}`):                     "which there is not",
		statement(`Condition={"stringequals":{"k":"v"}}`):                                   "which there is not",
		statement(`Condition={"Null":{"k":"maybe"}}`):                                       "true or false",
		statement(`Condition={"Bool":{"k":["true","1"]}}`):                                  `"1", and must be true or false`,
		statement(`Condition={"NumericLessThan":{"k":"0x10"}}`):                             "must be a number",
		statement(`Condition={"NumericLessThan":{"k":"1e999"}}`):                            "must be a number",
		statement(`Condition={"NumericEqualsIfExists":{"k":true}}`):                         "must be a number",
		statement(`Condition={"DateLessThan":{"k":"tomorrow"}}`):                            "must be a date",
		statement(`Condition={"DateLessThan":{"k":"2026-13-01"}}`):                          "must be a date",
		statement(`Condition={"DateLessThan":{"k":"99999999999999"}}`):                      "must be a date",
		statement(`Condition={"ForAnyValue:IpAddress":{"k":["10.0.0.0/8","10.0.0.0/33"]}}`): `"10.0.0.0/33", and must be an IP address`,
		statement(`Condition={"NotIpAddress":{"k":"fe80::1%eth0"}}`):                        "must be an IP address",
		statement(`Condition={"BinaryEquals":{"k":"%"}}`):                                   "must be base64",
		statement(`Condition={"ArnLike":{"k":"lambda:*"}}`):                                 "must be an ARN or *",
		statement(`Condition={"ArnNotEquals":{"k":"arn"}}`):                                 "must be an ARN or *",
	} {
		_, err := policy.ParseDocument(text)
		if !errors.Is(err, fault.InvalidParameter) || !strings.Contains(err.Error(), words) {
			t.Errorf("ParseDocument(%s): %v, want InvalidParameter with %q", text, err, words)
		}
	}
}

func TestWhatKindsDemand(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ repository, registry, identity, trust string }{
		statement():                                     {"", "no Resource", "must not have a Principal", "none of sts's"},
		statement(`Resource="*"`):                       {"must not have a Resource", "", "must not have a Principal", "must not have a Resource"},
		statement(`Principal=`):                         {"no Principal", "no Resource", "no Resource", "no Principal"},
		statement(`Action="s3:GetObject"`):              {"none of ecr's", "no Resource", "must not have a Principal", "none of sts's"},
		statement(`Action="ECR:GetImage"`):              {"", "no Resource", "must not have a Principal", "none of sts's"},
		statement(`Action=`, `NotAction=["*","iam:*"]`): {"none of ecr's", "no Resource", "must not have a Principal", "none of sts's"},
		statement(`Principal=`, `Resource="*"`):         {"must not have a Resource", "no Principal", "", "no Principal"},
		statement(`Principal=`, `NotResource="arn:aws:s3:::b/*"`, `Action="s3:*"`):          {"must not have a Resource", "no Principal", "", "no Principal"},
		statement(`Action=["sts:AssumeRole","sts:TagSession","STS:SetSourceIdentity"]`):     {"none of ecr's", "no Resource", "must not have a Principal", ""},
		statement(`Principal=`, `NotPrincipal={"AWS":"*"}`, `Action="sts:AssumeRole"`):      {"none of ecr's", "no Resource", "must not have a Principal", "must not have a NotPrincipal"},
		statement(`Principal={"Federated":"arn:aws:iam::1:oidc-provider/x"}`, `Action="*"`): {"", "no Resource", "must not have a Principal", ""},
	} {
		d, err := policy.ParseDocument(text)
		if err != nil {
			t.Errorf("ParseDocument(%s): %v", text, err)
			continue
		}
		for _, c := range []struct {
			what string
			err  error
			want string
		}{
			{"repository", d.OfRepository(), want.repository},
			{"registry", d.OfRegistry(), want.registry},
			{"identity", d.OfIdentity(), want.identity},
			{"role's trust", d.OfTrust(), want.trust},
		} {
			words := ""
			if c.err != nil {
				words = c.err.Error()
			}
			if (words == "") != (c.want == "") || c.err != nil && (!strings.Contains(words, "statement 1 ") || !errors.Is(c.err, fault.InvalidParameter)) || !strings.Contains(words, c.want) {
				t.Errorf("%s as a %s policy: %v, want %q", text, c.what, c.err, c.want)
			}
		}
	}
}

func TestStatementIDs(t *testing.T) {
	t.Parallel()
	for sids, want := range map[[2]string]string{
		{"a", "b"}:   "",
		{"", ""}:     "",
		{"a", "a"}:   "must be unique",
		{"a b", "b"}: "must be alpha-numeric",
	} {
		d, err := policy.ParseDocument(`{"Statement":[{"Sid":"` + sids[0] + `","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"` + sids[1] + `","Effect":"Allow","Action":"*","Resource":"*"}]}`)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.OfIdentity(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q in an identity's policy: %v, want %q", sids, err, want)
		}
		if err := d.OfTrust(); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q in a trust policy: %v, want %q", sids, err, want)
		}
	}
}

func TestDocumentsThatAreTaken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		statement(`Action="*:*"`),
		statement(`Resource=["arn:*:ecr","arn:aws:ecr:*","arn:aws:ecr:*:123456789012:repository/*","arn:aws:s3:::bucket/*","arn:aws:e*r:::x"]`),
		statement(`Resource="arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'a}b'}/*${*}$"`),
		strings.Replace(statement(`Resource="arn:aws:ecr:*:*:repository/${"`), "2012-10-17", "2008-10-17", 1), // no variable there
		statement(`Condition={"ForAnyValue:Null":{"k":"true"},"NumericEquals":{"k":["1",-2.5,"1e3"]},"DateLessThan":{"k":["2026",1777636800,"2026-05-01T12:00:00.25+02:00"]}}`),
		statement(`Condition={"ArnLikeIfExists":{"k":["*","arn:aws:lambda:*","${aws:PrincipalArn}"]},"IpAddress":{"k":["10.1.2.3/8","::1"]},"BinaryEquals":{"k":"YQ=="}}`),
	} {
		if _, err := policy.ParseDocument(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDeniesOutright(t *testing.T) {
	t.Parallel()
	const (
		root    = "arn:aws:iam::111122223333:root"
		ci      = "arn:aws:iam::111122223333:role/build/ci"
		session = "arn:aws:sts::111122223333:assumed-role/ci/run-17"
	)
	for _, c := range []struct {
		members []string
		who     string
		want    bool
	}{
		{[]string{`Action="*"`}, ci, true},
		{[]string{`Action="ECR:set*Policy"`}, ci, true},
		{[]string{`Action="ecr:GetRepositoryPolicy"`}, ci, false},
		{[]string{`Action=`, `NotAction="ecr:Get*"`}, ci, true},
		{[]string{`Action=`, `NotAction="ecr:Set*"`}, ci, false},
		{[]string{`Action="*"`, `Effect="Allow"`}, ci, false},
		{[]string{`Action="*"`, `Condition={"Bool":{"aws:SecureTransport":false}}`}, ci, false},
		{[]string{`Action="*"`, `Principal={"AWS":"*"}`}, root, true},
		{[]string{`Action="*"`, `Principal={"AWS":"111122223333"}`}, session, true},
		{[]string{`Action="*"`, `Principal={"AWS":"arn:aws:iam::111122223333:root"}`}, ci, true},
		{[]string{`Action="*"`, `Principal={"AWS":"444455556666"}`}, ci, false},
		{[]string{`Action="*"`, `Principal={"AWS":"arn:aws:iam::111122223333:role/build/ci"}`}, session, true},
		{[]string{`Action="*"`, `Principal={"Service":"lambda.amazonaws.com"}`}, ci, false},
		{[]string{`Action="*"`, `Principal=`, `NotPrincipal={"AWS":"arn:aws:iam::111122223333:role/build/ci"}`}, session, true}, // IAM wants both
		{[]string{`Action="*"`, `Principal=`, `NotPrincipal={"AWS":["arn:aws:iam::111122223333:role/build/ci","arn:aws:sts::111122223333:assumed-role/ci/run-17"]}`}, session, false},
		{[]string{`Action="*"`, `Principal=`, `NotPrincipal={"AWS":"arn:aws:iam::111122223333:role/build/ci"}`}, root, true},
	} {
		text := statement(c.members...)
		if !strings.Contains(text, `"Effect":"Allow"`) || len(c.members) < 2 || c.members[1] != `Effect="Allow"` {
			text = strings.Replace(text, `"Effect":"Allow"`, `"Effect":"Deny"`, 1)
		}
		d, err := policy.ParseDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.DeniesOutright(c.who, policy.SetRepositoryPolicy); got != c.want {
			t.Errorf("%s denies %s outright: %v, want %v", text, c.who, got, c.want)
		}
	}
}

func TestIsPrincipal(t *testing.T) {
	t.Parallel()
	const session = "arn:aws:sts::111122223333:assumed-role/ci/run-17"
	for _, c := range []struct {
		caller, principal string
		want              bool
	}{
		{session, "arn:aws:iam::111122223333:role/ci", true},
		{session, "arn:aws:iam::111122223333:role/build/linux/ci", true},
		{session, session, true},
		{session, "arn:aws:iam::111122223333:role/ci/other", false},
		{session, "arn:aws:iam::111122223333:role/my-ci", false},
		{session, "arn:aws:iam::111122223333:user/ci", false},
		{session, "arn:aws:iam::444455556666:role/ci", false},
		{session, "arn:aws-cn:iam::111122223333:role/ci", false},
		{"arn:aws:sts::111122223333:assumed-role/ci", "arn:aws:iam::111122223333:role/ci", false},
		{"arn:aws:iam::111122223333:user/ci", "arn:aws:iam::111122223333:user/ci", true},
		{"arn:aws:iam::111122223333:user/a/ci", "arn:aws:iam::111122223333:user/ci", false},
		{"arn:aws:iam::111122223333:role/ci", "arn:aws:iam::111122223333:role/build/ci", false},
		{"berth:lifecycle", "arn:aws:iam::111122223333:role/ci", false},
		{"", "arn:aws:iam::111122223333:role/ci", false},
	} {
		if got := policy.IsPrincipal(c.caller, c.principal); got != c.want {
			t.Errorf("IsPrincipal(%s, %s) = %v, want %v", c.caller, c.principal, got, c.want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a", "ab", false},
		{"a*c", "abbc", true},
		{"a*b*c", "a1b2b3c", true},
		{"a*b*c", "a1c", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*aab", "aaaab", true},
		{"**", "x", true},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 5000), false}, // in no time
	} {
		if got := policy.Matches(c.pattern, c.s); got != c.want {
			t.Errorf("Matches(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
}

// FuzzParseDocument looks for texts that bring the parser down.
func FuzzParseDocument(f *testing.F) {
	f.Add(statement(`Condition={"StringEquals":{"k":["v",1]}}`))
	f.Add(`{"Statement":[[[[`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := policy.ParseDocument(text)
		if err == nil && len(d.Statements) == 0 {
			t.Errorf("ParseDocument(%q) has no statement", text)
		}
	})
}
