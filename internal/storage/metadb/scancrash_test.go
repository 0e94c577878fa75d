package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// meddled is a store in which something happens before one of its writes.
type meddled struct {
	metadb.Judging
	add, put func()
}

func (s *meddled) AddPackages(ctx context.Context, epoch int64, ps []scan.Package) ([]int64, error) {
	if f := s.add; f != nil {
		s.add = nil
		f()
	}
	return s.Judging.AddPackages(ctx, epoch, ps)
}

func (s *meddled) PutInventory(ctx context.Context, epoch int64, i scan.Inventory) error {
	if f := s.put; f != nil {
		s.put = nil
		f()
	}
	return s.Judging.PutInventory(ctx, epoch, i)
}

// TestNewsWhileSaving has advisories imported, and all images judged by them, after a save has matched its packages, or counted its
// set, and before it writes either.
func TestNewsWhileSaving(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"packages", "set"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
				w := newJudged(t, db)
				w.source("npm", 1)
				images := w.images("a", 2)
				w.must(w.save(t.Context(), images[0], npm("left", "1.0.0")))
				_, err := w.judge.JudgeOnce(t.Context())
				w.must(err)
				news := func() {
					w.advise(said{source: "npm", id: "A", vulnerability: "CVE-1", severity: advisory.High, ecosystem: "npm", name: "left", from: 2})
					w.advise(said{source: "npm", id: "B", vulnerability: "CVE-2", severity: advisory.Low, ecosystem: "npm", name: "right", from: 2})
					w.source("npm", 2)
					_, err := w.judge.JudgeOnce(t.Context())
					w.must(err)
				}
				s := &meddled{Judging: db.Judging()}
				if at == "set" {
					s.put = news
				} else {
					s.add = news
				}
				saving := &judged{tb: t, db: db, judge: scan.NewJudge(scan.JudgeConfig{Store: s, Now: func() time.Time { return w.now }})}
				w.must(saving.save(t.Context(), images[1], npm("left", "1.0.0"), npm("right", "1.0.0")))
				want := scan.Counts{All: scan.Count{advisory.High: 1, advisory.Low: 1}}
				if diff := cmp.Diff(want, w.counts(images[1])); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestJudgingStopsAnywhere stops a judgement at each of its writes, before it or after, and lets another go on: in the end there are
// the counts, and the events, that there are when nobody stops.
func TestJudgingStopsAnywhere(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		images := w.images("a", 9)
		for i, id := range images {
			w.must(w.save(t.Context(), id, npm("left", "1.0.0"), npm("right", fmt.Sprintf("%d.0.0", i))))
		}
		w.advise(said{source: "npm", id: "0", vulnerability: "CVE-0", severity: advisory.High, ecosystem: "npm", name: "left", from: 1})
		w.source("npm", 1)
		rev := int64(1)
		for stop, ended := 0, false; !ended; stop++ {
			for _, after := range []bool{false, true} {
				w.now = w.now.Add(2 * time.Minute)
				_, err := w.judge.JudgeOnce(t.Context())
				w.must(err)
				if told := w.told(); stop == 0 && told != "map[]" {
					t.Errorf("the first judgement tells %s", told)
				}
				rev++
				w.withdraw("npm", fmt.Sprint(rev-2), rev)
				w.advise(said{source: "npm", id: fmt.Sprint(rev - 1), vulnerability: fmt.Sprintf("CVE-%d", rev), severity: advisory.Low, ecosystem: "npm", name: "left", from: rev})
				w.source("npm", rev)
				s := &stopping{Judging: db.Judging(), left: stop, after: after}
				_, err = scan.NewJudge(scan.JudgeConfig{Store: s, Now: func() time.Time { return w.now }}).JudgeOnce(t.Context())
				if ended = err == nil; !ended && !errors.Is(err, errStopped) {
					t.Fatal(err)
				}
				w.now = w.now.Add(2 * time.Minute)
				_, err = w.judge.JudgeOnce(t.Context())
				w.must(err)
				for _, id := range images {
					if diff := cmp.Diff(scan.Counts{All: scan.Count{advisory.Low: 1}}, w.counts(id)); diff != "" {
						t.Errorf("stopped at write %d (after it: %v): counts (-want +got):\n%s", stop, after, diff)
					}
				}
				gone := rev - 1
				if gone == 1 {
					gone = 0
				}
				want := fmt.Sprintf("map[+CVE-%d:9 -CVE-%d:9]", rev, gone)
				if got := w.told(); got != want {
					t.Errorf("stopped at write %d (after it: %v): told %s, want %s", stop, after, got, want)
				}
			}
		}
	})
}

// told tells everything, and counts what was told.
func (w *judged) told() string {
	ctx := w.tb.Context()
	for more := true; more; {
		var err error
		more, err = w.judge.TellOnce(ctx)
		w.must(err)
	}
	got := map[string]int{}
	for {
		events, err := w.db.Outbox().Claim(ctx, w.now.Add(time.Hour), w.now.Add(24*time.Hour), 100)
		w.must(err)
		var ids []int64
		for _, e := range events {
			ids = append(ids, e.ID)
			for _, f := range e.Findings.New {
				got["+"+f.Vulnerability]++
			}
			for _, f := range e.Findings.Fixed {
				got["-"+f.Vulnerability]++
			}
		}
		if len(ids) == 0 {
			return fmt.Sprint(got)
		}
		w.must(w.db.Outbox().Done(ctx, ids))
	}
}

// stopping is a store of which a write fails, and everything after it.
type stopping struct {
	metadb.Judging
	left    int
	after   bool
	stopped bool
}

func (s *stopping) write(f func() error) error {
	if s.stopped {
		return errStopped
	}
	if s.left > 0 {
		s.left--
		return f()
	}
	if s.stopped = true; s.after {
		return errors.Join(f(), errStopped)
	}
	return errStopped
}

func (s *stopping) Begin(ctx context.Context, holder string) (j scan.Judgement, err error) {
	return j, s.write(func() error { j, err = s.Judging.Begin(ctx, holder); return err })
}

func (s *stopping) WriteMatches(ctx context.Context, holder string, until time.Time, changed []scan.MatchChange) error {
	return s.write(func() error { return s.Judging.WriteMatches(ctx, holder, until, changed) })
}

func (s *stopping) BeginCounting(ctx context.Context, holder string) (j scan.Judgement, err error) {
	return j, s.write(func() error { j, err = s.Judging.BeginCounting(ctx, holder); return err })
}

func (s *stopping) SetsAfter(ctx context.Context, after, upto int64, _ int) ([]scan.Set, error) {
	return s.Judging.SetsAfter(ctx, after, upto, 2)
}

func (s *stopping) WriteSets(ctx context.Context, holder string, until, now time.Time, counted int64, sets []scan.SetChange) error {
	return s.write(func() error { return s.Judging.WriteSets(ctx, holder, until, now, counted, sets) })
}

func (s *stopping) End(ctx context.Context, holder string, now time.Time) error {
	return s.write(func() error { return s.Judging.End(ctx, holder, now) })
}

func (s *stopping) Release(ctx context.Context, holder string) error {
	if s.stopped {
		return nil
	}
	return s.Judging.Release(ctx, holder)
}
