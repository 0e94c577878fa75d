package gc_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// looksSlowly is a blob store in which something happens while somebody looks for bytes.
type looksSlowly struct {
	blob.Store
	meanwhile func()
}

func (l looksSlowly) Size(ctx context.Context, key blob.Key) (int64, error) {
	l.meanwhile()
	return l.Store.Size(ctx, key)
}

// answersLate is a blob store that takes a while to remove what it is asked to remove.
type answersLate struct {
	blob.Store
	asked []blob.Key
}

var errLate = errors.New("no answer in time")

func (a *answersLate) Delete(_ context.Context, key blob.Key) error {
	a.asked = append(a.asked, key)
	return errLate
}

// TestTwoGraces has a replica with a grace of a second heal a layer from a second copy, which one with a grace of a day has begun to
// remove meanwhile: that copy must not come to use again.
func TestTwoGraces(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		store := &answersLate{Store: b.blobs}
		c := b.config
		c.Blobs = store
		other := gc.New(c)
		l, err := b.Layer(t.Context(), root, repo, b.layer(repo, "layer").Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.blobs.Delete(t.Context(), l.Key); err != nil {
			t.Fatal(err)
		}

		b.Registry = registry.New(registry.Config{
			Store: b.db, Account: account, Region: "us-east-1", Now: b.now, Grace: time.Second,
			Blobs: looksSlowly{b.blobs, func() {
				b.pass(time.Second)
				if _, err := other.SweepOnce(t.Context()); !errors.Is(err, errLate) {
					t.Errorf("SweepOnce: %v, want it to claim, and to have no answer", err)
				}
			}},
		})
		_, err = b.tryLayer(t.Context(), repo, "layer")
		if len(store.asked) != 1 {
			t.Fatalf("the store was asked to remove %v: this test tests nothing", store.asked)
		}
		if err := b.blobs.Delete(t.Context(), store.asked[0]); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			if !b.has(repo, "layer") {
				t.Error("the push was accepted, and its bytes are gone")
			}
		} else if !errors.Is(err, fault.Unavailable) {
			t.Errorf("PutLayer: %v, want it to be tried again", err)
		}
	})
}
