package pullthrough_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestDamagedLayerComesAgain marks a stored copy of an upstream's layer as damaged: the next pull fetches it.
func TestDamagedLayerComesAgain(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		u := newUpstream(t)
		b := newBench(t, db, u)
		b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
		img := u.image("v1")
		b.pull(here, tagged("v1"))
		d := layersOf(t, img)[1]
		content, err := b.read(t.Context(), d, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		row, err := db.Checks().FindBlob(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if marked, err := db.Checks().MarkDamaged(t.Context(), d, row.Key, b.now()); err != nil || !marked {
			t.Fatalf("MarkDamaged: %v, %v", marked, err)
		}
		_, err = b.registry.Layer(t.Context(), root, here, d)
		wantFault(t, "the registry's own Layer", err, fault.LayerDamaged)

		u.forget()
		if l, err := b.StatLayer(t.Context(), root, here, d); err != nil || l.Size != int64(len(content)) {
			t.Errorf("StatLayer: %+v, %v, want the upstream's", l, err)
		}
		again, err := b.read(t.Context(), d, 0, -1)
		if err != nil || oci.FromBytes(again) != d {
			t.Errorf("reading it: %d bytes, %v", len(again), err)
		}
		if n := u.asked("GET", d.String()); n != 1 {
			t.Errorf("the upstream was asked for it %d times, want once", n)
		}
		if !b.storedLayer(d) {
			t.Error("it is not stored anew")
		}
		u.forget()
		if _, err := b.read(t.Context(), d, 0, -1); err != nil || u.asked("GET", d.String()) != 0 {
			t.Errorf("the pull after that: %v, asked %d times", err, u.asked("GET", d.String()))
		}
	})
}
