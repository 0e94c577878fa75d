package platform

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// nameStatements fills in what a simulation's answer leaves out: the names of the statements that it points at.
// A stored policy has to be read for that. Whoever may not read it does without: line and column are there.
func (p *People) nameStatements(ctx context.Context, s Simulation, decisions []Decision) {
	texts := map[Statement]string{}
	for _, d := range decisions {
		for i := range d.Statements {
			at := &d.Statements[i]
			if at.Line == 0 {
				continue
			}
			policy := Statement{Policy: at.Policy, Type: at.Type}
			text, known := texts[policy]
			if !known {
				text = p.policyText(ctx, s, policy)
				texts[policy] = text
			}
			at.Sid = sidAt(text, at.Line, at.Column)
		}
	}
}

// policyText gives the text of a policy by what a simulation calls it, or nothing.
func (p *People) policyText(ctx context.Context, s Simulation, policy Statement) string {
	if n, ok := Given(policy.Policy); ok {
		if n < len(s.Policies) {
			return s.Policies[n]
		}
		return ""
	}
	principal := strings.SplitN(s.Principal, ":", 6) // arn:aws:iam::account:user/name
	if len(principal) != 6 {
		return ""
	}
	name := principal[5][strings.LastIndexByte(principal[5], '/')+1:]
	text := ""
	switch policy.Type {
	case "aws-managed":
		text = p.managedText(ctx, "arn:"+principal[1]+":iam::aws:policy/", policy.Policy)
	case "user-managed":
		text = p.managedText(ctx, "arn:"+principal[1]+":iam::"+principal[4]+":policy/", policy.Policy)
	case "user":
		if out, err := p.iam.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: &name, PolicyName: &policy.Policy}); err == nil {
			text = aws.ToString(out.PolicyDocument)
		}
	case "role":
		if out, err := p.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &policy.Policy}); err == nil {
			text = aws.ToString(out.PolicyDocument)
		}
	}
	plain, err := url.PathUnescape(text) // IAM encodes documents (RFC 3986)
	if err != nil {
		return ""
	}
	return plain
}

func (p *People) managedText(ctx context.Context, prefix, named string) string {
	if !strings.HasPrefix(named, "arn:") {
		named = prefix + named
	}
	policy, err := p.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &named})
	if err != nil || policy.Policy == nil {
		return ""
	}
	out, err := p.iam.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &named, VersionId: policy.Policy.DefaultVersionId})
	if err != nil || out.PolicyVersion == nil {
		return ""
	}
	return aws.ToString(out.PolicyVersion.Document)
}

// Given tells which of a simulation's own policies a statement is of, counting from 0.
func Given(policy string) (n int, ok bool) {
	number, ok := strings.CutPrefix(policy, "PolicyInputList.")
	n, err := strconv.Atoi(number)
	return n - 1, ok && err == nil && n >= 1
}

// sidAt finds the name of the statement that begins at a place in a policy, if it has one.
func sidAt(text string, line, column int) string {
	for ; line > 1; line-- {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return ""
		}
		text = rest
	}
	begin := max(0, column-1)
	if begin > len(text) {
		return ""
	}
	text = text[begin:]
	brace := strings.IndexByte(text, '{')
	if brace < 0 {
		return ""
	}
	var s struct {
		Sid string `json:"Sid"`
	}
	if err := json.NewDecoder(strings.NewReader(text[brace:])).Decode(&s); err != nil {
		return ""
	}
	return s.Sid
}
