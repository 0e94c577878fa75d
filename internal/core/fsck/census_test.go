package fsck_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
)

// TestYoungStraysCount, too, as they do for the garbage collector, and the count is stored, so that whoever goes on with the check
// has it.
func TestYoungStraysCount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push("known")
		for i := range 30 {
			b.put(blob.Key(fmt.Sprintf("%032x", i)), "pushed since")
		}
		b.now = b.now.Add(3 * time.Hour)
		r := b.check(fsck.Order{Repair: true})
		c, err := b.db.Checks().Check(t.Context(), r.ID, false)
		if err != nil || r.Problems != 0 || !c.Census.Held || c.Census.Found.Things != 30 || c.Census.Seen.Things != c.Progress.Things ||
			c.Census.Found.Bytes != 30*int64(len("pushed since")) || c.Census.Seen.Bytes <= c.Census.Found.Bytes {
			t.Errorf("of young ones the check has %+v and finds %d (%v)", c.Census, r.Problems, err)
		}
	})
}
