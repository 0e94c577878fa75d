package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// GarbageCollectionInput asks for nothing in particular.
type GarbageCollectionInput struct{}

// GarbageCollectionOutput is how far the garbage collector is.
type GarbageCollectionOutput struct {
	PausedBy         *string // an ARN; absent where it is not paused
	PausedAt         *time.Time
	Stages           []GarbageStage
	RateLimit        *int32   // things a second of each server; 0: no bound
	ThingsPerSecond  *float64 // that the server which was asked took while it was at it
	RemainingSeconds *int64   // that this server would take for all that is due; absent where that is not known
	Walk             *GarbageWalk
	Problems         []GarbageProblem
}

// GarbageProblem is why a stage of the sweep, or the walk, failed when it last tried.
type GarbageProblem struct {
	Stage   *string // as in GarbageStage, or walk, or clock
	At      *time.Time
	Problem *string
}

// GarbageStage is what waits in one stage.
type GarbageStage struct {
	Stage       *string // trash, uploads, layers, blobs or bytes
	DueThings   *int64
	DueBytes    *int64
	LaterThings *int64
	LaterBytes  *int64
	NextAt      *time.Time // when the first of those comes to be due
	DoneThings  *int64     // by the server that was asked, since it started; absent in a dry run
	DoneBytes   *int64
}

// GarbageWalk is how far the search for bytes that no row names is.
type GarbageWalk struct {
	Part          *string // absent where none is under way
	BeganAt       *time.Time
	EndedAt       *time.Time // the last one that did
	SeenThings    *int64
	SeenBytes     *int64
	StrayThings   *int64
	StrayBytes    *int64
	StrangeThings *int64 // that are nothing of Berth's
	ForgottenRows *int64
	FoundThings   *int64  // strays, but for those of the last hour
	FoundBytes    *int64  // theirs
	Held          *bool   // they are so many that none is taken
	AllowedBy     *string // an ARN: who let this walk take them all the same; absent where nobody did
}

// ResumeInput asks for the end of a pause, or for something else instead.
type ResumeInput struct {
	Strays bool // let the next search remove bytes without a row, be they as many as they are
}

// PauseOutput is a pause.
type PauseOutput struct {
	PausedBy        *string // absent where there was none to resume from
	PausedAt        *time.Time
	StraysAllowedBy *string // absent where that was not asked for
	StraysAllowedAt *time.Time
}

// ListGarbageInput asks what a sweep would take.
type ListGarbageInput struct {
	MaxResults *int32
	NextToken  *string
}

// ListGarbageOutput is what a sweep would take.
type ListGarbageOutput struct {
	Stages      []GarbageStage
	FreedThings *int64
	FreedBytes  *int64
	Blobs       []GarbageBlob
	NextToken   *string
}

// GarbageBlob is a blob that nothing would have any more.
type GarbageBlob struct {
	Digest *string
	Size   *int64
}

// ExplainDigestInput asks why something is here.
type ExplainDigestInput struct {
	Digest *string // required
}

// ExplainDigestOutput is why it is here.
type ExplainDigestOutput struct {
	Digest  *string
	Size    *int64 // of the blob; absent where there is none
	Needed  *bool
	Images  *int64 // that refer to it, or are of that digest
	Layers  *int64 // repositories that have it
	Trashed *int64
	Reasons []string
}

func (f face) getGarbageCollection(ctx context.Context, call awswire.Call, _ *GarbageCollectionInput) (*GarbageCollectionOutput, error) {
	return garbageStatus(f.garbage.Status(ctx, call.Caller))
}

func (f face) startGarbageCollection(ctx context.Context, call awswire.Call, _ *GarbageCollectionInput) (*GarbageCollectionOutput, error) {
	return garbageStatus(f.garbage.Start(ctx, call.Caller))
}

func garbageStatus(st gc.Status, err error) (*GarbageCollectionOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &GarbageCollectionOutput{
		Stages: garbageStages(st.Stages, true), RateLimit: aws.Int32(int32(st.Rate)), ThingsPerSecond: &st.Speed, //nolint:gosec // at most a million
		Walk: &GarbageWalk{
			Part: optional(st.Walk.Part), BeganAt: when(st.Walk.Began), EndedAt: when(st.Walk.Ended),
			SeenThings: &st.Walk.Seen.Things, SeenBytes: &st.Walk.Seen.Bytes,
			StrayThings: &st.Walk.Strays.Things, StrayBytes: &st.Walk.Strays.Bytes,
			StrangeThings: aws.Int64(int64(st.Walk.Strange)), ForgottenRows: aws.Int64(int64(st.Walk.Rows)),
			FoundThings: &st.Walk.Found.Things, FoundBytes: &st.Walk.Found.Bytes, Held: &st.Walk.Held, AllowedBy: optional(st.Walk.AllowedBy),
		},
		Problems: []GarbageProblem{},
	}
	for _, p := range st.Problems {
		out.Problems = append(out.Problems, GarbageProblem{Stage: &p.Stage, At: &p.At, Problem: &p.Text})
	}
	if st.Speed > 0 {
		out.RemainingSeconds = aws.Int64(int64(st.Remaining.Round(time.Second) / time.Second))
	}
	if st.Paused != nil {
		out.PausedBy, out.PausedAt = &st.Paused.By, &st.Paused.At
	}
	return out, nil
}

func garbageStages(stages []gc.StageStatus, done bool) []GarbageStage {
	list := []GarbageStage{}
	for _, s := range stages {
		w := GarbageStage{
			Stage: aws.String(s.Stage.String()), DueThings: &s.Due.Things, DueBytes: &s.Due.Bytes,
			LaterThings: &s.Later.Things, LaterBytes: &s.Later.Bytes, NextAt: when(s.NextAt),
		}
		if done {
			w.DoneThings, w.DoneBytes = &s.Done.Things, &s.Done.Bytes
		}
		list = append(list, w)
	}
	return list
}

func (f face) pauseGarbageCollection(ctx context.Context, call awswire.Call, _ *GarbageCollectionInput) (*PauseOutput, error) {
	p, err := f.garbage.Pause(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &PauseOutput{PausedBy: &p.By, PausedAt: &p.At}, nil
}

func (f face) resumeGarbageCollection(ctx context.Context, call awswire.Call, in *ResumeInput) (*PauseOutput, error) {
	if in.Strays {
		a, err := f.garbage.AllowStrays(ctx, call.Caller)
		if err != nil {
			return nil, err
		}
		return &PauseOutput{StraysAllowedBy: &a.By, StraysAllowedAt: &a.At}, nil
	}
	p, err := f.garbage.Resume(ctx, call.Caller)
	if err != nil || p == nil {
		return &PauseOutput{}, err
	}
	return &PauseOutput{PausedBy: &p.By, PausedAt: &p.At}, nil
}

func (f face) listGarbage(ctx context.Context, call awswire.Call, in *ListGarbageInput) (*ListGarbageOutput, error) {
	limit, err := pageLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	after := oci.Digest("")
	if in.NextToken != nil {
		if after, err = oci.ParseDigest(*in.NextToken); err != nil {
			return nil, fault.BadParameter("nextToken", "It is none that this operation gave")
		}
	}
	dry, err := f.garbage.DryRun(ctx, call.Caller, after, limit)
	if err != nil {
		return nil, err
	}
	out := &ListGarbageOutput{
		Stages: garbageStages(dry.Stages, false), FreedThings: &dry.Freed.Things, FreedBytes: &dry.Freed.Bytes,
		Blobs: []GarbageBlob{}, NextToken: optional(dry.Next.String()),
	}
	for _, b := range dry.Blobs {
		out.Blobs = append(out.Blobs, GarbageBlob{Digest: aws.String(b.Digest.String()), Size: &b.Size})
	}
	return out, nil
}

func (f face) explainDigest(ctx context.Context, call awswire.Call, in *ExplainDigestInput) (*ExplainDigestOutput, error) {
	if in.Digest == nil {
		return nil, missing("digest")
	}
	d, err := oci.ParseDigest(*in.Digest)
	if err != nil {
		return nil, fault.BadParameter("digest", err.Error())
	}
	e, err := f.garbage.Explain(ctx, call.Caller, d)
	if err != nil {
		return nil, err
	}
	out := &ExplainDigestOutput{
		Digest: aws.String(d.String()), Needed: &e.Needed, Images: aws.Int64(e.Users.Count + e.Images.Count),
		Layers: &e.Layers.Count, Trashed: &e.Trash.Count, Reasons: e.Reasons,
	}
	if e.Blob != nil {
		out.Size = &e.Blob.Size
	}
	return out, nil
}

// when leaves a time out that there is none of.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
