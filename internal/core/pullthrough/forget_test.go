package pullthrough_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"

	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

// TestChecksGoWithWhatTheyAreAbout removes a tag and an image, and keeps the check of a tag that came back.
func TestChecksGoWithWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		u := newUpstream(t)
		b := newBench(t, db, u)
		b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
		u.image("back")
		u.image("untagged")
		img := digestOf(t, u.image("deleted"))
		for _, tag := range []string{"back", "untagged", "deleted"} {
			b.pull(here, tagged(tag))
		}
		if _, err := b.Referrers(t.Context(), root, here, img, registry.ReferrerFilter{}, 0, ""); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []oci.Reference{tagged("back"), tagged("untagged"), {Digest: img}} {
			if err := b.registry.DeleteImage(t.Context(), root, here, ref); err != nil {
				t.Fatal(err)
			}
		}
		b.pull(here, tagged("back"))
		d := event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"pull-through": b.Cache}, Now: func() time.Time { return time.Now().Add(time.Minute) }}
		for more := true; more; {
			var err error
			if more, err = d.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]bool{"back": true, "untagged": false, "deleted": false, img.String(): false} {
			_, err := db.PullThrough().Checked(t.Context(), here, name)
			if err != nil && !errors.Is(err, registry.ErrNoRow) || (err == nil) != want {
				t.Errorf("the check of %s: %v, want it there: %t", name, err, want)
			}
		}
	})
}
