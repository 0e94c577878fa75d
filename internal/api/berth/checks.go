package berth

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
)

// StartCheckInput asks for a check of what is stored.
type StartCheckInput struct {
	Repair         *bool  // do what can be done about what is found; false if absent
	Quick          *bool  // look at sizes only; false if absent
	BytesPerSecond *int64 // to read at most; as fast as it can if absent or 0
}

// StartCheckOutput is the check as it begins.
type StartCheckOutput struct {
	Check *Check
}

// DescribeCheckInput asks how far a check is and what it found.
type DescribeCheckInput struct {
	CheckId    *string //nolint:revive // named as on the wire; the newest if absent
	Scrub      *bool   // without checkId: the newest scrub rather than the newest check that somebody started
	MaxResults *int32  // 1 to 1000; 100 if absent
	NextToken  *string // of the page before
}

// DescribeCheckOutput is the check with a page of its findings, in the order in which they were found.
type DescribeCheckOutput struct {
	Check     *Check
	Findings  []CheckFinding
	NextToken *string // absent on the last page
}

// StopCheckInput names a check that is to end.
type StopCheckInput struct {
	CheckId *string //nolint:revive // named as on the wire; required
}

// StopCheckOutput is the check as it ended.
type StopCheckOutput struct {
	Check *Check
}

// Check is one going through everything that is stored.
type Check struct {
	CheckId        *string //nolint:revive // named as on the wire
	Status         *string // RUNNING, COMPLETE, INCOMPLETE or STOPPED
	StatusReason   *string // why it is INCOMPLETE
	Actor          *string // the ARN of who started it
	Scrub          *bool   // it started by itself
	Repair         *bool
	Quick          *bool
	BytesPerSecond *int64 // absent without a limit
	StartedAt      *time.Time
	EndedAt        *time.Time // absent while it is RUNNING
	Phase          *string    // BLOBS, IMAGES or STORE
	TotalBlobs     *int64     // when it began
	TotalBytes     *int64
	CheckedBlobs   *int64 // so far
	CheckedBytes   *int64
	CheckedImages  *int64
	CheckedObjects *int64 // in the blob store
	Problems       *int64 // findings so far, but for RESTORED ones
	Repaired       *int64 // of these, DISCARDED ones
}

// CheckFinding is one thing that a check found.
type CheckFinding struct {
	Kind           *string
	Name           *string // of a blob its digest, of an image REPOSITORY@DIGEST, of bytes their name in the blob store
	Digest         *string // of the blob, or of what is missing; absent for bytes without a row
	BlobKey        *string // under which the bytes are in the blob store; absent of images
	RepositoryName *string // of the image that is not whole
	SizeInBytes    *int64
	Detail         *string
	NeededBy       []string // some of the images, REPOSITORY@DIGEST, and repositories that need the blob
	Done           *string  // MARKED, UNMARKED or DISCARDED; absent when nothing was done
	FoundAt        *time.Time
}

func (f face) startCheck(ctx context.Context, call awswire.Call, in *StartCheckInput) (*StartCheckOutput, error) {
	c, err := f.checks.Start(ctx, call.Caller, fsck.Order{
		Repair: aws.ToBool(in.Repair), Quick: aws.ToBool(in.Quick), Rate: aws.ToInt64(in.BytesPerSecond),
	})
	if err != nil {
		return nil, err
	}
	return &StartCheckOutput{Check: wireCheck(c)}, nil
}

func (f face) describeCheck(ctx context.Context, call awswire.Call, in *DescribeCheckInput) (*DescribeCheckOutput, error) {
	limit, err := pageLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	q := fsck.Query{Scrub: aws.ToBool(in.Scrub), Limit: limit, Token: aws.ToString(in.NextToken)}
	if in.CheckId != nil {
		if q.ID, err = checkID(*in.CheckId); err != nil {
			return nil, err
		}
	}
	r, err := f.checks.Describe(ctx, call.Caller, q)
	if err != nil {
		return nil, err
	}
	out := &DescribeCheckOutput{Check: wireCheck(r.Check), Findings: []CheckFinding{}, NextToken: optional(r.Next)}
	for _, found := range r.Findings {
		out.Findings = append(out.Findings, CheckFinding{
			Kind: aws.String(string(found.Kind)), Name: aws.String(found.Name), Digest: optional(found.Digest.String()), BlobKey: optional(string(found.Key)),
			RepositoryName: optional(found.Repository), SizeInBytes: aws.Int64(found.Size), Detail: aws.String(found.Detail),
			NeededBy: append([]string{}, found.Needs...), Done: optional(string(found.Done)), FoundAt: aws.Time(found.At),
		})
	}
	return out, nil
}

func (f face) stopCheck(ctx context.Context, call awswire.Call, in *StopCheckInput) (*StopCheckOutput, error) {
	if in.CheckId == nil {
		return nil, missing("checkId")
	}
	id, err := checkID(*in.CheckId)
	if err != nil {
		return nil, err
	}
	c, err := f.checks.Stop(ctx, call.Caller, id)
	if err != nil {
		return nil, err
	}
	return &StopCheckOutput{Check: wireCheck(c)}, nil
}

func checkID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, fault.BadParameter("checkId", "must be the id of a check")
	}
	return id, nil
}

func wireCheck(c fsck.Check) *Check {
	w := &Check{
		CheckId: aws.String(strconv.FormatInt(c.ID, 10)), Status: aws.String(string(c.State)), StatusReason: optional(c.Reason), Actor: aws.String(c.Actor),
		Scrub: aws.Bool(c.Scrub), Repair: aws.Bool(c.Repair), Quick: aws.Bool(c.Quick), StartedAt: aws.Time(c.StartedAt), Phase: aws.String(string(c.Phase)),
		TotalBlobs: aws.Int64(c.TotalBlobs), TotalBytes: aws.Int64(c.TotalBytes), CheckedBlobs: aws.Int64(c.Progress.Blobs), CheckedBytes: aws.Int64(c.Progress.Bytes),
		CheckedImages: aws.Int64(c.Progress.Images), CheckedObjects: aws.Int64(c.Progress.Things),
		Problems: aws.Int64(int64(c.Problems)), Repaired: aws.Int64(int64(c.Repaired)),
	}
	if c.Rate > 0 {
		w.BytesPerSecond = aws.Int64(c.Rate)
	}
	if !c.EndedAt.IsZero() {
		w.EndedAt = aws.Time(c.EndedAt)
	}
	return w
}
