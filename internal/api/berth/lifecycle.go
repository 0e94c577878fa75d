package berth

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ListLifecyclePreviewResultsInput asks what the last preview of a repository's lifecycle policy says about each image.
type ListLifecyclePreviewResultsInput struct {
	RepositoryName *string // required
	Filter         *string // acted, kept or all; all if absent
	MaxResults     *int32  // 1 to 1000; 100 if absent
	NextToken      *string // of the page before
}

// ListLifecyclePreviewResultsOutput is a preview with one page of its results.
type ListLifecyclePreviewResultsOutput struct {
	LifecyclePolicyText *string // what was previewed
	Status              *string // IN_PROGRESS, COMPLETE, EXPIRED or FAILED; results are there when it is complete
	Results             []LifecyclePreviewResult
	NextToken           *string // absent on the last page
}

// LifecyclePreviewResult is what a policy says about an image.
type LifecyclePreviewResult struct {
	ImageDigest   *string
	ImageTags     []string
	ImagePushedAt *time.Time
	StorageClass  *string // where the image is now: STANDARD or ARCHIVE
	Action        *string // EXPIRE or TRANSITION; absent when the image stays as it is
	RulePriority  *int32  // of the rule that decides; absent when none does
	Reason        *string // one word
	Sentence      *string // the reason in plain words, as of the preview
}

func (f face) listLifecyclePreviewResults(ctx context.Context, call awswire.Call, in *ListLifecyclePreviewResultsInput) (*ListLifecyclePreviewResultsOutput, error) {
	repository, query, err := in.read()
	if err != nil {
		return nil, err
	}
	p, err := f.policies.Preview(ctx, call.Caller, repository, query)
	if err != nil {
		return nil, err
	}
	out := &ListLifecyclePreviewResultsOutput{
		LifecyclePolicyText: &p.Text, Status: aws.String(string(p.Status)), Results: []LifecyclePreviewResult{}, NextToken: optional(p.Next),
	}
	for _, r := range p.Results {
		result := LifecyclePreviewResult{
			ImageDigest: aws.String(r.Digest.String()), ImageTags: r.Tags, ImagePushedAt: &r.PushedAt, StorageClass: optional(strings.ToUpper(string(r.Class))),
			Reason: optional(string(r.Reason)), Sentence: optional(r.Why),
		}
		switch r.Action {
		case lifecycle.Expire:
			result.Action = aws.String("EXPIRE")
		case lifecycle.Transition:
			result.Action = aws.String("TRANSITION")
		}
		if r.Rule != 0 {
			result.RulePriority = &r.Rule
		}
		out.Results = append(out.Results, result)
	}
	return out, nil
}

func (in *ListLifecyclePreviewResultsInput) read() (repository string, query lifecycle.PreviewQuery, err error) {
	query = lifecycle.PreviewQuery{Extent: lifecycle.Everything, Token: aws.ToString(in.NextToken)}
	if in.RepositoryName == nil {
		return "", query, fault.BadParameter("repositoryName", "Member must not be null")
	}
	if repository, err = oci.ParseRepositoryName(*in.RepositoryName); err != nil {
		return "", query, err
	}
	if in.Filter != nil {
		query.Extent = lifecycle.Extent(*in.Filter)
	}
	switch query.Extent {
	case lifecycle.Acted, lifecycle.Kept, lifecycle.Everything:
	default:
		return "", query, fault.BadParameter("filter", "Member must satisfy enum value set: [acted, kept, all]")
	}
	query.Limit, err = pageLimit(in.MaxResults)
	return repository, query, err
}
