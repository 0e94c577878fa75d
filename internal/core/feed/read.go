package feed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Oldest is a Query.After that begins with the oldest entry that is kept.
const Oldest = math.MinInt64

// How much a reading looks through, and gives.
const (
	DefaultLimit = 100
	MaxLimit     = 1000

	maxPages = 20 // of pageSize
)

// Query is what a reader wants.
type Query struct {
	// After is the reader's cursor: the number of the last entry that it has had. A negative number begins so many entries before the end.
	After int64
	Limit int // 0: DefaultLimit
	// Repository is the name of one, or empty: the events of all that the caller may look into.
	Repository string
	Kinds      []event.Kind // none: all
}

// Page is what there is for a reader.
type Page struct {
	Entries []Entry
	// Next is the reader's cursor now: it goes past entries that the reader may not see or did not ask for.
	Next int64
	Head Head
}

// Forgotten is the error for a cursor that is not in the feed: what comes after it is not kept any more, or was never there (the registry was
// restored to an earlier state). A reader that gets it has missed what it cannot know of, and should look at everything again.
type Forgotten struct {
	Head Head
}

// Error implements error.
func (f Forgotten) Error() string {
	return fmt.Sprintf("the cursor is not in the feed: what is kept is after %d, up to %d", f.Head.Forgotten, f.Head.Number)
}

// Read gives what there is now (berth:ReadEvents, and ecr:DescribeImages for what each event is about). Its errors are faults and Forgotten.
func (f *Feed) Read(ctx context.Context, caller identity.Caller, q Query) (Page, error) {
	if err := f.may(ctx, caller, q.Repository); err != nil {
		return Page{}, err
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		return Page{}, fault.BadParameter("limit", fmt.Sprintf("Member must have value between 1 and %d", MaxLimit))
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	head, err := f.Store.Head(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("reading the feed: %w", err)
	}
	page := Page{Next: q.After}
	if q.After < 0 {
		page.Next = max(head.Forgotten, head.Number+max(q.After, -head.Number))
	}
	if page.Next > head.Number {
		return Page{}, Forgotten{head}
	}
	seen := &seer{Feed: f, caller: caller, may: map[about]bool{}}
	for range maxPages {
		more, err := f.readSome(ctx, q, &page, seen)
		if err != nil {
			return Page{}, err
		}
		if !more {
			break
		}
	}
	return page, nil
}

// readSome looks at some entries, and tells whether to go on.
func (f *Feed) readSome(ctx context.Context, q Query, page *Page, seen *seer) (more bool, err error) {
	entries, err := f.Store.After(ctx, page.Next, pageSize)
	if err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	// After the entries: what was forgotten before they were read is not among them.
	if page.Head, err = f.Store.Head(ctx); err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	if page.Next < page.Head.Forgotten {
		if q.After >= 0 || len(page.Entries) > 0 {
			return false, Forgotten{page.Head}
		}
		page.Next = page.Head.Forgotten // the oldest has become another
		return true, nil
	}
	filter := Filter{Kinds: q.Kinds}
	for _, e := range entries {
		if len(page.Entries) == q.Limit {
			return false, nil
		}
		if filter.Picks(e.Event) && (q.Repository == "" || q.Repository == e.Repository) {
			visible, err := seen.see(ctx, e.Event)
			if err != nil {
				return false, err
			}
			if visible {
				page.Entries = append(page.Entries, e)
			}
		}
		page.Next = e.Number
	}
	return len(entries) == pageSize, nil
}

// about is what a permission is asked for: an image, or a repository.
type about struct{ repository, digest string }

// seer remembers, for one reading, what a caller may look into.
type seer struct {
	*Feed
	caller identity.Caller
	may    map[about]bool
}

// see tells whether the caller may know of an event: whoever may describe an image may, or the repository where the event is about none. The image
// may be gone; then the policies decide about one without tags.
func (s *seer) see(ctx context.Context, e event.Event) (bool, error) {
	if e.Repository == "" {
		return true, nil
	}
	key := about{e.Repository, e.Digest.String()}
	if known, ok := s.may[key]; ok {
		return known, nil
	}
	var err error
	if e.Digest == "" {
		err = s.Registry.May(ctx, s.caller, policy.DescribeImages, e.Repository)
	} else {
		err = s.Registry.MayOnImage(ctx, s.caller, e.Repository, registry.ImageID{Digest: e.Digest.String()}, policy.DescribeImages)
	}
	if err != nil && !errors.Is(err, fault.AccessDenied) {
		return false, err
	}
	s.may[key] = err == nil
	return err == nil, nil
}

// Wait is Read, and waits for a time until there is something. Without anything it gives a page with no entries, whose Next may be further on. It
// ends early, in the same way, with ctx.
func (f *Feed) Wait(ctx context.Context, caller identity.Caller, q Query, wait time.Duration) (Page, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		woken := f.wakeUp()
		page, err := f.Read(ctx, caller, q)
		if err != nil || len(page.Entries) > 0 {
			return page, err
		}
		q.After = page.Next
		if page.Next < page.Head.Number && ctx.Err() == nil {
			select {
			case <-timer.C:
				return page, nil
			default:
				continue // there is more to look through
			}
		}
		select {
		case <-woken:
		case <-timer.C:
			return page, nil
		case <-ctx.Done():
			return page, nil
		}
	}
}

// shownOfReceiver is how many late repositories and set aside events are shown of each receiver.
const shownOfReceiver = 100

// Receivers shows how far the receivers of webhooks are (berth:DescribeEventReceivers), also those that are not configured any more.
func (f *Feed) Receivers(ctx context.Context, caller identity.Caller) ([]State, Head, error) {
	if err := f.Registry.May(ctx, caller, policy.DescribeEventReceivers, ""); err != nil {
		return nil, Head{}, err
	}
	states, err := f.Deliveries.States(ctx, shownOfReceiver)
	if err != nil {
		return nil, Head{}, fmt.Errorf("reading receivers: %w", err)
	}
	head, err := f.Store.Head(ctx)
	if err != nil {
		return nil, Head{}, fmt.Errorf("reading the feed: %w", err)
	}
	return states, head, nil
}
