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

func TestInlinePolicies(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.Group, "devs")
		ci := o.principal(access.User, "ci", "devs")
		o.role("r")
		for kind, c := range map[access.Kind]struct {
			name string
			most int
		}{access.User: {"ci", 2048}, access.Role: {"r", 10240}, access.Group: {"devs", 5120}} {
			put := func(name, document string) error {
				return o.PutInlinePolicy(ctx, o.root, kind, c.name, access.InlinePolicy{Name: name, Document: document})
			}
			document := "\n" + granting(policy.Action("ecr:*")) + " "
			o.must("PutInlinePolicy", put("b", granting("s3:*")))
			o.must("PutInlinePolicy", put("b", document))
			p, got, err := o.InlinePolicy(ctx, o.root, kind, c.name, "b")
			if err != nil || p.Name != c.name || got.Document != document {
				t.Errorf("GetInlinePolicy: %q of %s, %v", got.Document, p.Name, err)
			}
			first, second := c.most-300, 300
			o.must("all there may be", put("B", long(t, first)))
			wantFault(t, "and one more", put("a", long(t, second)), fault.LimitExceeded, fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s %s", c.most, kind, c.name))
			o.must("a smaller one", put("a", granting("ecr:*")))
			names, marker, err := o.InlinePolicies(ctx, o.root, kind, c.name, access.Page{Limit: 2})
			rest, end, err2 := o.InlinePolicies(ctx, o.root, kind, c.name, access.Page{Marker: marker})
			if diff := cmp.Diff([]string{"a", "b", "B"}, append(names, rest...)); diff != "" || err != nil || err2 != nil || len(rest) != 1 || end != "" {
				t.Errorf("names (%v, %v; -want +got):\n%s", err, err2, diff)
			}
			for _, name := range []string{"a", "b", "B"} {
				o.must("DeleteInlinePolicy", o.DeleteInlinePolicy(ctx, o.root, kind, c.name, name))
			}
			gone := fmt.Sprintf("The %s policy with name b cannot be found.", kind)
			wantFault(t, "deleting it again", o.DeleteInlinePolicy(ctx, o.root, kind, c.name, "b"), fault.EntityNotFound, gone)
			_, _, err = o.InlinePolicy(ctx, o.root, kind, c.name, "b")
			wantFault(t, "getting it", err, fault.EntityNotFound, gone)
			for what, c := range map[string]struct {
				name, document string
				words          string
				code           fault.Code
			}{
				"no name":        {"", document, "policyName", fault.InvalidParameter},
				"a long name":    {strings.Repeat("p", 129), document, "128", fault.InvalidParameter},
				"no document":    {"p", "", "not JSON", fault.PolicyMalformed},
				"a principal":    {"p", trusting(`"AWS":"*"`), "Principal", fault.PolicyMalformed},
				"no resource":    {"p", `{"Statement":{"Effect":"Allow","Action":"*"}}`, "Resource", fault.PolicyMalformed},
				"an odd element": {"p", strings.Replace(document, "Effect", "Affect", 1), "Affect", fault.PolicyMalformed},
			} {
				wantFault(t, what, put(c.name, c.document), c.code, c.words)
			}
			wantFault(t, "nobody", o.PutInlinePolicy(ctx, o.root, kind, "nobody", access.InlinePolicy{Name: "p", Document: document}),
				fault.EntityNotFound, fmt.Sprintf("The %s with name nobody cannot be found.", kind))
		}
		if o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("ci may do what nothing allows")
		}
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.Group, "devs", access.InlinePolicy{Name: "p", Document: granting("ecr:*")}))
		if !o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("ci may not do what its group may")
		}
	})
}

func TestManagedPolicy(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		document := "\n" + granting("ecr:*")
		made, err := o.CreatePolicy(ctx, o.root, access.NewPolicy{
			Name: "Push", Path: "/ci/", Description: "to push", Document: document, Tags: []access.Tag{{Key: "team", Value: "web"}},
		})
		o.must("CreatePolicy", err)
		arn := arnPrefix + "policy/ci/Push"
		if made.ARN != arn || !strings.HasPrefix(made.ID, "ANPA") || made.InForce != 1 {
			t.Errorf("made %+v", made)
		}
		got, err := o.Policy(ctx, o.root, arn)
		if diff := cmp.Diff(made, got); err != nil || diff != "" {
			t.Errorf("GetPolicy (%v; -made +got):\n%s", err, diff)
		}
		v, err := o.PolicyVersion(ctx, o.root, arn, 1)
		if err != nil || v.Document != document || !v.InForce {
			t.Errorf("version 1: %+v, %v", v, err)
		}
		o.must("TagPolicy", o.TagPolicy(ctx, o.root, arn, []access.Tag{{Key: "Team", Value: "data"}, {Key: "x", Value: "y"}}))
		o.must("UntagPolicy", o.UntagPolicy(ctx, o.root, arn, []string{"X"}))
		tags, _, err := o.PolicyTags(ctx, o.root, arn, access.Page{})
		if diff := cmp.Diff([]access.Tag{{Key: "Team", Value: "data"}}, tags); err != nil || diff != "" {
			t.Errorf("tags (%v; -want +got):\n%s", err, diff)
		}
		o.must("DeletePolicy", o.DeletePolicy(ctx, o.root, arn))
		gone := "Policy " + arn + " was not found."
		_, err = o.Policy(ctx, o.root, arn)
		wantFault(t, "GetPolicy", err, fault.EntityNotFound, gone)
		wantFault(t, "DeletePolicy", o.DeletePolicy(ctx, o.root, arn), fault.EntityNotFound, gone)
		wantFault(t, "TagPolicy", o.TagPolicy(ctx, o.root, arn, nil), fault.EntityNotFound, gone)
		for what, c := range map[string]struct {
			policy access.NewPolicy
			code   fault.Code
			words  string
		}{
			"no name":       {access.NewPolicy{Document: document}, fault.InvalidParameter, "policyName"},
			"a path":        {access.NewPolicy{Name: "p", Path: "/ci", Document: document}, fault.InvalidParameter, "path"},
			"a description": {access.NewPolicy{Name: "p", Description: strings.Repeat("d", 1001), Document: document}, fault.InvalidParameter, "description"},
			"a tag":         {access.NewPolicy{Name: "p", Tags: []access.Tag{{Key: "aws:x"}}, Document: document}, fault.InvalidParameter, "aws:"},
			"no document":   {access.NewPolicy{Name: "p"}, fault.PolicyMalformed, "not JSON"},
			"a principal":   {access.NewPolicy{Name: "p", Document: trusting(`"AWS":"*"`)}, fault.PolicyMalformed, "Principal"},
			"too long":      {access.NewPolicy{Name: "p", Document: long(t, 6145)}, fault.LimitExceeded, "Cannot exceed quota for PolicySize: 6144"},
		} {
			_, err := o.CreatePolicy(ctx, o.root, c.policy)
			wantFault(t, what, err, c.code, c.words)
		}
		o.policy("p", " "+long(t, 6144))
		_, err = o.CreatePolicy(ctx, o.root, access.NewPolicy{Name: "P", Path: "/other/", Document: document})
		wantFault(t, "taken", err, fault.EntityExists, "A policy called P already exists. Duplicate names are not allowed.")
		for _, arn := range []string{"p", arnPrefix + "policy/", arnPrefix + "role/p", "arn:aws:iam::111122223333:policy/p"} {
			_, err = o.Policy(ctx, o.root, arn)
			wantFault(t, "GetPolicy", err, fault.InvalidParameter, "ARN "+arn+" is not valid.")
		}
	})
}

func TestPolicyVersions(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		ci := o.principal(access.User, "ci")
		arn := o.policy("p", granting(policy.PutImage))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, "ci", arn))
		if !o.may(ci, policy.PutImage, "*") || o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("version 1 is not in force")
		}
		v, err := o.CreatePolicyVersion(ctx, o.root, arn, granting(policy.DescribeRegistry), false)
		if err != nil || v.Number != 2 || v.InForce || o.may(ci, policy.DescribeRegistry, "*") {
			t.Errorf("version 2: %+v, %v", v, err)
		}
		o.must("SetDefaultPolicyVersion", o.SetDefaultPolicyVersion(ctx, o.root, arn, 2))
		if o.may(ci, policy.PutImage, "*") || !o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("version 2 is not in force")
		}
		for n := 3; n <= 5; n++ {
			v, err = o.CreatePolicyVersion(ctx, o.root, arn, granting("ecr:*"), true)
			if err != nil || v.Number != n || !v.InForce {
				t.Errorf("version %d: %+v, %v", n, v, err)
			}
		}
		_, err = o.CreatePolicyVersion(ctx, o.root, arn, granting("ecr:*"), true)
		wantFault(t, "the sixth", err, fault.LimitExceeded, "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
		wantFault(t, "deleting the default", o.DeletePolicyVersion(ctx, o.root, arn, 5), fault.EntityInUse, "Cannot delete the default version of a policy.")
		o.must("DeletePolicyVersion", o.DeletePolicyVersion(ctx, o.root, arn, 2))
		wantFault(t, "deleting it again", o.DeletePolicyVersion(ctx, o.root, arn, 2), fault.EntityNotFound, "v2")
		wantFault(t, "a default that is gone", o.SetDefaultPolicyVersion(ctx, o.root, arn, 2), fault.EntityNotFound, "v2")
		_, err = o.PolicyVersion(ctx, o.root, arn, 2)
		wantFault(t, "getting it", err, fault.EntityNotFound, "v2")
		v, err = o.CreatePolicyVersion(ctx, o.root, arn, granting("ecr:*"), false)
		if err != nil || v.Number != 6 {
			t.Errorf("the next one: %+v, %v", v, err)
		}
		_, err = o.CreatePolicyVersion(ctx, o.root, arn, "{}", false)
		wantFault(t, "no policy", err, fault.PolicyMalformed, "Statement")
		var numbers []int
		page := access.Page{Limit: 2}
		for {
			versions, marker, err := o.PolicyVersions(ctx, o.root, arn, page)
			o.must("ListPolicyVersions", err)
			for _, v := range versions {
				if numbers = append(numbers, v.Number); v.InForce != (v.Number == 5) {
					t.Errorf("version %d in force: %v", v.Number, v.InForce)
				}
			}
			if page.Marker = marker; marker == "" {
				break
			}
		}
		if diff := cmp.Diff([]int{6, 5, 4, 3, 1}, numbers); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		wantFault(t, "deleting the policy", o.DeletePolicy(ctx, o.root, arn), fault.EntityInUse, "attached to entities")
		o.must("DetachPolicy", o.DetachPolicy(ctx, o.root, access.User, "ci", arn))
		wantFault(t, "deleting the policy", o.DeletePolicy(ctx, o.root, arn), fault.EntityInUse, "This policy has more than one version.")
		for _, n := range []int{6, 4, 3, 1} {
			o.must("DeletePolicyVersion", o.DeletePolicyVersion(ctx, o.root, arn, n))
		}
		o.must("DeletePolicy", o.DeletePolicy(ctx, o.root, arn))
	})
}

func TestAttachments(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.Group, "devs")
		ci := o.principal(access.User, "ci", "devs")
		o.role("r")
		for kind, name := range map[access.Kind]string{access.User: "ci", access.Role: "r", access.Group: "devs"} {
			var arns []string
			for n := range 10 {
				made, err := o.CreatePolicy(ctx, o.root, access.NewPolicy{Name: fmt.Sprintf("%s%d", kind, n), Path: fmt.Sprintf("/%d/", n%2), Document: granting("s3:*")})
				o.must("CreatePolicy", err)
				arns = append(arns, made.ARN)
				o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, kind, name, made.ARN))
			}
			o.must("attaching it again", o.AttachPolicy(ctx, o.root, kind, name, arns[0]))
			quota := map[access.Kind]string{access.User: "PoliciesPerUser", access.Role: "PoliciesPerRole", access.Group: "PoliciesPerGroup"}[kind]
			wantFault(t, "the eleventh", o.AttachPolicy(ctx, o.root, kind, name, pullOnly), fault.LimitExceeded, "Cannot exceed quota for "+quota+": 10")
			o.must("DetachPolicy", o.DetachPolicy(ctx, o.root, kind, name, arns[0]))
			wantFault(t, "detaching it again", o.DetachPolicy(ctx, o.root, kind, name, arns[0]), fault.EntityNotFound, "Policy "+arns[0]+" was not found.")
			o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, kind, name, pullOnly))
			for _, arn := range []string{arnPrefix + "policy/none", "arn:aws:iam::aws:policy/ReadOnlyAccess"} {
				wantFault(t, arn, o.AttachPolicy(ctx, o.root, kind, name, arn), fault.EntityNotFound, "Policy "+arn+" does not exist or is not attachable.")
			}
			wantFault(t, "no ARN", o.AttachPolicy(ctx, o.root, kind, name, "PullOnly"), fault.InvalidParameter, "ARN PullOnly is not valid.")
			wantFault(t, "no ARN", o.DetachPolicy(ctx, o.root, kind, name, "PullOnly"), fault.InvalidParameter, "ARN PullOnly is not valid.")
			attached, marker, err := o.AttachedPolicies(ctx, o.root, kind, name, "", access.Page{Limit: 4})
			rest, _, err2 := o.AttachedPolicies(ctx, o.root, kind, name, "", access.Page{Marker: marker})
			if err != nil || err2 != nil || len(attached) != 4 || len(rest) != 6 || attached[0].ARN != pullOnly || attached[0].Name != "AmazonEC2ContainerRegistryPullOnly" {
				t.Errorf("attached: %v, %v; %v, %v", attached, err, rest, err2)
			}
			attached, _, err = o.AttachedPolicies(ctx, o.root, kind, name, "/1/", access.Page{})
			if err != nil || len(attached) != 5 {
				t.Errorf("attached under /1/: %v, %v", attached, err)
			}
			_, _, err = o.AttachedPolicies(ctx, o.root, kind, name, "1", access.Page{})
			wantFault(t, "a prefix", err, fault.InvalidParameter, "pathPrefix")
		}
		if !o.may(ci, policy.GetAuthorizationToken, "*") || o.may(ci, policy.PutImage, "*") {
			t.Error("AWS's policy is not in force")
		}

		o.must("PutUserPermissionsBoundary", o.PutUserPermissionsBoundary(ctx, o.root, "ci", pullOnly))
		for what, c := range map[string]struct {
			filter access.EntityFilter
			want   string
		}{
			"all":          {access.EntityFilter{}, "devs r ci"},
			"users":        {access.EntityFilter{Kind: access.User}, "ci"},
			"a boundary":   {access.EntityFilter{Usage: access.AsBoundary}, "ci"},
			"attached":     {access.EntityFilter{Usage: access.AsPermissions}, "devs r ci"},
			"another path": {access.EntityFilter{PathPrefix: "/x/"}, ""},
		} {
			var names []string
			for page := (access.Page{Limit: 1}); ; {
				found, marker, err := o.PolicyEntities(ctx, o.root, pullOnly, c.filter, page)
				o.must("ListEntitiesForPolicy", err)
				for _, p := range found {
					names = append(names, p.Name)
				}
				if page.Marker = marker; marker == "" {
					break
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s: %q, want %q", what, got, c.want)
			}
		}
	})
}

func TestListPolicies(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.User, "ci")
		o.policy("b", granting("*"))
		o.policy("AdministratorAccess", granting("*")) // one of AWS's has that name
		_, err := o.CreatePolicy(ctx, o.root, access.NewPolicy{Name: "a", Path: "/ci/", Document: granting("*")})
		o.must("CreatePolicy", err)
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, "ci", arnPrefix+"policy/b"))
		o.must("PutUserPermissionsBoundary", o.PutUserPermissionsBoundary(ctx, o.root, "ci", pullOnly))
		const aws = "aws:AdministratorAccess aws:AmazonEC2ContainerRegistryFullAccess aws:AmazonEC2ContainerRegistryPowerUser aws:AmazonEC2ContainerRegistryPullOnly aws:AmazonEC2ContainerRegistryReadOnly aws:IAMFullAccess aws:IAMReadOnlyAccess"
		for what, c := range map[string]struct {
			filter access.PolicyFilter
			want   string
		}{
			"all":               {access.PolicyFilter{}, "a aws:AdministratorAccess AdministratorAccess" + strings.TrimPrefix(aws, "aws:AdministratorAccess")},
			"AWS's":             {access.PolicyFilter{Scope: access.OfAWS}, aws},
			"the account's":     {access.PolicyFilter{Scope: access.OfAccount}, "a AdministratorAccess b"},
			"used":              {access.PolicyFilter{OnlyAttached: true}, "aws:AmazonEC2ContainerRegistryPullOnly b"},
			"attached":          {access.PolicyFilter{Usage: access.AsPermissions}, "b"},
			"boundaries":        {access.PolicyFilter{Usage: access.AsBoundary}, "aws:AmazonEC2ContainerRegistryPullOnly"},
			"under a path":      {access.PolicyFilter{PathPrefix: "/ci/"}, "a"},
			"under a short one": {access.PolicyFilter{PathPrefix: "/c"}, "a"},
		} {
			if what == "all" {
				c.want = strings.Replace(c.want, " aws:IAMFullAccess", " b aws:IAMFullAccess", 1)
			}
			var names []string
			for page := (access.Page{Limit: 1}); ; {
				found, marker, err := o.Policies(ctx, o.root, c.filter, page)
				o.must("ListPolicies", err)
				for _, p := range found {
					if strings.Contains(p.ARN, "::aws:") {
						p.Name = "aws:" + p.Name
					}
					names = append(names, p.Name)
				}
				if page.Marker = marker; marker == "" {
					break
				}
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", what, got, c.want)
			}
		}
		_, _, err = o.Policies(ctx, o.root, access.PolicyFilter{PathPrefix: "x"}, access.Page{})
		wantFault(t, "a prefix", err, fault.InvalidParameter, "pathPrefix")
	})
}

func TestAWSPolicies(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		policies, _, err := o.Policies(ctx, o.root, access.PolicyFilter{Scope: access.OfAWS}, access.Page{})
		if err != nil || len(policies) != 7 {
			t.Fatalf("%d policies, %v", len(policies), err)
		}
		ids := map[string]bool{}
		for _, p := range policies {
			if ids[p.ID] = true; len(p.ID) != 21 || p.CreatedAt.Year() < 2015 || p.UpdatedAt.Before(p.CreatedAt) {
				t.Errorf("%s: id %q, from %v to %v", p.Name, p.ID, p.CreatedAt, p.UpdatedAt)
			}
			versions, _, err := o.PolicyVersions(ctx, o.root, p.ARN, access.Page{})
			if err != nil || len(versions) != 1 || !versions[0].InForce || versions[0].Number != p.InForce {
				t.Fatalf("%s: versions %+v, %v", p.Name, versions, err)
			}
			d, err := policy.ParseDocument(versions[0].Document)
			if err != nil || d.OfIdentity() != nil {
				t.Errorf("%s: %v, %v", p.Name, err, d.OfIdentity())
			}
			const why = "is managed by AWS, and cannot be changed."
			_, err = o.CreatePolicyVersion(ctx, o.root, p.ARN, granting("*"), true)
			wantFault(t, "CreatePolicyVersion", err, fault.EntityUnmodifiable, why)
			wantFault(t, "DeletePolicy", o.DeletePolicy(ctx, o.root, p.ARN), fault.EntityUnmodifiable, why)
			wantFault(t, "DeletePolicyVersion", o.DeletePolicyVersion(ctx, o.root, p.ARN, 1), fault.EntityUnmodifiable, why)
			wantFault(t, "SetDefaultPolicyVersion", o.SetDefaultPolicyVersion(ctx, o.root, p.ARN, 1), fault.EntityUnmodifiable, why)
			wantFault(t, "TagPolicy", o.TagPolicy(ctx, o.root, p.ARN, nil), fault.EntityUnmodifiable, why)
			wantFault(t, "UntagPolicy", o.UntagPolicy(ctx, o.root, p.ARN, nil), fault.EntityUnmodifiable, why)
		}
		if len(ids) != len(policies) {
			t.Error("two policies have one id")
		}
		const repo = "arn:aws:ecr:us-east-1:" + officeAccount + ":repository/app"
		for name, may := range map[string]map[policy.Action]bool{
			"AmazonEC2ContainerRegistryPullOnly":   {policy.BatchGetImage: true, policy.BatchImportUpstreamImage: true, policy.DescribeImages: false, policy.PutImage: false},
			"AmazonEC2ContainerRegistryReadOnly":   {policy.BatchGetImage: true, policy.DescribeImages: true, policy.PutImage: false},
			"AmazonEC2ContainerRegistryPowerUser":  {policy.PutImage: true, policy.DeleteRepository: false, policy.SetRepositoryPolicy: false},
			"AmazonEC2ContainerRegistryFullAccess": {policy.DeleteRepository: true, policy.GetRole: false},
			"IAMFullAccess":                        {policy.CreateRole: true, policy.PutImage: false},
			"IAMReadOnlyAccess":                    {policy.GetRole: true, policy.SimulatePrincipalPolicy: true, policy.CreateRole: false},
			"AdministratorAccess":                  {policy.PutImage: true, policy.CreateRole: true},
		} {
			caller := o.principal(access.User, name)
			o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.User, name, "arn:aws:iam::aws:policy/"+name))
			for action, want := range may {
				if got := o.may(caller, action, repo); got != want {
					t.Errorf("%s: %s is %v, want %v", name, action, got, want)
				}
			}
		}
	})
}

// TestChangesCountAtOnce asks before and after each change.
func TestChangesCountAtOnce(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.Group, "devs")
		ci := o.principal(access.User, "ci", "devs")
		arn := o.policy("p", granting("ecr:*"))
		for i, change := range []struct {
			do  func() error
			may bool
		}{
			{func() error { return o.AttachPolicy(ctx, o.root, access.Group, "devs", arn) }, true},
			{func() error { _, err := o.CreatePolicyVersion(ctx, o.root, arn, granting("s3:*"), true); return err }, false},
			{func() error { return o.SetDefaultPolicyVersion(ctx, o.root, arn, 1) }, true},
			{func() error { return o.PutUserPermissionsBoundary(ctx, o.root, "ci", pullOnly) }, false},
			{func() error { return o.DeleteUserPermissionsBoundary(ctx, o.root, "ci") }, true},
			{func() error { return o.DetachPolicy(ctx, o.root, access.Group, "devs", arn) }, false},
		} {
			o.must("changing", change.do())
			if got := o.may(ci, policy.DescribeRegistry, "*"); got != change.may {
				t.Errorf("after change %d: %v, want %v", i, got, change.may)
			}
		}
	})
}
