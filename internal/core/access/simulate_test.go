package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const appRepo = "arn:aws:ecr:us-east-1:" + officeAccount + ":repository/app"

// inShort writes a result on one line: what came out, of which statements, which keys were missing, and what the boundary says.
func inShort(r access.Simulated) string {
	words := []string{r.Action, string(r.Outcome)}
	for _, m := range r.Matched {
		words = append(words, fmt.Sprintf("%s/%s.%d%s@%d:%d-%d:%d", m.Source, m.PolicyID, m.Statement, m.Sid,
			m.Span.Start.Line, m.Span.Start.Column, m.Span.End.Line, m.Span.End.Column))
	}
	if len(r.MissingKeys) > 0 {
		words = append(words, "missing="+strings.Join(r.MissingKeys, ","))
	}
	if r.Bounded {
		words = append(words, fmt.Sprint("bounded=", r.AllowedByBoundary))
	}
	return strings.Join(words, " ")
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.Group, "devs")
		o.principal(access.User, "ci", "devs")
		o.role("deploy")
		put := func(kind access.Kind, name, document string) {
			o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, kind, name, access.InlinePolicy{Name: "of-" + name, Document: document}))
		}
		put(access.User, "ci", "{\n\"Version\":\"2012-10-17\",\n\"Statement\":[\n  {\"Sid\":\"Push\",\"Effect\":\"Allow\",\"Action\":\"ecr:PutImage\",\"Resource\":\""+appRepo+"\"},\n"+
			"  {\"Effect\":\"Deny\",\"Action\":\"ecr:DeleteRepository\",\"Resource\":\"*\"}\n]}")
		put(access.Group, "devs", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["ecr:DeleteRepository","ecr:ListImages"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"web"}}}}`)
		put(access.Role, "deploy", granting(policy.DescribeImages))
		own := o.policy("own", granting(policy.DescribeRegistry))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, "ci", own))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, "ci", pullOnly))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.Role, "deploy", pullOnly))
		o.must("PutRolePermissionsBoundary", o.PutRolePermissionsBoundary(ctx, o.root, "deploy", pullOnly))
		ci := arnPrefix + "user/ci"
		web := access.ContextEntry{Key: "aws:resourcetag/TEAM", Values: []string{"web"}}
		toRepo := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + ci + `"},"Action":"ecr:BatchDeleteImage"},
			{"Effect":"Allow","Principal":{"AWS":"` + arnPrefix + `role/deploy"},"Action":"ecr:BatchDeleteImage"}]}`
		for what, c := range map[string]struct {
			principal string
			sim       access.Simulation
			want      []string
		}{
			"a user": {ci, access.Simulation{
				Actions: []string{"ecr:PutImage", "ECR:batchgetimage", "ecr:DescribeRegistry", "ecr:ListImages", "ecr:DeleteRepository"}, Resources: []string{appRepo},
			}, []string{
				"ecr:PutImage allowed user/of-ci.1Push@4:3-4:121",
				"ECR:batchgetimage allowed aws-managed/AmazonEC2ContainerRegistryPullOnly.1@4:9-13:10",
				"ecr:DescribeRegistry allowed user-managed/own.1@1:37-1:102",
				"ecr:ListImages implicitDeny missing=aws:ResourceTag/team",
				"ecr:DeleteRepository explicitDeny user/of-ci.2@5:3-5:67 missing=aws:ResourceTag/team",
			}},
			"no resource":  {ci, access.Simulation{Actions: []string{"ecr:PutImage"}}, []string{"ecr:PutImage implicitDeny"}},
			"with context": {ci, access.Simulation{Actions: []string{"ecr:ListImages"}, Context: []access.ContextEntry{web}}, []string{"ecr:ListImages allowed group/of-devs.1@1:37-1:181"}},
			"a policy more": {
				ci,
				access.Simulation{Actions: []string{"ecr:CreateRepository"}, Policies: []string{granting("s3:*"), granting("ecr:CreateRepository")}},
				[]string{"ecr:CreateRepository allowed none/PolicyInputList.2.1@1:37-1:102"},
			},
			"a group": {arnPrefix + "group/devs", access.Simulation{Actions: []string{"ecr:ListImages"}, Context: []access.ContextEntry{web}}, []string{"ecr:ListImages allowed group/of-devs.1@1:37-1:181"}},
			"a role with a boundary": {arnPrefix + "role/deploy", access.Simulation{Actions: []string{"ecr:BatchGetImage", "ecr:DescribeImages"}}, []string{
				"ecr:BatchGetImage allowed aws-managed/AmazonEC2ContainerRegistryPullOnly.1@4:9-13:10 aws-managed/AmazonEC2ContainerRegistryPullOnly.1@4:9-13:10 bounded=true",
				"ecr:DescribeImages implicitDeny bounded=false",
			}},
			"another boundary": {arnPrefix + "role/deploy", access.Simulation{Actions: []string{"ecr:DescribeImages"}, Boundary: []string{granting("ecr:*")}}, []string{
				"ecr:DescribeImages allowed role/of-deploy.1@1:37-1:100 none/PermissionsBoundaryPolicyInputList.1.1@1:37-1:87 bounded=true",
			}},
			"a resource's policy": {
				ci,
				access.Simulation{Actions: []string{"ecr:BatchDeleteImage"}, Resources: []string{appRepo}, ResourcePolicy: toRepo},
				[]string{"ecr:BatchDeleteImage allowed resource/ResourcePolicy.1@1:38-1:144"},
			},
			"a resource's policy for the role": {
				arnPrefix + "role/deploy",
				access.Simulation{Actions: []string{"ecr:BatchDeleteImage"}, Resources: []string{appRepo}, ResourcePolicy: toRepo},
				[]string{"ecr:BatchDeleteImage implicitDeny bounded=false"},
			},
			"another's resource": {
				ci,
				access.Simulation{Actions: []string{"ecr:PutImage", "ecr:BatchDeleteImage"}, Resources: []string{appRepo}, ResourcePolicy: toRepo, ResourceOwner: "111122223333"},
				[]string{"ecr:PutImage implicitDeny", "ecr:BatchDeleteImage implicitDeny"},
			},
		} {
			results, _, err := o.SimulatePrincipalPolicy(ctx, o.root, c.principal, c.sim, access.Page{})
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			var got []string
			for _, r := range results {
				got = append(got, inShort(r))
				if len(r.Explanation) == 0 {
					t.Errorf("%s: %s is not explained", what, r.Action)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
	})
}

func TestSimulateCustomPolicy(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.User, "ci")
		sim := access.Simulation{
			Policies: []string{granting("ecr:Describe*")}, Actions: []string{"ecr:DescribeImages", "ecr:PutImage"}, Resources: []string{appRepo, "*"},
		}
		var got []string
		for page := (access.Page{Limit: 3}); ; {
			results, marker, err := o.SimulateCustomPolicy(ctx, o.root, sim, page)
			o.must("SimulateCustomPolicy", err)
			for _, r := range results {
				got = append(got, fmt.Sprint(r.Action, " ", r.Resource, " ", r.Outcome))
			}
			got = append(got, "|")
			if page.Marker = marker; marker == "" {
				break
			}
		}
		want := []string{"ecr:DescribeImages " + appRepo + " allowed", "ecr:DescribeImages * allowed", "ecr:PutImage " + appRepo + " implicitDeny", "|", "ecr:PutImage * implicitDeny", "|"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages (-want +got):\n%s", diff)
		}
		variable := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:username}"}}`
		results, _, err := o.SimulateCustomPolicy(ctx, o.root, access.Simulation{
			Policies: []string{variable}, Actions: []string{"ecr:PutImage"}, Resources: []string{appRepo},
			Context: []access.ContextEntry{{Key: "aws:username", Values: []string{"app"}}},
		}, access.Page{})
		if err != nil || len(results) != 1 || results[0].Outcome != policy.Allowed {
			t.Errorf("with a variable: %+v, %v", results, err)
		}

		ok := func() access.Simulation {
			return access.Simulation{Policies: []string{granting("*")}, Actions: []string{"ecr:PutImage"}}
		}
		for what, c := range map[string]struct {
			change func(s *access.Simulation)
			words  string
		}{
			"no policies":             {func(s *access.Simulation) { s.Policies = nil }, "policyInputList"},
			"a malformed policy":      {func(s *access.Simulation) { s.Policies = []string{granting("*"), "{}"} }, "PolicyInputList.2"},
			"no actions":              {func(s *access.Simulation) { s.Actions = nil }, "actionNames"},
			"a pattern of actions":    {func(s *access.Simulation) { s.Actions = []string{"ecr:*"} }, `"ecr:*"`},
			"no ARN":                  {func(s *access.Simulation) { s.Resources = []string{"app"} }, `"app"`},
			"two boundaries":          {func(s *access.Simulation) { s.Boundary = []string{granting("*"), granting("*")} }, "permissionsBoundaryPolicyInputList"},
			"a malformed boundary":    {func(s *access.Simulation) { s.Boundary = []string{""} }, "PermissionsBoundaryPolicyInputList.1"},
			"a resource's for nobody": {func(s *access.Simulation) { s.ResourcePolicy = trusting(`"AWS":"*"`) }, "CallerArn"},
			"a malformed resource's":  {func(s *access.Simulation) { s.ResourcePolicy, s.CallerARN = "x", arnPrefix+"user/ci" }, "ResourcePolicy"},
			"a caller":                {func(s *access.Simulation) { s.CallerARN = arnPrefix + "role/r" }, "role/r"},
			"an owner":                {func(s *access.Simulation) { s.ResourceOwner = "me" }, `"me"`},
			"a key without a name":    {func(s *access.Simulation) { s.Context = []access.ContextEntry{{Values: []string{"x"}}} }, "no key"},
			"two values":              {func(s *access.Simulation) { s.Context = []access.ContextEntry{{Key: "k", Values: []string{"x", "y"}}} }, "2 values"},
			"a key twice": {func(s *access.Simulation) {
				s.Context = []access.ContextEntry{{Key: "k", List: true}, {Key: "K", List: true}}
			}, "twice"},
		} {
			sim := ok()
			c.change(&sim)
			_, _, err := o.SimulateCustomPolicy(ctx, o.root, sim, access.Page{})
			wantFault(t, what, err, fault.InvalidParameter, c.words)
		}
		_, _, err = o.SimulateCustomPolicy(ctx, o.root, ok(), access.Page{Marker: "eA"})
		wantFault(t, "a marker", err, fault.InvalidParameter, "Marker")
		for arn, code := range map[string]fault.Code{
			arnPrefix + "user/none": fault.EntityNotFound, arnPrefix + "user/other/ci": fault.EntityNotFound, arnPrefix + "root": fault.InvalidParameter,
			"ci": fault.InvalidParameter, "arn:aws:iam::111122223333:user/ci": fault.InvalidParameter,
		} {
			_, _, err := o.SimulatePrincipalPolicy(ctx, o.root, arn, ok(), access.Page{})
			wantFault(t, arn, err, code, "")
			_, err = o.ContextKeysOfPrincipal(ctx, o.root, arn, nil)
			wantFault(t, arn, err, code, "")
		}
	})
}

func TestContextKeys(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.User, "ci")
		document := func(key string) string {
			return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"` + key + `":"x"}}}}`
		}
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.User, "ci", access.InlinePolicy{Name: "p", Document: document("aws:UserAgent")}))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, "ci", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryFullAccess"))
		keys, err := o.ContextKeysOfPrincipal(ctx, o.root, arnPrefix+"user/ci", []string{document("aws:userid"), document("AWS:USERAGENT")})
		if diff := cmp.Diff([]string{"AWS:USERAGENT", "aws:userid", "iam:AWSServiceName"}, keys); err != nil || diff != "" {
			t.Errorf("of ci (%v; -want +got):\n%s", err, diff)
		}
		keys, err = o.ContextKeysOfPolicies(ctx, o.root, []string{granting("*"), document("ecr:ImageTag")})
		if diff := cmp.Diff([]string{"ecr:ImageTag"}, keys); err != nil || diff != "" {
			t.Errorf("of documents (%v; -want +got):\n%s", err, diff)
		}
		_, err = o.ContextKeysOfPolicies(ctx, o.root, nil)
		wantFault(t, "no documents", err, fault.InvalidParameter, "policyInputList")
		_, err = o.ContextKeysOfPolicies(ctx, o.root, []string{"x"})
		wantFault(t, "no policy", err, fault.InvalidParameter, "PolicyInputList.1")
	})
}
