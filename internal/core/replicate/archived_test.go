package replicate_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// TestAnImageThatWasArchivedBeforeItWasSent goes when it comes back.
func TestAnImageThatWasArchivedBeforeItWasSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		b.eu.down = errAway
		d := b.image(repo, "one", "v1")
		b.settle()
		move := func(to registry.StorageClass) {
			t.Helper()
			results, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Digest: d.String()}}, to)
			if err != nil || results[0].Err != nil {
				t.Fatalf("to %s: %v, %+v", to, err, results)
			}
		}
		move(registry.Archive)
		b.eu.down = nil
		b.now = b.now.Add(time.Hour)
		b.settle()
		b.wantStatus(d, "eu-west-1=FAILED ImageArchived")
		b.wantContent(b.eu.side, repo)
		move(registry.Standard)
		b.settle()
		b.wantStatus(d, "eu-west-1=COMPLETE")
		b.wantContent(b.eu.side, repo, is("v1", d))
	})
}
