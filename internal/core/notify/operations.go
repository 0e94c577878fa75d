package notify

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Targets lists the targets in order of name (berth:ListNoticeTargets).
func (s *Service) Targets(ctx context.Context, caller identity.Caller) ([]Target, error) {
	if err := s.may(ctx, caller, ListNoticeTargets, ""); err != nil {
		return nil, err
	}
	return s.targets, nil
}

// Tried is what became of a test.
type Tried struct {
	Target  Target
	Took    time.Duration
	Problem string // empty: the target took it
}

// Test sends a message to a target at once, and tells what became of it (berth:TestNoticeTarget). It is not tried again.
func (s *Service) Test(ctx context.Context, caller identity.Caller, name string) (Tried, error) {
	if err := s.may(ctx, caller, TestNoticeTarget, ""); err != nil {
		return Tried{}, err
	}
	t, err := s.target(name)
	if err != nil {
		return Tried{}, err
	}
	now := s.now()
	m := Message{
		ID: "test-" + strconv.FormatInt(now.UnixMicro(), 10) + "-" + t.Name, At: now, Test: true,
		Subject: "TEST: a notice from Berth to " + t.Name,
		Text:    fmt.Sprintf("%s tries whether notices to the target %s arrive. Nothing has happened.\n", caller.ARN, t.Name),
		Detail:  `{"Test":true}`,
	}
	sending, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err = t.Sender.Send(sending, m)
	tried := Tried{Target: t, Took: s.now().Sub(now)}
	if err != nil {
		tried.Problem = short(err.Error())
	}
	return tried, ctx.Err()
}

// DeliveryFilter says which deliveries are wanted: all of what is set must hold.
type DeliveryFilter struct {
	Target string
	State  State
}

// The sizes of a page.
const (
	maxPage    = 1000
	normalPage = 100
)

// Deliveries lists notices and what became of them, newest first, a page (berth:ListNotices). A limit of 0 is 100; the token is of the page before.
func (s *Service) Deliveries(ctx context.Context, caller identity.Caller, f DeliveryFilter, limit int, token string) (registry.Page[Delivery], error) {
	var page registry.Page[Delivery]
	if err := s.may(ctx, caller, ListNotices, ""); err != nil {
		return page, err
	}
	if f.State != "" && f.State != Pending && f.State != Delivered && f.State != Failed {
		return page, fault.BadParameter("state", "Member must satisfy enum value set: [pending, delivered, failed]")
	}
	under := int64(0)
	if token != "" {
		var err error
		if under, err = strconv.ParseInt(token, 10, 64); err != nil || under < 1 {
			bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
			bad.Code = fault.PageTokenInvalid
			return page, bad
		}
	}
	if limit <= 0 {
		limit = normalPage
	}
	limit = min(limit, maxPage)
	var err error
	page.Items, err = s.rows.Deliveries(ctx, f.Target, f.State, under, limit+1)
	if err == nil && len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Next = strconv.FormatInt(page.Items[limit-1].ID, 10)
	}
	return page, err
}
