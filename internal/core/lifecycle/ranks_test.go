package lifecycle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func (b *bench) delete(name string) {
	b.t.Helper()
	if err := b.registry.DeleteImage(b.t.Context(), root, repo, oci.Reference{Digest: digestOf(name)}); err != nil {
		b.t.Errorf("deleting %s: %v", name, err)
	}
}

// tag points a tag to an image.
func (b *bench) tag(tag, name string) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx registry.Tx) error {
		img, err := tx.ImageByDigest(ctx, b.repo.ID, digestOf(name))
		if err != nil {
			return err
		}
		return tx.SetTag(ctx, b.repo.ID, tag, img.ID, b.now)
	})
}

// TestApplyCountsAgain: when one of those that made the number goes between the decision and the deed, nothing is done that
// was decided by that number, and the policy is evaluated anew, soon.
func TestApplyCountsAgain(t *testing.T) {
	t.Parallel()
	const (
		two    = `"countType":"imageCountMoreThan","countNumber":2`
		per    = `{"countPer":{"tagsUpTo":"last","separator":"-"}}`
		images = `{"countImagesOnly":true}`
	)
	all := []string{"a", "b", "c", "d", "e", "old", "more"}
	atOnce := []string{"d", "e"} // what stays when nothing interferes
	tagged := rule(1, "tagged", `"tagPatternList":["v-*"],`+two, expire)
	for name, c := range map[string]struct {
		rule   string
		meddle func(b *bench)
		first  []string // what is there after the first run
		then   []string // and in the end
	}{
		"nothing":              {tagged, func(*bench) {}, atOnce, atOnce},
		"the last was deleted": {tagged, func(b *bench) { b.delete("e") }, []string{"a", "b", "c", "d"}, []string{"c", "d"}},
		"untagged": {tagged, func(b *bench) {
			if err := b.registry.DeleteImage(b.t.Context(), root, repo, oci.Reference{Tag: "v-e"}); err != nil {
				b.t.Error(err)
			}
		}, []string{"a", "b", "c", "d", "e"}, []string{"c", "d", "e"}},
		"given another tag":       {tagged, func(b *bench) { b.tag("latest", "e") }, atOnce, atOnce},
		"one more was pushed":     {tagged, func(b *bench) { b.image("more", 0, "v-more") }, []string{"d", "e", "more"}, []string{"d", "e", "more"}},
		"named, its subject came": {tagged, func(b *bench) { b.image("subject", 0) }, atOnce, atOnce},
		"its tag moved to another": {tagged, func(b *bench) {
			b.image("more", 0)
			b.tag("v-e", "more")
		}, []string{"a", "b", "c", "d", "e", "more"}, []string{"d", "e", "more"}},
		"an index came": {tagged, func(b *bench) { b.imageWith("more", 0, "", []string{"e"}) }, []string{"a", "b", "c", "d", "e", "more"}, []string{"c", "d", "e", "more"}},
		"its subject came": {
			rule(1, "any", two, expire), func(b *bench) { b.image("subject", 0) },
			[]string{"a", "b", "c", "d", "e"},
			[]string{"d", "e"},
		},
		"of its application": {extended(tagged, per), func(b *bench) { b.delete("e") }, []string{"a", "b", "c", "d"}, []string{"c", "d"}},
		"of another application": {
			extended(rule(1, "tagged", `"tagPatternList":["*"],`+two, expire), per), func(b *bench) { b.delete("old") },
			atOnce, atOnce,
		},
		"of images only":  {extended(tagged, images), func(b *bench) { b.delete("d") }, []string{"a", "b", "c", "e"}, []string{"b", "c", "e"}},
		"by age, another": {rule(1, "any", `"countType":"sinceImagePushed","countUnit":"days","countNumber":3`, expire), func(b *bench) { b.delete("e") }, []string{"c", "d"}, []string{"c", "d"}},
		"what another rule takes": {rule(1, "tagged", `"tagPatternList":["v-e"],"countType":"sinceImagePushed","countUnit":"days","countNumber":1`, expire) + "," +
			rule(2, "tagged", `"tagPatternList":["v-*"],`+two, expire), func(*bench) {}, []string{"d"}, []string{"d"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				if name == "of another application" {
					b.image("old", 9, "w-old")
				}
				for i, n := range all[:4] {
					b.image(n, 5-i, "v-"+n)
				}
				if name == "its subject came" {
					b.imageWith("e", 1, "subject", nil)
				} else {
					b.imageWith("e", 1, "subject", nil, "v-e")
				}
				if name == "what another rule takes" {
					b.now = b.now.Add(time.Hour)
				}
				b.put(document(c.rule))
				service := b.with(func(cfg *lifecycle.Config) {
					cfg.Registry = &meddler{Registry: b.registry, meddle: func() { c.meddle(b) }}
				})
				if more, err := service.ApplyOnce(t.Context()); err != nil || !more {
					t.Fatalf("ApplyOnce: %v, %v", more, err)
				}
				b.wantThere("at first", all, c.first...)
				b.now = b.now.Add(5*time.Second - time.Microsecond)
				if n := b.apply(b.Service); n != 0 {
					t.Error("the policy was evaluated anew at once")
				}
				b.now = b.now.Add(time.Microsecond)
				overtaken := !slices.Equal(c.first, c.then)
				if n := b.apply(b.Service); (n == 1) != overtaken {
					t.Errorf("after five seconds the policy was evaluated %d times, want that if it was overtaken: %t", n, overtaken)
				}
				b.wantThere("in the end", all, c.then...)
			})
		})
	}
}

// TestApplyNeverTakesOneTooMany: while somebody deletes the youngest images by hand, at any moment, each image that the
// policy takes has so many younger ones at that moment as it is to keep. Outbox rows are in the order of the transactions.
func TestApplyNeverTakesOneTooMany(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const many, keep, byHand = 120, 10, 40
		all := names(many)
		for i, name := range all {
			b.image(name, many-i, "v-"+name)
		}
		b.events()
		b.put(document(rule(1, "tagged", fmt.Sprintf(`"tagPatternList":["v-*"],"countType":"imageCountMoreThan","countNumber":%d`, keep), expire)))
		ask := make(chan struct{}, many) // for a deletion by hand
		var hand sync.WaitGroup
		hand.Go(func() {
			for _, name := range slices.Backward(all[many-byHand:]) {
				if _, ok := <-ask; !ok {
					return
				}
				b.delete(name)
			}
		})
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
		meddle := func() {
			for range random.IntN(3) {
				ask <- struct{}{}
			}
		}
		service := b.with(func(c *lifecycle.Config) { c.Registry = hurrier{b.registry, meddle} })
		for range 60 {
			b.apply(service)
			b.now = b.now.Add(time.Hour)
		}
		close(ask)
		hand.Wait()
		there := map[oci.Digest]int{}
		for i, name := range all {
			there[digestOf(name)] = i
		}
		taken := 0
		for _, e := range b.events() {
			at := there[e.Digest]
			delete(there, e.Digest)
			if e.Kind != event.ImageDeleted || e.Actor != "berth:lifecycle" {
				continue
			}
			taken++
			younger := 0
			for _, i := range there {
				if i > at {
					younger++
				}
			}
			if younger < keep {
				t.Errorf("%s was taken with %d younger ones there", all[at], younger)
			}
		}
		if taken < many-byHand-keep {
			t.Errorf("the policy took %d images", taken)
		}
	})
}

// hurrier does something before each deleting transaction.
type hurrier struct {
	lifecycle.Registry
	meddle func()
}

func (h hurrier) DeleteImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, ask registry.Ask) ([]registry.Deleted, error) {
	h.meddle()
	return h.Registry.DeleteImagesIf(ctx, caller, repository, ds, ask)
}

// TestApplyToNamedReferrers: what has a name of its own outlives its subject, as it does when a person deletes that, and goes
// by a rule that is about it though its subject is there.
func TestApplyToNamedReferrers(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		all := []string{"old", "its-signature", "its-report", "new", "report-of-new"}
		b.image("old", 9, "v1")
		b.imageWith("its-signature", 9, "old", nil)
		b.imageWith("its-report", 9, "old", nil, "audit-2025")
		b.image("new", 8, "v2")
		b.imageWith("report-of-new", 9, "new", nil, "scan-1")
		b.put(document(rule(1, "tagged", `"tagPrefixList":["v"],`+count1, expire), rule(2, "tagged", `"tagPrefixList":["scan-"],`+days1, expire)))
		b.apply(b.Service)
		b.wantThere("after the policy", all, "its-report", "new")
	})
}
