package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/notify"
)

// ListNoticeTargetsInput asks where notices go.
type ListNoticeTargetsInput struct{}

// ListNoticeTargetsOutput is the configuration's targets, in order of name.
type ListNoticeTargetsOutput struct {
	Targets []NoticeTarget
}

// NoticeTarget is one of the configuration's targets, without what is secret.
type NoticeTarget struct {
	Name   *string
	Kind   *string  // webhook, email or slack
	Where  *string  // the host that is asked
	Topics []string // ARNs that stand for it
}

// TestNoticeTargetInput names a target that is to be sent something.
type TestNoticeTargetInput struct {
	Target *string // its name, or the ARN of a topic that stands for it; required
}

// TestNoticeTargetOutput is what became of it.
type TestNoticeTargetOutput struct {
	Target           *NoticeTarget
	Delivered        *bool
	Problem          *string // absent where it was delivered
	TookMilliseconds *int64
}

// ListNoticesInput asks what became of notices.
type ListNoticesInput struct {
	Target     *string // of this target only
	State      *string // pending, delivered or failed only
	MaxResults *int32  // 1 to 1000; 100 if absent
	NextToken  *string // of the page before
}

// ListNoticesOutput is a page of notices, each to one target, newest first.
type ListNoticesOutput struct {
	Notices   []NoticeDelivery
	NextToken *string // absent on the last page
}

// NoticeDelivery is a notice to a target, and what became of it.
type NoticeDelivery struct {
	Target    *string
	Subject   *string
	State     *string // pending, delivered or failed
	Attempts  *int64
	Problem   *string // of the last attempt; absent without
	CreatedAt *time.Time
	DueAt     *time.Time // of the next attempt; absent where it has ended
	EndedAt   *time.Time // absent while it is pending
}

func (f face) listNoticeTargets(ctx context.Context, call awswire.Call, _ *ListNoticeTargetsInput) (*ListNoticeTargetsOutput, error) {
	targets, err := f.notices.Targets(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	out := &ListNoticeTargetsOutput{Targets: []NoticeTarget{}}
	for _, t := range targets {
		out.Targets = append(out.Targets, noticeTarget(t))
	}
	return out, nil
}

func noticeTarget(t notify.Target) NoticeTarget {
	return NoticeTarget{Name: &t.Name, Kind: &t.Kind, Where: &t.Where, Topics: append([]string{}, t.Topics...)}
}

func (f face) testNoticeTarget(ctx context.Context, call awswire.Call, in *TestNoticeTargetInput) (*TestNoticeTargetOutput, error) {
	if in.Target == nil {
		return nil, fault.BadParameter("target", "Member must not be null")
	}
	tried, err := f.notices.Test(ctx, call.Caller, *in.Target)
	if err != nil {
		return nil, err
	}
	t := noticeTarget(tried.Target)
	return &TestNoticeTargetOutput{
		Target: &t, Delivered: aws.Bool(tried.Problem == ""), Problem: optional(tried.Problem), TookMilliseconds: aws.Int64(tried.Took.Milliseconds()),
	}, nil
}

func (f face) listNotices(ctx context.Context, call awswire.Call, in *ListNoticesInput) (*ListNoticesOutput, error) {
	limit, err := pageLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	filter := notify.DeliveryFilter{Target: aws.ToString(in.Target), State: notify.State(aws.ToString(in.State))}
	page, err := f.notices.Deliveries(ctx, call.Caller, filter, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &ListNoticesOutput{Notices: []NoticeDelivery{}, NextToken: optional(page.Next)}
	for _, d := range page.Items {
		n := NoticeDelivery{
			Target: &d.Target, Subject: &d.Notice.Subject, State: aws.String(string(d.State)), Attempts: aws.Int64(int64(d.Attempts)),
			Problem: optional(d.Problem), CreatedAt: &d.CreatedAt,
		}
		if d.State == notify.Pending {
			n.DueAt = &d.DueAt
		} else {
			n.EndedAt = &d.EndedAt
		}
		out.Notices = append(out.Notices, n)
	}
	return out, nil
}
