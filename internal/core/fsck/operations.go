package fsck

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// DefaultPage is the usual page of findings.
	DefaultPage = 100
	// MaxPage is the largest.
	MaxPage = 1000
	// LeastRate is the slowest that a check may be, in bytes per second.
	LeastRate = 64 << 10
	// keepChecks is how long those that ended are there to be looked at; the last one is always.
	keepChecks = 90 * 24 * time.Hour
)

// Order is what is asked of a new check.
type Order struct {
	Repair bool
	Quick  bool
	Rate   int64 // bytes per second; 0: no limit
}

// Start begins a check (berth:StartCheck). One at a time: while another runs the answer is fault.CheckInProgress. The
// scrub does not count.
func (s *Service) Start(ctx context.Context, caller identity.Caller, o Order) (Check, error) {
	if err := s.Registry.May(ctx, caller, StartCheck, ""); err != nil {
		return Check{}, err
	}
	if o.Rate != 0 && o.Rate < LeastRate {
		return Check{}, fault.BadParameter("bytesPerSecond", fmt.Sprintf("must be 0 or at least %d", LeastRate))
	}
	c, err := s.start(ctx, Check{Actor: caller.ARN, Repair: o.Repair, Quick: o.Quick, Rate: o.Rate})
	if errors.Is(err, registry.ErrConflict) {
		return Check{}, fault.New(fault.CheckInProgress, "A check is in progress")
	}
	if err == nil && s.Notify != nil {
		s.Notify()
	}
	return c, err
}

func (s *Service) start(ctx context.Context, c Check) (Check, error) {
	var err error
	if c.TotalBlobs, c.TotalBytes, err = s.Contents.TotalBlobs(ctx); err != nil {
		return Check{}, fmt.Errorf("counting blobs: %w", err)
	}
	c.StartedAt = s.Now()
	c.State, c.Phase, c.DueAt = Running, Blobs, c.StartedAt
	if c.Scrub {
		c.Rate = scrubRate(c.TotalBytes, s.ScrubPeriod, s.ScrubRate)
	}
	if err := s.Checks.PurgeChecks(ctx, c.StartedAt.Add(-keepChecks)); err != nil {
		return Check{}, fmt.Errorf("removing old checks: %w", err)
	}
	if c, err = s.Checks.StartCheck(ctx, c); err != nil {
		return Check{}, fmt.Errorf("starting a check: %w", err)
	}
	return c, nil
}

// Query says which check is wanted, and which of its findings.
type Query struct {
	ID    int64 // 0: the newest
	Scrub bool  // with ID 0: the newest scrub
	Limit int   // of findings; 0: DefaultPage
	Token string
}

// Report is a check with a page of its findings. Next is empty on the last page so far: a check that runs may find more.
type Report struct {
	Check
	Findings []Finding
	Next     string
}

// Describe tells how far a check is and what it found (berth:DescribeCheck).
func (s *Service) Describe(ctx context.Context, caller identity.Caller, q Query) (Report, error) {
	if err := s.Registry.May(ctx, caller, DescribeCheck, ""); err != nil {
		return Report{}, err
	}
	c, err := s.Checks.Check(ctx, q.ID, q.Scrub)
	if err != nil {
		return Report{}, s.notFound(err, q.ID)
	}
	after, err := place(c.ID, q.Token)
	if err != nil {
		return Report{}, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = DefaultPage
	}
	limit = min(limit, MaxPage)
	r := Report{Check: c}
	if r.Findings, err = s.Checks.Findings(ctx, c.ID, after, limit+1); err != nil {
		return Report{}, fmt.Errorf("reading the findings of check %d: %w", c.ID, err)
	}
	if len(r.Findings) > limit {
		r.Findings = r.Findings[:limit]
		r.Next = token(c.ID, r.Findings[limit-1].ID)
	}
	return r, nil
}

// Stop ends a check that runs (berth:StopCheck). What it found and did stays.
func (s *Service) Stop(ctx context.Context, caller identity.Caller, id int64) (Check, error) {
	if err := s.Registry.May(ctx, caller, StopCheck, ""); err != nil {
		return Check{}, err
	}
	stopped, err := s.Checks.StopCheck(ctx, id, s.Now())
	if err != nil {
		return Check{}, fmt.Errorf("stopping check %d: %w", id, err)
	}
	c, err := s.Checks.Check(ctx, id, false)
	if err != nil {
		return Check{}, s.notFound(err, id)
	}
	if !stopped {
		return Check{}, fault.New(fault.CheckEnded, "The check %d is %s, and cannot be stopped", id, c.State)
	}
	return c, nil
}

func (s *Service) notFound(err error, id int64) error {
	switch {
	case !errors.Is(err, registry.ErrNoRow):
		return fmt.Errorf("reading a check: %w", err)
	case id == 0:
		return fault.New(fault.CheckNotFound, "There was no check yet")
	default:
		return fault.New(fault.CheckNotFound, "There is no check with the id '%d'", id)
	}
}

// token is the place after a finding of a check.
func token(check, finding int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "check/%d/%d", check, finding))
}

func place(check int64, token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	rest, ok := strings.CutPrefix(string(raw), fmt.Sprintf("check/%d/", check))
	after, notNumber := strconv.ParseInt(rest, 10, 64)
	if err != nil || !ok || notNumber != nil || after < 1 {
		return 0, fault.New(fault.PageTokenInvalid, "Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be one that the page before gave'")
	}
	return after, nil
}
