package scan_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestImagesThatAreThere has the configuration become one under which images fall that were pushed before.
func TestImagesThatAreThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		request := func() {
			for more := true; more; {
				var err error
				if more, err = b.service.RequestOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := b.registry.PutScanning(t.Context(), root, registry.Scanning{Kind: registry.Basic}); err != nil {
			t.Fatal(err)
		}
		request()
		base := b.layer(content{OS: debian})
		var images []registry.Image
		for i := range 130 {
			images = append(images, b.image(fmt.Sprint("v", i), base, b.layer(content{Seed: fmt.Sprint(i)})))
		}
		b.scanning(registry.Basic, registry.ScanOnPush)
		request()
		if s := b.stored(images[0]); s.Status != "" {
			t.Errorf("a rule for basic scans led to the scan of an image that was there: %s", s.Status)
		}
		b.scanning(registry.Enhanced, registry.ScanContinuous)
		request()
		if n, err := b.db.Scans().WaitingScans(t.Context(), b.clock(), 1000); err != nil || n != 100 {
			t.Errorf("%d scans wait, %v; want 100 at most", n, err)
		}
		for range 3 {
			b.work()
			request()
		}
		for _, i := range images {
			b.wantScan(i, registry.ScanComplete, "")
		}
		var at registry.ScanRequests
		if there, err := registry.ReadSetting(t.Context(), b.db.Read(), registry.SettingScanRequests, &at); there || err != nil {
			t.Errorf("requesting has not ended: %+v, %v", at, err)
		}
		b.scanning(registry.Basic, registry.ScanOnPush) // another kind again
		request()
		b.wantScan(images[0], registry.ScanPending, "")
	})
}

// TestWhatHasFailedIsRequestedAgain: enhanced scans are not started by hand, so the configuration is what begins them again.
func TestWhatHasFailedIsRequestedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.scanning(registry.Enhanced, registry.ScanContinuous)
		img := b.image("one", b.layer(content{OS: debian}))
		b.reader.before = func(context.Context, oci.Digest) error { return errors.New("no process") }
		for range 3 {
			if err := b.once(); err == nil {
				t.Fatal("no error")
			}
			b.wait(time.Minute)
		}
		b.wantScan(img, registry.ScanFailed, "log says why")
		b.reader.before = nil
		b.scanning(registry.Enhanced, registry.ScanContinuous)
		for more := true; more; {
			var err error
			if more, err = b.service.RequestOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.work()
		b.wantScan(img, registry.ScanComplete, "")
	})
}
