package diagnose

import (
	"fmt"
	"slices"
	"strings"
)

// grants are Amazon's managed policies by what they allow, the narrowest first, with the names that berth admin has for them.
var grants = []struct {
	short, policy string
	actions       []string // that are asked about here
}{
	{"pull", "AmazonEC2ContainerRegistryPullOnly", []string{"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}},
	{"read", "AmazonEC2ContainerRegistryReadOnly", []string{"ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:DescribeImageScanFindings"}},
	{"push", "AmazonEC2ContainerRegistryPowerUser", nil}, // the rest
}

// allow is what to type to have an action allowed. Where nothing allows it that is a policy for the user or the role; where something
// denies it, what to find out is which.
func (e *Env) allow(action, resource, why string) string {
	nothing := strings.Contains(why, "no identity-based policy allows") || strings.Contains(why, "no policy allows")
	parts := strings.SplitN(e.found.identity.ARN, ":", 6)
	if nothing && len(parts) == 6 {
		kind, rest, _ := strings.Cut(parts[5], "/")
		for _, g := range grants {
			if len(g.actions) > 0 && !slices.Contains(g.actions, action) {
				continue
			}
			switch role, _, _ := strings.Cut(rest, "/"); kind {
			case "user":
				at := ""
				if e.URL != "" {
					at = " --url " + quote(e.URL)
				}
				return e.Self + " admin attach-policy " + quote(rest[strings.LastIndexByte(rest, '/')+1:]) + " " + g.short + at
			case "assumed-role":
				return "aws iam attach-role-policy --role-name " + quote(role) + " --policy-arn arn:" + parts[1] + ":iam::aws:policy/" + g.policy
			}
		}
	}
	return fmt.Sprintf("%s policy simulate --principal %s --action %s --resource %s", e.Self, quote(e.found.identity.ARN), action, quote(resource))
}
