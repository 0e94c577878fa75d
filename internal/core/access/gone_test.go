package access_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TestTheDeletedMayNothing has somebody ask whose credentials another server still takes for a moment. What limited them is
// gone with them, so that nothing may be granted either.
func TestTheDeletedMayNothing(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ci := o.principal(access.User, "ci")
		const repository = "arn:aws:ecr:us-east-1:" + officeAccount + ":repository/app"
		document, err := policy.ParseDocument(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["*","` + ci.ARN + `"]},"Action":"ecr:*"}}`)
		o.must("the repository's policy", err)
		request := policy.Request{
			Action: policy.PutImage, Resource: repository, Account: officeAccount,
			Resources: []*policy.Policy{policy.Compile(policy.ResourceBased, repository, document)},
		}
		o.must("a user by the repository's policy", o.Authorize(t.Context(), ci, request))
		o.must("PutInlinePolicy", o.PutInlinePolicy(t.Context(), o.root, access.User, "ci", access.InlinePolicy{
			Name: "never", Document: `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"ecr:PutImage","Resource":"*"}}`,
		}))
		wantFault(t, "a user whose own policy denies it", o.Authorize(t.Context(), ci, request), fault.AccessDenied, "explicit deny")
		o.must("DeleteInlinePolicy", o.DeleteInlinePolicy(t.Context(), o.root, access.User, "ci", "never"))
		o.must("DeleteUser", o.DeleteUser(t.Context(), o.root, "ci"))
		wantFault(t, "a user who is deleted", o.Authorize(t.Context(), ci, request), fault.AccessDenied, "ecr:PutImage")
	})
}
