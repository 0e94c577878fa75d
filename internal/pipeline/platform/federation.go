package platform

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// ProviderARN is what an OIDC provider of an account is called. The issuer is a URL, as tokens name it.
func ProviderARN(partition, account, issuer string) string {
	return "arn:" + partition + ":iam::" + account + ":oidc-provider/" + strings.TrimPrefix(issuer, "https://")
}

// ProviderClients gives the client ids that an OIDC provider takes tokens for. A provider that is not there is refused as NoSuchEntity.
func (p *People) ProviderClients(ctx context.Context, arn string) ([]string, error) {
	out, err := p.iam.GetOpenIDConnectProvider(ctx, &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &arn})
	if err != nil {
		return nil, Plain(err)
	}
	return out.ClientIDList, nil
}

// TrustPolicy gives the text of a role's trust policy. The role is named by its ARN.
func (p *People) TrustPolicy(ctx context.Context, arn string) (string, error) {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	out, err := p.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return "", Plain(err)
	}
	if out.Role == nil {
		return "", errors.New("the answer has no role")
	}
	text, err := url.QueryUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		return "", fmt.Errorf("reading the trust policy of %s: %w", arn, err)
	}
	return text, nil
}
