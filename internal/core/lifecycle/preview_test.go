package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

var previewAll lifecycle.PreviewQuery

func (b *bench) start(text *string) {
	b.t.Helper()
	if _, err := b.StartPreview(b.t.Context(), root, repo, text); err != nil {
		b.t.Fatalf("StartPreview: %v", err)
	}
}

func (b *bench) previewOnce(s *lifecycle.Service) bool {
	b.t.Helper()
	more, err := s.PreviewOnce(b.t.Context())
	if err != nil {
		b.t.Fatalf("PreviewOnce: %v", err)
	}
	return more
}

func (b *bench) preview(q lifecycle.PreviewQuery) lifecycle.PreviewPage {
	b.t.Helper()
	p, err := b.Preview(b.t.Context(), root, repo, q)
	if err != nil {
		b.t.Fatalf("Preview(%+v): %v", q, err)
	}
	return p
}

func TestPreviewLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		_, err := b.Preview(ctx, root, repo, previewAll)
		wantFault(t, "Preview of none", err, fault.PreviewNotFound,
			"Lifecycle policy preview does not exist for the repository with name 'hoopstat-haus/prod' in the registry with id '123456789012'")
		_, err = b.StartPreview(ctx, root, repo, nil)
		wantFault(t, "StartPreview without any policy", err, fault.LifecyclePolicyNotFound, "")
		bad := document()
		_, err = b.StartPreview(ctx, root, repo, &bad)
		wantFault(t, "StartPreview of a bad policy", err, fault.InvalidParameter, "")

		b.image("old", 3, "a", "b")
		b.image("untagged", 2)
		b.image("young", 1, "c")
		rang := 0
		service := b.with(func(c *lifecycle.Config) { c.NotifyPreview = func() { rang++ } })
		text := document(rule(7, "any", count1, expire)) + "\n"
		if got, err := service.StartPreview(ctx, root, repo, &text); err != nil || got != text {
			t.Fatalf("StartPreview gave %q (%v), want the text as it was sent", got, err)
		}
		if p := b.preview(previewAll); p.Status != lifecycle.InProgress || p.Text != text || len(p.Results) > 0 || rang != 1 {
			t.Errorf("a preview that was started is %+v, and the bell rang %d times", p, rang)
		}
		_, err = b.StartPreview(ctx, root, repo, &text)
		wantFault(t, "StartPreview again", err, fault.PreviewInProgress, "")
		if !b.previewOnce(b.Service) || b.previewOnce(b.Service) {
			t.Error("PreviewOnce should find one preview, then none")
		}
		p := b.preview(previewAll)
		if p.Status != lifecycle.Complete || p.Summary != (lifecycle.Summary{Expiring: 2}) || p.Next != "" {
			t.Errorf("the preview is %+v", p)
		}
		result := func(seq int64, name string, days int, tags ...string) lifecycle.Result {
			return lifecycle.Result{
				Seq: seq, Digest: digestOf(name), Tags: tags, PushedAt: noon.AddDate(0, 0, -days),
				Class: lifecycle.Standard, Action: lifecycle.Expire, Rule: 7,
				Reason: lifecycle.Selected, Why: fmt.Sprintf("Rule 7 keeps the youngest 1, and this is number %d.", 4-seq),
			}
		}
		wantSame(t, "the results", p.Results, []lifecycle.Result{result(1, "old", 3, "a", "b"), result(2, "untagged", 2)})
		b.wantThere("a preview deletes nothing", []string{"old", "untagged", "young"}, "old", "untagged", "young")

		b.put(document(rule(1, "untagged", count1, expire)))
		b.start(nil)
		b.previewOnce(b.Service)
		if p := b.preview(previewAll); p.Text != b.policy().Text || len(p.Results) != 0 || p.Summary != (lifecycle.Summary{}) {
			t.Errorf("the preview of the repository's own policy is %+v", p)
		}
	})
}

func TestPreviewPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for i, name := range names(5) {
			if i%2 == 0 {
				b.image(name, 10-i, fmt.Sprintf("t%d", i), fmt.Sprintf("u%d", i))
			} else {
				b.image(name, 10-i)
			}
		}
		text := document(rule(1, "any", days1, expire))
		b.start(&text)
		b.previewOnce(b.Service)

		collect := func(q lifecycle.PreviewQuery) (got []string) {
			for {
				p := b.preview(q)
				if p.Summary.Expiring != 5 {
					t.Errorf("a page's summary is %+v, want that of the whole preview", p.Summary)
				}
				for _, r := range p.Results {
					i := slices.IndexFunc(names(5), func(n string) bool { return digestOf(n) == r.Digest })
					got = append(got, names(5)[i])
				}
				if p.Next == "" {
					return got
				}
				if len(p.Results) != q.Limit {
					t.Errorf("a page of %d results, want %d", len(p.Results), q.Limit)
				}
				q.Token = p.Next
			}
		}
		all := names(5)
		wantSame(t, "pages of 2", collect(lifecycle.PreviewQuery{Limit: 2}), all)
		wantSame(t, "pages of 5", collect(lifecycle.PreviewQuery{Limit: 5}), all)
		wantSame(t, "tagged", collect(lifecycle.PreviewQuery{Limit: 2, Tags: registry.OnlyTagged}), []string{all[0], all[2], all[4]})
		wantSame(t, "untagged", collect(lifecycle.PreviewQuery{Tags: registry.OnlyUntagged}), []string{all[1], all[3]})
		d := func(i int) string { return digestOf(all[i]).String() }
		for what, c := range map[string]struct {
			ids  []registry.ImageID
			want []string
		}{
			"by tag":            {[]registry.ImageID{{Tag: "u2"}}, []string{all[2]}},
			"by digest":         {[]registry.ImageID{{Digest: d(3)}, {Digest: d(0)}}, []string{all[0], all[3]}},
			"by both":           {[]registry.ImageID{{Tag: "t4", Digest: d(4)}, {Tag: "t4", Digest: d(2)}}, []string{all[4]}},
			"of another":        {[]registry.ImageID{{Tag: "none"}}, nil},
			"none at all":       {[]registry.ImageID{}, nil},
			"twice in two ways": {[]registry.ImageID{{Tag: "t0"}, {Digest: d(0)}}, []string{all[0]}},
		} {
			wantSame(t, what, collect(lifecycle.PreviewQuery{IDs: c.ids}), c.want)
		}
		_, err := b.Preview(t.Context(), root, repo, lifecycle.PreviewQuery{IDs: []registry.ImageID{{}}})
		wantFault(t, "an empty id", err, fault.ImageIDMissing, "")

		next := b.preview(lifecycle.PreviewQuery{Limit: 2}).Next
		for _, token := range []string{"x", next + "A", next[:len(next)-1], "!!"} {
			_, err := b.Preview(t.Context(), root, repo, lifecycle.PreviewQuery{Token: token})
			wantFault(t, "the token "+token, err, fault.PageTokenInvalid, "")
		}
		b.start(&text)
		b.previewOnce(b.Service)
		_, err = b.Preview(t.Context(), root, repo, lifecycle.PreviewQuery{Token: next})
		wantFault(t, "a token of the preview before", err, fault.PageTokenInvalid, "")
	})
}

// TestPreviewOfAnInterruptedProcess: another takes it up, and the first one can do nothing more to it.
func TestPreviewOfAnInterruptedProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		b.image("old", 3)
		b.image("new", 2)
		text := document(rule(1, "any", count1, expire))
		b.start(&text)
		rows := b.db.Lifecycle()
		dead, err := rows.ClaimPreview(ctx, b.now, b.now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		left := []lifecycle.Result{{Seq: 1, Digest: "sha256:left", PushedAt: noon, Class: lifecycle.Standard, Action: lifecycle.Expire, Rule: 1}}
		if err := rows.AddResults(ctx, dead, left); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Minute - time.Microsecond)
		if b.previewOnce(b.Service) {
			t.Error("a claimed preview was taken by another")
		}
		_, err = b.StartPreview(ctx, root, repo, &text)
		wantFault(t, "StartPreview meanwhile", err, fault.PreviewInProgress, "")
		b.now = b.now.Add(time.Microsecond)
		if !b.previewOnce(b.Service) {
			t.Error("a preview whose claim has lapsed was not taken up")
		}
		left[0].Seq = 2
		if err := rows.AddResults(ctx, dead, left); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("AddResults of a lapsed claim: %v, want ErrConflict", err)
		}
		if err := rows.EndPreview(ctx, dead, lifecycle.Failed, lifecycle.Summary{}, b.now); err != nil {
			t.Errorf("EndPreview of a lapsed claim: %v, want nothing to happen", err)
		}
		p := b.preview(previewAll)
		if p.Status != lifecycle.Complete || len(p.Results) != 1 || p.Results[0].Digest != digestOf("old") {
			t.Errorf("the preview is %+v, want it complete with one result", p)
		}
	})
}

func TestPreviewExpires(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.image("old", 3)
		b.image("new", 2)
		text := document(rule(1, "any", count1, expire))
		b.start(&text)
		b.previewOnce(b.Service)
		b.now = b.now.Add(24 * time.Hour)
		if p := b.preview(previewAll); p.Status != lifecycle.Complete {
			t.Errorf("after a day the preview is %s", p.Status)
		}
		b.now = b.now.Add(time.Microsecond)
		for _, when := range []string{"before the job has seen it", "after"} {
			if p := b.preview(previewAll); p.Status != lifecycle.Expired || len(p.Results) != 0 {
				t.Errorf("%s, an old preview is %s with %d results", when, p.Status, len(p.Results))
			}
			b.previewOnce(b.Service)
		}
		p := b.preview(previewAll)
		left, err := b.db.Lifecycle().Results(t.Context(), p.ID, registry.AnyTagStatus, 0, 10)
		if err != nil || len(left) != 0 {
			t.Errorf("an expired preview has %d results left (%v)", len(left), err)
		}
		b.start(&text)
	})
}

// unreadable is a store whose images cannot be read.
type unreadable struct{ lifecycle.Store }

func (unreadable) Images(context.Context, int64) ([]lifecycle.Image, error) {
	return nil, errors.New("the disk is on fire")
}

func TestPreviewFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		text := document(rule(1, "any", count1, expire))
		b.start(&text)
		broken := b.with(func(c *lifecycle.Config) { c.Rows = unreadable{c.Rows} })
		for range 5 {
			if p := b.preview(previewAll); p.Status != lifecycle.InProgress {
				t.Errorf("the preview is %s, want it tried again", p.Status)
			}
			if _, err := broken.PreviewOnce(t.Context()); err == nil {
				t.Error("PreviewOnce keeps its failure to itself")
			}
			b.now = b.now.Add(time.Minute)
		}
		if p := b.preview(previewAll); p.Status != lifecycle.Failed {
			t.Errorf("after five attempts the preview is %s, want FAILED", p.Status)
		}
		b.start(&text)
	})
}
