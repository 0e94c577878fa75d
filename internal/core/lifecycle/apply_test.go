package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestApplyExpires: oldest first, in the server's own name, with history and events.
func TestApplyExpires(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.image("middle", 5, "v2")
		b.image("oldest", 9, "v1", "first")
		b.image("newest", 1, "v3")
		b.image("untagged", 7)
		b.events()
		b.put(document(rule(1, "tagged", `"tagPatternList":["v*"],`+count1, expire), rule(2, "untagged", days1, expire)))
		var log strings.Builder
		if n := b.apply(b.with(func(c *lifecycle.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })); n != 1 {
			t.Errorf("the job ran %d times, want once", n)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "repository="+repo+" action=expire images=3 left=0") {
			t.Errorf("the log says %s", log.String())
		}
		b.wantThere("after the policy", []string{"oldest", "untagged", "middle", "newest"}, "newest")
		whys := map[oci.Digest]string{
			digestOf("oldest"):   "Rule 1 keeps the youngest 1, and this is number 3.",
			digestOf("middle"):   "Rule 1 keeps the youngest 1, and this is number 2.",
			digestOf("untagged"): "Rule 2 is for what was pushed more than 1 day ago, and this was 7 days ago.",
		}
		var gone []oci.Digest
		for _, e := range b.events() {
			if e.Kind != event.ImageDeleted || e.Actor != "berth:lifecycle" || e.Reason != whys[e.Digest] {
				t.Errorf("event %+v, want the deletion of an image by berth:lifecycle, and %s", e, whys[e.Digest])
			}
			gone = append(gone, e.Digest)
		}
		wantSame(t, "the events", gone, []oci.Digest{digestOf("oldest"), digestOf("untagged"), digestOf("middle")})
		history, err := b.db.Read().TagHistory(t.Context(), repo, "first", 0, 10)
		if err != nil || len(history) != 1 || history[0].Actor != "berth:lifecycle" || history[0].From != digestOf("oldest") || history[0].To != "" {
			t.Errorf("the history of a tag is %+v (%v)", history, err)
		}
		if at := b.policy().EvaluatedAt; !at.Equal(noon) {
			t.Errorf("last evaluated at %v, want now", at)
		}
	})
}

// TestApplyWhenItIsDue: at once when it is stored, a minute after a change, and every hour.
func TestApplyWhenItIsDue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(document(rule(1, "any", count1, expire)))
		idle := func(what string) {
			t.Helper()
			if n := b.apply(b.Service); n != 0 {
				t.Errorf("%s: the policy was carried out %d times, want not at all", what, n)
			}
		}
		due := func(what string) {
			t.Helper()
			if n := b.apply(b.Service); n != 1 {
				t.Errorf("%s: the policy was carried out %d times, want once", what, n)
			}
			if at := b.policy().EvaluatedAt; !at.Equal(b.now) {
				t.Errorf("%s: last evaluated at %v, want %v", what, at, b.now)
			}
		}
		b.hand()
		due("stored")
		idle("just done")
		b.now = b.now.Add(time.Hour - time.Microsecond)
		idle("within the hour")
		b.now = b.now.Add(time.Microsecond)
		due("an hour later")

		touch := func(kind event.Kind) {
			t.Helper()
			if err := b.Handle(t.Context(), event.Event{Kind: kind, Repository: repo, RepositoryID: b.repo.ID}); err != nil {
				t.Fatal(err)
			}
		}
		for _, kind := range []event.Kind{event.ImagePushed, event.ImageDeleted, event.ImageUntagged, event.ImageArchived, event.ImageRestored} {
			touch(kind)
			b.now = b.now.Add(30 * time.Second)
			touch(kind) // which puts nothing off
			idle("a moment after " + string(kind))
			b.now = b.now.Add(30 * time.Second)
			due("a minute after " + string(kind))
			b.now = b.now.Add(time.Minute)
			idle("done after " + string(kind))
		}
		touch(event.RepositoryCreated)
		b.now = b.now.Add(10 * time.Minute)
		idle("after what has no bearing on images")
		if err := b.Handle(t.Context(), event.Event{Kind: event.ImagePushed, RepositoryID: b.repo.ID + 1}); err != nil {
			t.Errorf("an event of a repository without policy: %v", err)
		}
	})
}

// TestApplyIsOneReplicasWork: what is claimed is nobody else's until the claim lapses; a change meanwhile is not
// forgotten, and who comes back late changes nothing.
func TestApplyIsOneReplicasWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx, rows := t.Context(), b.db.Lifecycle()
		b.image("old", 3)
		b.image("new", 2)
		b.put(document(rule(1, "any", count1, expire)))
		dead, err := rows.ClaimPolicy(ctx, b.now, b.now.Add(5*time.Minute))
		if err != nil || dead.Repository != repo || dead.RepositoryID != b.repo.ID {
			t.Fatalf("ClaimPolicy: %+v, %v", dead, err)
		}
		b.now = b.now.Add(5*time.Minute - time.Microsecond)
		if n := b.apply(b.Service); n != 0 {
			t.Error("a claimed policy was carried out by another")
		}
		b.now = b.now.Add(time.Microsecond)
		if n := b.apply(b.Service); n != 1 {
			t.Error("a policy whose claim has lapsed was not taken up")
		}
		b.wantThere("after the crash", []string{"old", "new"}, "new")
		done := b.policy()
		if err := rows.FinishPolicy(ctx, dead, b.now.Add(time.Minute), b.now); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "the policy after a lapsed claim was finished", b.policy(), done)
		if n := b.apply(b.Service); n != 0 {
			t.Error("a lapsed claim made the policy due")
		}

		b.now = b.now.Add(time.Hour)
		c, err := rows.ClaimPolicy(ctx, b.now, b.now.Add(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Handle(ctx, event.Event{Kind: event.ImagePushed, RepositoryID: b.repo.ID}); err != nil {
			t.Fatal(err)
		}
		if err := rows.FinishPolicy(ctx, c, b.now, b.now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Minute)
		if n := b.apply(b.Service); n != 1 {
			t.Error("a change while the policy was being carried out was forgotten")
		}
	})
}

// meddler does something at the last moment, just before the deleting transaction.
type meddler struct {
	lifecycle.Registry
	meddle func()
}

func (m *meddler) DeleteImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, ask registry.Ask) ([]registry.Deleted, error) {
	if m.meddle != nil {
		m.meddle()
		m.meddle = nil
	}
	return m.Registry.DeleteImagesIf(ctx, caller, repository, ds, ask)
}

// TestApplyLooksAgain: what changes between the decision and the deed stays.
func TestApplyLooksAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meddle func(b *bench)
		want   []string
	}{
		"nothing": {func(*bench) {}, []string{"new"}},
		"tagged": {func(b *bench) {
			b.update(func(ctx context.Context, tx registry.Tx) error {
				img, err := tx.ImageByDigest(ctx, b.repo.ID, digestOf("old"))
				return errors.Join(err, tx.SetTag(ctx, b.repo.ID, "production", img.ID, b.now))
			})
		}, []string{"old", "old-signature", "new"}},
		"in an index": {func(b *bench) { b.imageWith("index", 0, "", []string{"old"}) }, []string{"old", "old-signature", "new", "index"}},
		"deleted": {func(b *bench) {
			if err := b.registry.DeleteImage(b.t.Context(), root, repo, oci.Reference{Digest: digestOf("old")}); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"new"}},
		"another policy": {func(b *bench) { b.put(document(rule(1, "any", days1, expire))) }, []string{"old", "older", "old-signature", "new"}},
		"no policy": {func(b *bench) {
			if _, err := b.DeletePolicy(b.t.Context(), root, repo); err != nil {
				b.t.Fatal(err)
			}
		}, []string{"old", "older", "old-signature", "new"}},
		"deployed":       {func(b *bench) { b.deploy("old", "prod", "web", "", deployment.Started) }, []string{"old", "old-signature", "new"}},
		"a subject came": {func(b *bench) { b.image("subject-of-older", 0) }, []string{"older", "subject-of-older", "new"}},
		"no repository": {func(b *bench) {
			if _, err := b.registry.DeleteRepository(b.t.Context(), root, repo, true); err != nil {
				b.t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				b.imageWith("older", 4, "subject-of-older", nil)
				b.image("old", 3, "v1")
				b.imageWith("old-signature", 3, "old", nil)
				b.image("new", 2)
				b.put(document(rule(1, "any", count1, expire)))
				m := &meddler{Registry: b.registry, meddle: func() { c.meddle(b) }}
				more, err := b.with(func(c *lifecycle.Config) { c.Registry = m }).ApplyOnce(t.Context())
				if err != nil || !more {
					t.Fatalf("ApplyOnce: %v, %v", more, err)
				}
				b.wantThere(name, []string{"old", "older", "old-signature", "new", "index", "subject-of-older"}, c.want...)
				if name == "another policy" {
					wantSame(t, "the policy, which was not the one evaluated", b.policy().EvaluatedAt, time.Time{})
				}
			})
		})
	}
}

// TestApplyInBoundedBatches: hundreds at a time, each time from a new evaluation.
func TestApplyInBoundedBatches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const many = 1111
		b.update(func(ctx context.Context, tx registry.Tx) error {
			for i, name := range names(many) {
				img := registry.Image{Digest: digestOf(name), MediaType: oci.MediaTypeOCIManifest, PushedAt: noon.Add(-time.Duration(many-i) * time.Hour), Manifest: []byte(name)}
				if _, err := tx.InsertImage(ctx, b.repo.ID, img, registry.References{}); err != nil {
					return err
				}
			}
			return nil
		})
		b.put(document(rule(1, "any", count1, expire)))
		for run, want := range []int{many - 500, many - 1000, 1} {
			if more, err := b.ApplyOnce(t.Context()); err != nil || !more {
				t.Fatalf("run %d: %v, %v", run, more, err)
			}
			left, err := b.db.Read().Images(t.Context(), b.repo.ID, registry.ImageQuery{Limit: many})
			if err != nil || len(left) != want || left[0].Digest != digestOf(names(many)[many-want]) {
				t.Errorf("after run %d there are %d images (%v), want the youngest %d", run, len(left), err, want)
			}
		}
		if more, err := b.ApplyOnce(t.Context()); err != nil || more {
			t.Errorf("there is more to do: %v, %v", more, err)
		}
	})
}

// TestApplyToIndexes: an index goes first, what it held at the evaluation after.
func TestApplyToIndexes(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		all := []string{"amd64", "arm64", "index", "index-signature", "latest"}
		b.image("amd64", 9)
		b.image("arm64", 9)
		b.imageWith("index", 9, "", []string{"amd64", "arm64"}, "v1")
		b.imageWith("index-signature", 1, "index", nil)
		b.image("latest", 8, "v2")
		b.put(document(rule(1, "tagged", `"tagPrefixList":["v"],`+count1, expire), rule(2, "untagged", days1, expire)))
		b.apply(b.Service)
		b.wantThere("at first", all, "amd64", "arm64", "latest")
		b.hand()
		b.now = b.now.Add(time.Minute)
		b.apply(b.Service)
		b.wantThere("a minute later", all, "latest")
	})
}

// cellar is an archive that takes what it likes.
type cellar struct {
	*bench
	caller identity.Caller
	took   []string
	refuse func(name string) error
	meddle func()
	all    []string
}

func (c *cellar) ArchiveImagesIf(ctx context.Context, caller identity.Caller, _ string, ds []oci.Digest, ask registry.Ask) ([]registry.Deleted, error) {
	c.caller = caller
	if c.meddle != nil {
		c.meddle()
	}
	still, err := ask(c.db.Read())
	if err != nil {
		return nil, err
	}
	var results []registry.Deleted
	for _, d := range ds {
		name := c.all[slices.IndexFunc(c.all, func(n string) bool { return digestOf(n) == d })]
		img, err := c.db.Read().ImageByDigest(ctx, c.repo.ID, d)
		if err != nil {
			return nil, err
		}
		goes, _, err := still(img)
		if err != nil {
			return nil, err
		}
		r := registry.Deleted{ID: registry.ImageID{Digest: d.String()}, Err: c.refuse(name)}
		if r.Err == nil && goes {
			c.took = append(c.took, name)
			r.Gone = []registry.ImageID{r.ID}
		}
		results = append(results, r)
	}
	return results, nil
}

// TestApplyTransitions: what the archive refuses is not asked for again and again, and does not keep the rest waiting.
func TestApplyTransitions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		all := names(40)
		for i, name := range all {
			b.image(name, 100-i)
		}
		c := &cellar{bench: b, all: all, refuse: func(name string) error {
			if name < all[30] {
				return fault.New(fault.StorageClassRefused, "no room for this kind")
			}
			return nil
		}}
		s := b.with(func(cfg *lifecycle.Config) { cfg.Archiver = c })
		if _, err := s.PutPolicy(t.Context(), root, repo, document(rule(1, "any", days1, archive))); err != nil {
			t.Fatal(err)
		}
		if n := b.apply(s); n != 1 {
			t.Errorf("the job ran %d times, want once", n)
		}
		wantSame(t, "what was archived", c.took, all[30:])
		if c.caller != identity.Service(account, "lifecycle") {
			t.Errorf("it was asked by %+v", c.caller)
		}
		b.wantThere("a transition deletes nothing", all, all...)

		// All are still standard ones, as far as this registry knows. One is pulled at the last moment.
		b.now, c.took = b.now.Add(time.Hour), nil
		c.meddle = func() {
			b.update(func(ctx context.Context, tx registry.Tx) error {
				img, err := tx.ImageByDigest(ctx, b.repo.ID, digestOf(all[35]))
				return errors.Join(err, tx.RecordPulls(ctx, map[int64]time.Time{img.ID: b.now}))
			})
		}
		b.apply(s)
		wantSame(t, "what was archived of what is in use", c.took, slices.Concat(all[30:35], all[36:]))
	})
}

// TestApplyTriesAgain: a failure is told, and the policy is taken up when the claim has lapsed.
func TestApplyTriesAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.put(document(rule(1, "any", count1, expire)))
		broken := b.with(func(c *lifecycle.Config) { c.Rows = unreadable{c.Rows} })
		if _, err := broken.ApplyOnce(t.Context()); err == nil {
			t.Error("ApplyOnce keeps its failure to itself")
		}
		if at := b.policy().EvaluatedAt; !at.IsZero() {
			t.Errorf("a policy that could not be evaluated counts as evaluated at %v", at)
		}
		if n := b.apply(b.Service); n != 0 {
			t.Error("the policy was taken up at once")
		}
		b.now = b.now.Add(5 * time.Minute)
		if n := b.apply(b.Service); n != 1 {
			t.Error("the policy was not taken up when the claim had lapsed")
		}
	})
}
