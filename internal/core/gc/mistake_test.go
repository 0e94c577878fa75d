package gc_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestNoRowsBytesGo even where the list of garbage has them by mistake: a replica of an older version, or a row that somebody put
// in by hand.
func TestNoRowsBytesGo(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		l, err := b.Layer(t.Context(), root, repo, b.layer(repo, "layer").Digest)
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.StartUpload(t.Context(), root, repo, oci.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		b.stray(u.Blob.Key, "of the upload")
		err = b.db.Garbage().Update(t.Context(), func(tx gc.Tx) error {
			return tx.Discard(t.Context(), []blob.Upload{{Key: l.Key, Size: l.Size}, {Key: u.Blob.Key}}, b.now())
		})
		if err != nil {
			t.Fatal(err)
		}
		b.sweep()
		b.wantFiles("after a sweep", 2)
		if !b.has(repo, "layer") {
			t.Error("the layer is gone")
		}
		st, err := b.gc.Status(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if w := st.Stages[gc.Bytes]; w.Due.Things+w.Later.Things != 0 {
			t.Errorf("the list of garbage has them still: %+v", w)
		}
	})
}
