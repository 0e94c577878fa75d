package diagnose

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

func TestAllow(t *testing.T) {
	t.Parallel()
	const nothing = "because no identity-based policy allows the action"
	for name, tt := range map[string]struct{ who, url, action, why, want string }{
		"a user":          {"arn:aws:iam::1:user/people/ada", "", "ecr:PutImage", nothing, "berth admin attach-policy ada push"},
		"who pulls":       {"arn:aws:iam::1:user/ada", "aws", "ecr:BatchGetImage", nothing, "berth admin attach-policy ada pull --url aws"},
		"who reads":       {"arn:aws:iam::1:user/ada", "", "ecr:DescribeImages", "no policy allows it", "berth admin attach-policy ada read"},
		"a role":          {"arn:aws-cn:sts::1:assumed-role/ci/job", "", "ecr:PutImage", nothing, "aws iam attach-role-policy --role-name ci --policy-arn arn:aws-cn:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser"},
		"what is denied":  {"arn:aws:iam::1:user/ada", "", "ecr:PutImage", "with an explicit deny", "berth policy simulate --principal arn:aws:iam::1:user/ada --action ecr:PutImage --resource arn:x"},
		"somebody else's": {"arn:aws:sts::1:federated-user/ada", "", "ecr:PutImage", nothing, "berth policy simulate --principal arn:aws:sts::1:federated-user/ada --action ecr:PutImage --resource arn:x"},
	} {
		e := &Env{Self: "berth", URL: tt.url}
		e.found.identity = platform.Identity{ARN: tt.who}
		if got := e.allow(tt.action, "arn:x", tt.why); got != tt.want {
			t.Errorf("%s: allow = %q, want %q", name, got, tt.want)
		}
	}
}
