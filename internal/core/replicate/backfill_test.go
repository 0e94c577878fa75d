package replicate_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

func (b *bench) start(d replicate.Destination) replicate.Backfill {
	b.t.Helper()
	f, err := b.service.StartBackfill(b.t.Context(), root, d)
	if err != nil {
		b.t.Fatalf("StartBackfill: %v", err)
	}
	return f
}

// fill does what the job of backfills does.
func (b *bench) fill() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.service.BackfillOnce(b.t.Context()); err != nil {
			b.t.Fatalf("BackfillOnce: %v", err)
		}
	}
}

// wantBackfill compares status, counts and results with want.
func (b *bench) wantBackfill(id, want string, results ...string) {
	b.t.Helper()
	f, page, err := b.service.BackfillResults(b.t.Context(), root, id, "", 100, "")
	if err != nil {
		b.t.Fatalf("BackfillResults: %v", err)
	}
	if got := fmt.Sprintf("%s %s %d/%d/%d %v", f.Status, f.FailureCode, f.Total, f.Progress.Completed, f.Progress.Failed, f.Progress.FailureCodes); got != want {
		b.t.Errorf("the backfill is %q, want %q", got, want)
	}
	var got []string
	for _, r := range page.Items {
		got = append(got, fmt.Sprintf("%s:%s@%s %s %s %v", r.Repository, r.Tag, r.Digest, r.Status, r.FailureCode, r.SubFailures))
	}
	slices.Sort(got)
	slices.Sort(results)
	if !slices.Equal(got, results) {
		b.t.Errorf("results are\n got %v\nwant %v", got, results)
	}
}

func TestABackfillSendsWhatWasThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(b.side, "elsewhere/app")
		b.create(b.side, "hoopstat-haus/immutable")
		if _, err := b.eu.CreateRepository(t.Context(), root, registry.NewRepository{Name: "hoopstat-haus/immutable", Mutability: registry.Immutable}); err != nil {
			t.Fatal(err)
		}
		theirs := b.eu.image("hoopstat-haus/immutable", "theirs", "v1")
		ours := b.image("hoopstat-haus/immutable", "ours", "v1", "v2")
		one, two, gone, bad := b.image(repo, "one", "v1", "latest"), b.image(repo, "two"), b.image(repo, "gone", "gone"), b.image(repo, "bad")
		list := b.index(repo, []digest{one, two}, "multi")
		badList := b.index(repo, []digest{bad}, "bad-list")
		b.image("elsewhere/app", "not selected", "v1")
		b.hear(b.side)
		b.rules([]replicate.Destination{eu}, "hoopstat-haus/")
		b.eu.refused[bad] = &replicate.Refused{Code: "InvalidParameter", Message: "no"}

		f := b.start(eu)
		b.wantBackfill(f.ID, "PREPARING  -1/0/0 []")
		b.fill()
		b.wantBackfill(f.ID, "IN_PROGRESS  9/0/0 []")
		if _, err := b.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Digest: gone.String()}}); err != nil {
			t.Fatal(err)
		}
		b.settle()
		b.fill()
		in := func(tag string, d digest, rest string) string {
			return repo + ":" + tag + "@" + d.String() + " " + rest
		}
		b.wantBackfill(f.ID, "COMPLETE  9/5/4 [ImageNotFound ImageTagAlreadyExists InvalidParameter]",
			in("v1", one, "COMPLETE  []"), in("latest", one, "COMPLETE  []"), in("", two, "COMPLETE  []"), in("multi", list, "COMPLETE  []"),
			in("", bad, "FAILED InvalidParameter []"), in("bad-list", badList, "FAILED InvalidParameter [InvalidParameter]"),
			in("gone", gone, "FAILED ImageNotFound []"),
			"hoopstat-haus/immutable:v1@"+ours.String()+" FAILED ImageTagAlreadyExists []",
			"hoopstat-haus/immutable:v2@"+ours.String()+" COMPLETE  []")
		b.wantContent(b.eu.side, repo, is("latest", one), is("v1", one), two.String(), is("multi", list))
		b.wantContent(b.eu.side, "hoopstat-haus/immutable", is("v1", theirs), is("v2", ours))
		b.wantContent(b.eu.side, "elsewhere/app")
	})
}

func TestBackfillsThatCannotStart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		start := func(d replicate.Destination, want fault.Code) {
			t.Helper()
			if _, err := b.service.StartBackfill(t.Context(), root, d); !errors.Is(err, want) {
				t.Errorf("StartBackfill(%s): %v, want %q", d, err, want)
			}
		}
		start(eu, fault.RegistrySettingInvalid)
		b.rules([]replicate.Destination{eu, ap})
		f := b.start(eu)
		start(eu, fault.BackfillInProgress)
		b.start(ap)
		b.fill() // nothing is there: done
		b.wantBackfill(f.ID, "COMPLETE  0/0/0 []")
		b.start(eu)
		page, err := b.service.ListBackfills(t.Context(), root, 2, "")
		if err != nil || len(page.Items) != 2 || page.Items[0].Status != replicate.Preparing || page.Next == "" {
			t.Errorf("ListBackfills: %+v, %v, want the newest of three and more", page, err)
		}
		page, err = b.service.ListBackfills(t.Context(), root, 2, page.Next)
		if err != nil || len(page.Items) != 1 || page.Items[0].ID != f.ID || page.Next != "" {
			t.Errorf("ListBackfills, second page: %+v, %v, want the oldest", page, err)
		}
		if _, err := b.service.ListBackfills(t.Context(), root, 2, "bm9uZS8x"); !errors.Is(err, fault.PageTokenInvalid) {
			t.Errorf("ListBackfills from nowhere: %v", err)
		}
	})
}

func TestStoppingABackfill(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		stop := func(id string, want replicate.Status) {
			t.Helper()
			if f, err := b.service.StopBackfill(t.Context(), root, id); err != nil || f.Status != want {
				t.Errorf("StopBackfill: %s, %v, want %s", f.Status, err, want)
			}
		}
		refused := func(id string, want fault.Code) {
			t.Helper()
			if _, err := b.service.StopBackfill(t.Context(), root, id); !errors.Is(err, want) {
				t.Errorf("StopBackfill(%s): %v, want %q", id, err, want)
			}
		}
		one, two := b.image(repo, "one", "v1"), b.image(repo, "two", "v2")
		b.hear(b.side)
		b.rules([]replicate.Destination{eu})
		early := b.start(eu)
		stop(early.ID, replicate.Stopped)
		b.wantBackfill(early.ID, "STOPPED  -1/0/0 []")
		refused(early.ID, fault.BackfillStatus)
		refused("none", fault.BackfillNotFound)

		late := b.start(eu)
		b.fill()
		row, err := b.db.Replications().Claim(t.Context(), b.now, b.now.Add(time.Minute), nil)
		if err != nil || row.Digest != one {
			t.Fatalf("Claim: %+v, %v", row, err)
		}
		stop(late.ID, replicate.Stopping)
		stop(late.ID, replicate.Stopping)
		b.fill()
		b.wantBackfill(late.ID, "STOPPING  2/0/0 []")
		if err := b.db.Replications().Settle(t.Context(), row, replicate.Settlement{Status: replicate.Complete, Now: b.now}); err != nil {
			t.Fatal(err)
		}
		b.fill()
		b.wantBackfill(late.ID, "STOPPED  2/1/0 []", repo+":v1@"+one.String()+" COMPLETE  []")
		b.settle()
		b.wantContent(b.eu.side, repo) // v2 was not sent any more, and v1 is what this test claimed and dropped
		b.wantStatus(two, "")
	})
}

// TestAStopLeavesWhatWasPushed stops a backfill of an image that a push wants too.
func TestAStopLeavesWhatWasPushed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.eu.down = errAway
		d := b.image(repo, "one", "v1")
		b.settle()
		f := b.start(eu)
		b.fill()
		if f, err := b.service.StopBackfill(t.Context(), root, f.ID); err != nil || f.Status != replicate.Stopped {
			t.Errorf("StopBackfill while the destination is away: %s, %v", f.Status, err)
		}
		b.eu.down = nil
		b.now = b.now.Add(time.Hour)
		b.settle()
		b.wantContent(b.eu.side, repo, is("v1", d))
	})
}

func TestABackfillWithoutItsRuleHasFailed(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		b.image(repo, "one", "v1")
		b.rules([]replicate.Destination{eu})
		f := b.start(eu)
		b.rules(nil)
		b.fill()
		b.wantBackfill(f.ID, "FAILED "+replicate.CodeNoRule+" -1/0/0 []")
	})
}

func TestBackfillsAreKept90Days(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.image(repo, "one", "v1")
		f := b.start(eu)
		b.fill()
		b.settle()
		b.fill()
		b.now = b.now.Add(90 * 24 * time.Hour)
		b.fill()
		if _, _, err := b.service.BackfillResults(t.Context(), root, f.ID, "", 1, ""); err != nil {
			t.Errorf("after 90 days: %v", err)
		}
		b.now = b.now.Add(time.Microsecond)
		b.fill()
		if _, _, err := b.service.BackfillResults(t.Context(), root, f.ID, "", 1, ""); !errors.Is(err, fault.BackfillNotFound) {
			t.Errorf("after more than 90 days: %v, want %q", err, fault.BackfillNotFound)
		}
	})
}

// TestABackfillOfManyImages is more than one step lists and more than is wanted at a time.
func TestABackfillOfManyImages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const images, tags = 2, 700
		for i := range images {
			names := make([]string, tags)
			for j := range names {
				names[j] = fmt.Sprintf("t%d-%d", i, j)
			}
			b.image(repo, fmt.Sprint("image ", i), names...)
		}
		b.hear(b.side)
		b.rules([]replicate.Destination{eu})
		f := b.start(eu)
		for range 4 {
			b.fill()
			b.settle()
		}
		f, page, err := b.service.BackfillResults(t.Context(), root, f.ID, replicate.Complete, 1000, "")
		if err != nil || f.Status != replicate.Complete || f.Progress.Completed != images*tags || len(page.Items) != 1000 {
			t.Fatalf("the backfill is %+v with %d results on the first page, %v", f, len(page.Items), err)
		}
		_, rest, err := b.service.BackfillResults(t.Context(), root, f.ID, replicate.Complete, 1000, page.Next)
		if err != nil || len(rest.Items) != images*tags-1000 || rest.Next != "" {
			t.Errorf("the second page has %d results, %v", len(rest.Items), err)
		}
		if _, none, err := b.service.BackfillResults(t.Context(), root, f.ID, replicate.Failed, 1000, ""); err != nil || len(none.Items) != 0 {
			t.Errorf("failed results: %d, %v", len(none.Items), err)
		}
		if got := len(b.eu.content(repo)); got != 100 { // a page
			t.Errorf("the destination has %d tags on a page", got)
		}
	})
}
