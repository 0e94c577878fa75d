package policy_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const (
	eveARN = "arn:aws:iam::111122223333:user/eve"
	appARN = "arn:aws:ecr:us-east-1:111122223333:repository/app"
)

func TestDenied(t *testing.T) {
	t.Parallel()
	allow, deny := `{"Effect":"Allow","Action":"*","Resource":"*"}`, `{"Effect":"Deny","Action":"*","Resource":"*"}`
	const start = "User: " + eveARN + " is not authorized to perform: ecr:PutImage on resource: " + appARN
	for _, c := range []struct {
		policies []string // name, text, name, text …
		want     string
	}{
		{nil, " because no identity-based policy allows the ecr:PutImage action"},
		{[]string{"identity/a", allow, "boundary", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`}, " because no permissions boundary allows the ecr:PutImage action"},
		{[]string{"identity/a", allow, "session/s", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`}, " because no session policy allows the ecr:PutImage action"},
		{[]string{"identity/a", deny}, " with an explicit deny in an identity-based policy: identity/a"},
		{[]string{"boundary", deny}, " with an explicit deny in a permissions boundary: boundary"},
		{[]string{"session/s", deny}, " with an explicit deny in a session policy: session/s"},
		{[]string{"resource/r", strings.Replace(deny, `{`, `{"Principal":"*",`, 1)}, " with an explicit deny in a resource-based policy: resource/r"},
		{[]string{"trust/t", `{"Effect":"Deny","Principal":"*","Action":"*"}`}, " with an explicit deny in the role trust policy: trust/t"},
	} {
		q := policy.Question{Asker: askers["eve"], Account: ours, Action: policy.PutImage, Resource: appARN}
		for i := 0; i < len(c.policies); i += 2 {
			addPolicy(t, &q, c.policies[i], c.policies[i+1])
		}
		if got := policy.Decide(q).Denied(q.Asker.ARN, q.Action, q.Resource); got != start+c.want {
			t.Errorf("%v\n got  %s\n want %s", c.policies, got, start+c.want)
		}
	}
	q := policy.Question{Account: ours, Action: policy.BatchGetImage, Resource: appARN}
	want := "User: anonymous is not authorized to perform: ecr:BatchGetImage on resource: " + appARN + " because no resource-based policy allows the ecr:BatchGetImage action"
	if got := policy.Decide(q).Denied("", q.Action, q.Resource); got != want {
		t.Errorf("anonymous: %s", got)
	}
	stranger := policy.Question{Asker: askers["stranger"], Account: ours, Action: policy.PutImage, Resource: appARN}
	addPolicy(t, &stranger, "identity/a", allow)
	if got := policy.Decide(stranger).Denied("x", "a", "b"); !strings.Contains(got, "because no resource-based policy") {
		t.Errorf("stranger: %s", got)
	}
	if old := policy.Denied(eveARN, policy.PutImage, appARN); old != start+" because no identity-based policy allows the ecr:PutImage action" {
		t.Errorf("Denied: %s", old)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const push = `[{"Sid":"Push","Effect":"Allow","Action":"ecr:PutImage","Resource":"arn:aws:ecr:*:*:repository/app","Condition":{"StringEquals":{"aws:PrincipalTag/team":["red","blue"]},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}},
	 {"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}]`
	for name, c := range map[string]struct {
		who      string
		action   policy.Action
		resource string
		context  string
		policies []string
		want     []string
	}{
		"no policy": {"eve", policy.PutImage, appARN, "", nil, []string{
			"No identity-based policy allows ecr:PutImage.",
			"The asker's own policies: there are none.",
		}},
		"no action": {"eve", policy.ListImages, appARN, "", []string{"identity/push", push, "identity/more", push}, []string{
			"No identity-based policy allows ecr:ListImages.",
			"The asker's own policies (2): no statement allows the action on anything.",
		}},
		"no resource": {"eve", policy.PutImage, appARN + "2", "aws:SecureTransport=true", []string{"identity/push", push}, []string{
			"No identity-based policy allows ecr:PutImage.",
			"The asker's own policies (1): statements allow the action, but not on this resource.",
		}},
		"conditions": {"eve", policy.PutImage, appARN, "aws:PrincipalTag/team=green aws:SecureTransport=true", []string{"identity/push", push}, []string{
			"No identity-based policy allows ecr:PutImage.",
			`Statement 1 (Push) of the identity-based policy identity/push would allow it, but not under these circumstances: ` +
				`StringEquals wants aws:PrincipalTag/team to be "red" or "blue", and the request has "green"; ` +
				`IpAddress wants aws:SourceIp to be "10.0.0.0/8", and the request does not have it.`,
		}},
		"allowed": {"eve", policy.PutImage, appARN, "aws:PrincipalTag/team=red aws:SourceIp=10.1.1.1 aws:SecureTransport=true", []string{"identity/push", push}, []string{
			"Statement 1 (Push) of the identity-based policy identity/push allows it.",
			`Statement 2 of the identity-based policy identity/push would deny it, but not under these circumstances: Bool wants aws:SecureTransport to be "false", and the request has "true".`,
		}},
		"denied": {"eve", policy.PutImage, appARN, "aws:SecureTransport=false", []string{"identity/push", push}, []string{
			"Statement 2 of the identity-based policy identity/push denies it. A deny counts more than anything that allows.",
		}},
		"the account": {"eve", policy.PutImage, appARN, "", []string{"resource/r", `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*"}`}, []string{
			"No identity-based policy allows ecr:PutImage.",
			"The asker's own policies: there are none.",
			"A resource-based policy allows it to the account as a whole, which leaves it to the account's identity-based policies.",
		}},
		"somebody else": {"anonymous", policy.PutImage, appARN, "", []string{"resource/r", `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*"}`}, []string{
			"No resource-based policy allows ecr:PutImage.",
			"The resource's policies (1): statements allow the action, but not to this asker.",
		}},
		"a secret": {"eve", "sts:AssumeRole", "arn:aws:iam::111122223333:role/r", "sts:ExternalId=guess", []string{
			"trust/t", `{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"secret"}}}`,
		}, []string{
			"No role trust policy allows sts:AssumeRole.",
			"Statement 1 of the role trust policy trust/t would allow it, but not under these circumstances: StringEquals of sts:ExternalId is not met.",
		}},
	} {
		q := policy.Question{Asker: askers[c.who], Account: ours, Action: c.action, Resource: c.resource, Context: contextOf(strings.Fields(c.context))}
		for i := 0; i < len(c.policies); i += 2 {
			addPolicy(t, &q, c.policies[i], c.policies[i+1])
		}
		if diff := gocmp.Diff(c.want, policy.Explain(q, policy.Decide(q))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
