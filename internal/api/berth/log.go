package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Log is who did what; *audit.Service is one.
type Log interface {
	Search(ctx context.Context, caller identity.Caller, q audit.Query) (audit.Page, error)
	Verify(ctx context.Context, caller identity.Caller, r audit.VerifyRequest) ([]audit.Report, error)
	Checkpoints(ctx context.Context, caller identity.Caller) (signed []string, publicKey string, err error)
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
	in.note(middleware.Note(ctx))
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

// note has the record of a search say what was looked for, and not that it was done to an image: who looks again, and berth log --follow, would
// find nothing but the looking.
func (in *SearchLogInput) note(e *audit.Entry) {
	e.Repository, e.Images = "", nil
	for _, p := range []struct {
		name  string
		value *string
	}{{"ofRepository", in.RepositoryName}, {"ofImageTag", in.ImageTag}, {"ofImageDigest", in.ImageDigest}} {
		if p.value != nil {
			e.Parameters = append(e.Parameters, audit.Parameter{Name: p.name, Value: *p.value})
		}
	}
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

// GetLogCheckpointsInput asks for nothing in particular.
type GetLogCheckpointsInput struct{}

// GetLogCheckpointsOutput is what proves later that the log goes on from what it is now, if it is kept elsewhere.
type GetLogCheckpointsOutput struct {
	Checkpoints []string // signed notes, the last of each server's log
	PublicKey   *string  // they are signed by it, in the form of golang.org/x/mod/sumdb/note
}

func (f face) getLogCheckpoints(ctx context.Context, call awswire.Call, _ *GetLogCheckpointsInput) (*GetLogCheckpointsOutput, error) {
	signed, key, err := f.log.Checkpoints(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &GetLogCheckpointsOutput{Checkpoints: append([]string{}, signed...), PublicKey: &key}, nil
}

// VerifyLogInput says what is verified.
type VerifyLogInput struct {
	Log         *string  // an id; absent: all logs
	Checkpoints []string // that were kept elsewhere
}

// VerifyLogOutput is what came of it, for each log.
type VerifyLogOutput struct {
	Logs []VerifiedLog
}

// VerifiedLog is one server's log.
type VerifiedLog struct {
	Log          *string
	Records      *int64
	Forgotten    *int64 // of those, how many were kept for their time and are hashes now
	Root         *string
	Checkpoints  *int32 // how many agree with it
	Unreachable  *int32 // how many nothing can be said of
	Compared     *int64 // records that are in the database too, and the same there
	DatabaseOnly *bool  // its files are not on the server that was asked
	Problems     []LogProblem
}

// LogProblem is something that is wrong with records from First to before Next.
type LogProblem struct {
	Kind    *string // changed, missing, moved, truncated, unsigned or contradictory
	First   *int64
	Next    *int64
	File    *string
	Message *string
}

const (
	// maxCheckpoints bounds how many come with a request, and maxVerifyBody what they weigh.
	maxCheckpoints = 1000
	maxVerifyBody  = 1 << 20
)

func (f face) verifyLog(ctx context.Context, call awswire.Call, in *VerifyLogInput) (*VerifyLogOutput, error) {
	if len(in.Checkpoints) > maxCheckpoints {
		return nil, fault.BadParameter("checkpoints", "Member must have length less than or equal to 1000")
	}
	reports, err := f.log.Verify(ctx, call.Caller, audit.VerifyRequest{Log: aws.ToString(in.Log), Checkpoints: in.Checkpoints})
	if err != nil {
		return nil, err
	}
	out := &VerifyLogOutput{Logs: []VerifiedLog{}}
	for _, r := range reports {
		one := VerifiedLog{
			Log: &r.Log, Records: &r.Records, Forgotten: &r.Forgotten, Root: aws.String(r.Root.String()), Compared: &r.Compared, DatabaseOnly: &r.DatabaseOnly,
			Checkpoints: aws.Int32(int32(r.Checkpoints)), Unreachable: aws.Int32(int32(r.Unreachable)), Problems: []LogProblem{}, //nolint:gosec // there are not so many
		}
		for _, p := range r.Problems {
			one.Problems = append(one.Problems, LogProblem{aws.String(string(p.Kind)), &p.First, &p.Next, optional(p.File), &p.Message})
		}
		out.Logs = append(out.Logs, one)
	}
	return out, nil
}
