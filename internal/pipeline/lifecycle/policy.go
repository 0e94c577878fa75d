package lifecycle

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// Client is a customer of one ECR.
type Client struct {
	ecr *ecr.Client
	now func() time.Time
}

// New makes a client from the AWS configuration; url is as for platform.ECR.
func New(ctx context.Context, url string, now func() time.Time) (*Client, error) {
	client, err := platform.ECR(ctx, url)
	if err != nil {
		return nil, err
	}
	return &Client{client, now}, nil
}

// AmazonsRegion is the region that is asked, or empty if it is not Amazon that is asked.
func (c *Client) AmazonsRegion() string {
	o := c.ecr.Options()
	if o.BaseEndpoint != nil {
		return ""
	}
	return o.Region
}

// Preview has a policy previewed and counts what comes of it. A Berth gives the reasons itself.
func (c *Client) Preview(ctx context.Context, r Request) (Preview, error) {
	p, err := Run(ctx, c.ecr, r)
	if err != nil {
		return Preview{}, err
	}
	if err := c.explain(ctx, r, &p); err != nil {
		return Preview{}, err
	}
	return p, nil
}

// Policy is a repository's policy.
type Policy struct {
	Text        string
	EvaluatedAt time.Time // zero where it was not yet, or where the answer does not say
}

// Policy gets a repository's policy.
func (c *Client) Policy(ctx context.Context, repository string) (Policy, error) {
	out, err := c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &repository})
	if err != nil {
		return Policy{}, platform.Plain(err)
	}
	return policy(out.LifecyclePolicyText, out.LastEvaluatedAt), nil
}

// PutPolicy sets a repository's policy and gives it as it was stored.
func (c *Client) PutPolicy(ctx context.Context, repository, text string) (Policy, error) {
	out, err := c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &repository, LifecyclePolicyText: &text})
	if err != nil {
		return Policy{}, platform.Plain(err)
	}
	return policy(out.LifecyclePolicyText, nil), nil
}

// DeletePolicy takes a repository's policy away and gives what it was.
func (c *Client) DeletePolicy(ctx context.Context, repository string) (Policy, error) {
	out, err := c.ecr.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: &repository})
	if err != nil {
		return Policy{}, platform.Plain(err)
	}
	return policy(out.LifecyclePolicyText, out.LastEvaluatedAt), nil
}

func policy(text *string, evaluated *time.Time) Policy {
	p := Policy{Text: aws.ToString(text)}
	if at := aws.ToTime(evaluated); at.Unix() > 0 { // ECR says 1970 for never
		p.EvaluatedAt = at.UTC()
	}
	return p
}
