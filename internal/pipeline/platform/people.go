package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Amazon is the URL that stands for Amazon's own services.
const Amazon = "aws"

// People is a client of IAM and STS, Berth's or Amazon's. It is for one goroutine.
type People struct {
	iam    *iam.Client
	sts    *sts.Client
	config aws.Config
	me     Identity // zero until it was asked for
}

// NewPeople makes a client from the AWS configuration. The URL is a Berth's, or Amazon, or empty for the
// endpoint that the configuration names; the error is ErrNoEndpoint where it names none: people are not made
// at Amazon because a variable was forgotten.
func NewPeople(ctx context.Context, url string) (*People, error) {
	config, err := AWS(ctx)
	if err != nil {
		return nil, err
	}
	endpoint := func(configured *string) *string {
		switch url {
		case "":
			return configured
		case Amazon:
			return nil
		default:
			return &url
		}
	}
	p := &People{config: config}
	p.iam = iam.NewFromConfig(config, func(o *iam.Options) { o.BaseEndpoint = endpoint(o.BaseEndpoint) })
	p.sts = sts.NewFromConfig(config, func(o *sts.Options) { o.BaseEndpoint = endpoint(o.BaseEndpoint) })
	if url != Amazon && p.iam.Options().BaseEndpoint == nil {
		return nil, ErrNoEndpoint
	}
	if _, err := Credentials(ctx, config); err != nil {
		return nil, err
	}
	return p, nil
}

// Identity is who calls.
type Identity struct{ Account, ARN, ID string }

// WhoAmI asks who the credentials' principal is.
func (p *People) WhoAmI(ctx context.Context) (Identity, error) {
	if p.me != (Identity{}) {
		return p.me, nil
	}
	out, err := p.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Identity{}, Plain(err)
	}
	p.me = Identity{aws.ToString(out.Account), aws.ToString(out.Arn), aws.ToString(out.UserId)}
	return p.me, nil
}

// User is an IAM user.
type User struct {
	Name, Path, ID, ARN string
	Created             time.Time
	Boundary            string // ARN of the policy that bounds the user's permissions, or empty; listings lack it
}

func toUser(u *types.User) User {
	if u == nil {
		return User{}
	}
	user := User{
		Name: aws.ToString(u.UserName), Path: aws.ToString(u.Path), ID: aws.ToString(u.UserId), ARN: aws.ToString(u.Arn),
		Created: aws.ToTime(u.CreateDate),
	}
	if u.PermissionsBoundary != nil {
		user.Boundary = aws.ToString(u.PermissionsBoundary.PermissionsBoundaryArn)
	}
	return user
}

// NewUser is what a user is made from; all but Name may be empty.
type NewUser struct{ Name, Path, Boundary string }

// CreateUser makes a user.
func (p *People) CreateUser(ctx context.Context, n NewUser) (User, error) {
	in := &iam.CreateUserInput{UserName: &n.Name}
	if n.Path != "" {
		in.Path = &n.Path
	}
	if n.Boundary != "" {
		in.PermissionsBoundary = &n.Boundary
	}
	out, err := p.iam.CreateUser(ctx, in)
	if err != nil {
		return User{}, Plain(err)
	}
	return toUser(out.User), nil
}

// Users lists all users.
func (p *People) Users(ctx context.Context) ([]User, error) {
	var users []User
	for pages := iam.NewListUsersPaginator(p.iam, &iam.ListUsersInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, Plain(err)
		}
		for _, u := range page.Users {
			users = append(users, toUser(&u))
		}
	}
	return users, nil
}

// AttachPolicy gives a user a managed policy.
func (p *People) AttachPolicy(ctx context.Context, user, arn string) error {
	_, err := p.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: &user, PolicyArn: &arn})
	return Plain(err)
}

// DetachPolicy takes a managed policy from a user.
func (p *People) DetachPolicy(ctx context.Context, user, arn string) error {
	_, err := p.iam.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: &user, PolicyArn: &arn})
	return Plain(err)
}

// AccessKey is a user's key.
type AccessKey struct {
	User, ID    string
	Secret      string // known only when the key is made
	Active      bool
	Created     time.Time
	LastUsed    time.Time // zero: never, as far as is known
	LastService string    // what it was used with
}

// CreateKey makes a key for a user.
func (p *People) CreateKey(ctx context.Context, user string) (AccessKey, error) {
	out, err := p.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &user})
	if err != nil {
		return AccessKey{}, Plain(err)
	}
	k := out.AccessKey
	if k == nil {
		return AccessKey{}, errors.New("the answer has no key")
	}
	return AccessKey{
		User: aws.ToString(k.UserName), ID: aws.ToString(k.AccessKeyId), Secret: aws.ToString(k.SecretAccessKey),
		Active: k.Status == types.StatusTypeActive, Created: aws.ToTime(k.CreateDate),
	}, nil
}

// Keys lists a user's keys, with when they were last used.
func (p *People) Keys(ctx context.Context, user string) ([]AccessKey, error) {
	var keys []AccessKey
	for pages := iam.NewListAccessKeysPaginator(p.iam, &iam.ListAccessKeysInput{UserName: &user}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, Plain(err)
		}
		for _, k := range page.AccessKeyMetadata {
			keys = append(keys, AccessKey{
				User: aws.ToString(k.UserName), ID: aws.ToString(k.AccessKeyId),
				Active: k.Status == types.StatusTypeActive, Created: aws.ToTime(k.CreateDate),
			})
		}
	}
	for i, k := range keys {
		out, err := p.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &k.ID})
		if err != nil {
			return nil, fmt.Errorf("asking when %s was last used: %w", k.ID, Plain(err))
		}
		if used := out.AccessKeyLastUsed; used != nil && used.LastUsedDate != nil {
			keys[i].LastUsed, keys[i].LastService = *used.LastUsedDate, aws.ToString(used.ServiceName)
		}
	}
	return keys, nil
}

// SetKeyActive enables or disables a key.
func (p *People) SetKeyActive(ctx context.Context, user, id string, active bool) error {
	status := types.StatusTypeInactive
	if active {
		status = types.StatusTypeActive
	}
	_, err := p.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &user, AccessKeyId: &id, Status: status})
	return Plain(err)
}

// DeleteKey deletes a key.
func (p *People) DeleteKey(ctx context.Context, user, id string) error {
	_, err := p.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &user, AccessKeyId: &id})
	return Plain(err)
}
