package registry_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// A process may sleep between the last byte of a layer that comes in one request and the layer's row, for days, if its
// machine does. By then the bytes, which no row names, are gone, and so is their row of garbage.
func TestALayerWhoseProcessSleeps(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		sleeps := &interruptedStore{Store: db}
		r := registry.New(registry.Config{
			Store: sleeps, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now },
		})
		sleeps.before = func() {
			b.now = b.now.Add(72 * time.Hour)
			found, _, err := b.blobs.Walk(t.Context(), "", 10)
			if err != nil || len(found) != 1 {
				t.Fatalf("Walk: %v, %v, want the layer's bytes", found, err)
			}
			if err := b.blobs.Delete(t.Context(), found[0].Key); err != nil {
				t.Fatal(err)
			}
		}
		d := oci.FromBytes([]byte("content"))
		_, err := r.PutLayer(t.Context(), root, repo, d, part(registry.Anywhere, "content"))
		wantFault(t, "PutLayer", err, fault.UploadInterrupted)
		_, err = r.StatLayer(t.Context(), root, repo, d)
		wantFault(t, "StatLayer", err, fault.LayerNotFound)
	})
}
