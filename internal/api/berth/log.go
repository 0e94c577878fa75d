package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Log is who did what; *audit.Service is one.
type Log interface {
	Search(ctx context.Context, caller identity.Caller, q audit.Query) (audit.Page, error)
}

// SearchLogInput selects records. What is set must all hold.
type SearchLogInput struct {
	StartTime      *time.Time // from when on
	EndTime        *time.Time // until when, that moment not included
	RepositoryName *string
	ImageDigest    *string
	ImageTag       *string // of RepositoryName
	Principal      *string // an ARN, of a role for all of its sessions; or a user's, role's or web identity's name
	Operation      *string // PutImage, BatchGetImage …
	AccessKeyID    *string
	RequestID      *string
	DeniedOnly     *bool
	MaxResults     *int32 // 1 to 1000; 100 if absent
	NextToken      *string
}

// SearchLogOutput is one page, the newest first.
type SearchLogOutput struct {
	Records   []string // CloudTrail records, each the JSON that is in the log
	NextToken *string  // absent on the last page
}

func (f face) searchLog(ctx context.Context, call awswire.Call, in *SearchLogInput) (*SearchLogOutput, error) {
	if f.log == nil {
		return nil, fault.New(fault.OperationUnsupported, "This server keeps no log.")
	}
	q, err := in.read()
	if err != nil {
		return nil, err
	}
	page, err := f.log.Search(ctx, call.Caller, q)
	if err != nil {
		return nil, err
	}
	out := &SearchLogOutput{Records: make([]string, 0, len(page.Records)), NextToken: optional(page.Next)}
	for i := range page.Records {
		out.Records = append(out.Records, string(page.Records[i].Line))
	}
	return out, nil
}

func (in *SearchLogInput) read() (q audit.Query, err error) {
	q = audit.Query{
		Since: aws.ToTime(in.StartTime), Until: aws.ToTime(in.EndTime), Principal: aws.ToString(in.Principal), Operation: aws.ToString(in.Operation),
		AccessKeyID: aws.ToString(in.AccessKeyID), RequestID: aws.ToString(in.RequestID), DeniedOnly: aws.ToBool(in.DeniedOnly), After: aws.ToString(in.NextToken),
	}
	if in.RepositoryName != nil {
		if q.Repository, err = oci.ParseRepositoryName(*in.RepositoryName); err != nil {
			return q, err
		}
	}
	switch {
	case in.ImageDigest != nil && in.ImageTag != nil:
		return q, fault.BadParameter("imageTag", "Member must be null where imageDigest is given")
	case in.ImageDigest != nil:
		d, err := oci.ParseDigest(*in.ImageDigest)
		if err != nil {
			return q, err
		}
		q.Image = d.String()
	case in.ImageTag != nil && q.Repository == "":
		return q, fault.BadParameter("repositoryName", "Member must not be null where imageTag is given")
	case in.ImageTag != nil:
		if q.Image, err = oci.ParseTag(*in.ImageTag); err != nil {
			return q, err
		}
	}
	if q.Limit, err = pageLimit(in.MaxResults); q.Limit == 0 {
		q.Limit = 100
	}
	return q, err
}
