package fsck_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
)

// TestManyStraysStay even with repair, which is what one asks for after a database was put back that is older than the blob store.
func TestManyStraysStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push("known")
		keys := make([]blob.Key, 30)
		for i := range keys {
			keys[i] = blob.Key(fmt.Sprintf("%032x", i))
			b.put(keys[i], "pushed since")
		}
		b.now = b.now.Add(8 * 24 * time.Hour)
		r := b.check(fsck.Order{Repair: true})
		if r.Problems != 30 || r.Repaired != 0 {
			t.Errorf("the check found %d and repaired %d, want 30 and none", r.Problems, r.Repaired)
		}
		owners, err := b.db.Checks().KnownKeys(t.Context(), keys)
		if err != nil || len(owners) != 0 {
			t.Errorf("%d of them are garbage, %v", len(owners), err)
		}
	})
}
