package access_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// TestWhiteSpaceHasAnEnd puts documents of few characters and much white space, which quotas leave out.
func TestWhiteSpaceHasAnEnd(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.principal(access.User, "ci")
		o.role("r")
		padded := func(text string, length int) string { return text + strings.Repeat(" ", length-len(text)) }
		const most = 131072
		for what, put := range map[string]func(length int) error{
			"PutInlinePolicy": func(length int) error {
				return o.PutInlinePolicy(ctx, o.root, access.User, "ci", access.InlinePolicy{Name: "p", Document: padded(granting("ecr:*"), length)})
			},
			"CreatePolicy": func(length int) error {
				_, err := o.CreatePolicy(ctx, o.root, access.NewPolicy{Name: "p", Document: padded(granting("ecr:*"), length)})
				return err
			},
			"UpdateAssumeRolePolicy": func(length int) error {
				return o.UpdateAssumeRolePolicy(ctx, o.root, "r", padded(trusting(`"AWS":"*"`), length))
			},
		} {
			wantFault(t, what, put(most+1), fault.InvalidParameter, "less than or equal to 131072")
			o.must(what, put(most))
		}
	})
}
