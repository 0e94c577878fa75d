package platform

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// DeleteUser deletes a user who has nothing any more.
func (p *People) DeleteUser(ctx context.Context, user string) error {
	_, err := p.iam.DeleteUser(ctx, &iam.DeleteUserInput{UserName: &user})
	return Plain(err)
}

// StripUser takes from a user all that keeps IAM from deleting him, keys first: access keys, policies, and memberships in
// groups. It tells what it took, in words such as "access key AKIA…", up to the first error.
func (p *People) StripUser(ctx context.Context, user string) (taken []string, err error) {
	for _, strip := range []func(context.Context, string) ([]string, error){
		p.stripKeys, p.stripAttached, p.stripInline, p.stripGroups,
	} {
		some, err := strip(ctx, user)
		taken = append(taken, some...)
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

func (p *People) stripKeys(ctx context.Context, user string) (taken []string, err error) {
	var ids []string
	for pages := iam.NewListAccessKeysPaginator(p.iam, &iam.ListAccessKeysInput{UserName: &user}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing access keys: %w", Plain(err))
		}
		for _, k := range page.AccessKeyMetadata {
			ids = append(ids, aws.ToString(k.AccessKeyId))
		}
	}
	return stripEach("access key", ids, func(id string) error { return p.DeleteKey(ctx, user, id) })
}

func (p *People) stripAttached(ctx context.Context, user string) (taken []string, err error) {
	var arns []string
	for pages := iam.NewListAttachedUserPoliciesPaginator(p.iam, &iam.ListAttachedUserPoliciesInput{UserName: &user}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing attached policies: %w", Plain(err))
		}
		for _, a := range page.AttachedPolicies {
			arns = append(arns, aws.ToString(a.PolicyArn))
		}
	}
	return stripEach("policy", arns, func(arn string) error { return p.DetachPolicy(ctx, user, arn) })
}

func (p *People) stripInline(ctx context.Context, user string) (taken []string, err error) {
	var names []string
	for pages := iam.NewListUserPoliciesPaginator(p.iam, &iam.ListUserPoliciesInput{UserName: &user}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing inline policies: %w", Plain(err))
		}
		names = append(names, page.PolicyNames...)
	}
	return stripEach("inline policy", names, func(name string) error {
		_, err := p.iam.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: &user, PolicyName: &name})
		return Plain(err)
	})
}

func (p *People) stripGroups(ctx context.Context, user string) (taken []string, err error) {
	var names []string
	for pages := iam.NewListGroupsForUserPaginator(p.iam, &iam.ListGroupsForUserInput{UserName: &user}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing groups: %w", Plain(err))
		}
		for _, g := range page.Groups {
			names = append(names, aws.ToString(g.GroupName))
		}
	}
	return stripEach("group", names, func(name string) error {
		_, err := p.iam.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{UserName: &user, GroupName: &name})
		return Plain(err)
	})
}

func stripEach(kind string, names []string, remove func(name string) error) (taken []string, err error) {
	for _, name := range names {
		if err := remove(name); err != nil {
			return taken, fmt.Errorf("removing %s %s: %w", kind, name, err)
		}
		taken = append(taken, kind+" "+name)
	}
	return taken, nil
}
