package platform

import (
	"context"
	"time"
)

// NoticeTarget is where notices go.
type NoticeTarget struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"` // webhook, email or slack
	Where  string   `json:"where"`
	Topics []string `json:"topics"` // ARNs that stand for it
}

// NoticeTargets lists a Berth's targets.
func (c *Client) NoticeTargets(ctx context.Context) ([]NoticeTarget, error) {
	var out struct {
		Targets []NoticeTarget `json:"targets"`
	}
	err := c.call(ctx, "ListNoticeTargets", struct{}{}, &out)
	return out.Targets, err
}

// NoticeTest is what became of a try.
type NoticeTest struct {
	Target    NoticeTarget `json:"target"`
	Delivered bool         `json:"delivered"`
	Problem   string       `json:"problem,omitempty"`
	Took      int64        `json:"tookMilliseconds"`
}

// TestNoticeTarget has a Berth send something to a target, by its name or a topic's ARN.
func (c *Client) TestNoticeTarget(ctx context.Context, target string) (NoticeTest, error) {
	in := struct {
		Target string `json:"target"`
	}{target}
	var out NoticeTest
	err := c.call(ctx, "TestNoticeTarget", in, &out)
	return out, err
}

// Notice is a notice to a target, and what became of it.
type Notice struct {
	Target   string  `json:"target"`
	Subject  string  `json:"subject"`
	State    string  `json:"state"` // pending, delivered or failed
	Attempts int64   `json:"attempts"`
	Problem  string  `json:"problem,omitempty"`
	Created  float64 `json:"createdAt"` // seconds since 1970
	Due      float64 `json:"dueAt,omitempty"`
	Ended    float64 `json:"endedAt,omitempty"`
}

// CreatedAt is when somebody was to be told.
func (n Notice) CreatedAt() time.Time { return seconds(n.Created) }

// DueAt is when it is tried again; zero: it is not.
func (n Notice) DueAt() time.Time { return seconds(n.Due) }

// NoticeQuery says which notices. What is empty is any.
type NoticeQuery struct {
	Target string `json:"target,omitempty"`
	State  string `json:"state,omitempty"`
}

// Notices lists the newest notices, at most limit.
func (c *Client) Notices(ctx context.Context, q NoticeQuery, limit int) ([]Notice, error) {
	all, token := []Notice{}, ""
	for {
		in := struct {
			NoticeQuery
			MaxResults int    `json:"maxResults"`
			NextToken  string `json:"nextToken,omitempty"`
		}{q, min(limit-len(all), 1000), token}
		var out struct {
			Notices   []Notice `json:"notices"`
			NextToken string   `json:"nextToken"`
		}
		if err := c.call(ctx, "ListNotices", in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Notices...)
		if token = out.NextToken; token == "" || len(all) >= limit {
			return all, nil
		}
	}
}
