package scan_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// renew reads all images again that are to be, and tells how many.
func (b *bench) renew() (n int) {
	b.t.Helper()
	for more := true; more; n++ {
		var err error
		if more, err = b.service.RenewOnce(b.t.Context()); err != nil {
			b.t.Fatalf("RenewOnce: %v", err)
		}
	}
	return n - 1
}

// TestOutdatedInventories: what newer extractors find is found in images that older ones have read, one by one, behind all scans, and
// while their scans stand as they are.
func TestOutdatedInventories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.events.Handlers = map[string]event.Handler{"test": b}
		b.scanning(registry.Enhanced, registry.ScanOnPush)
		b.advise("npm", below("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "3.0.0", criticalVector), below("GHSA-aaaa-bbbb-dddd", "npm", "", "right-pad", "3.0.0", criticalVector))
		shared := b.layer(content{Seed: "shared", Files: []inventory.File{packageJSON("left-pad", "1.0.0")}})
		more := packageJSON("right-pad", "1.0.0")
		more.Path = "app/node_modules/right-pad/package.json"
		newer := b.layer(content{Seed: "newer", Later: []inventory.File{more}})
		one, two := b.image("one", shared, newer), b.image("two", shared)
		b.image("broken", shared, b.layer(content{Problem: "it cannot be read"}))
		b.work()
		if n := b.renew(); n != 0 {
			t.Errorf("%d images were read again, and nothing is new", n)
		}
		told := func() (tags []string) {
			t.Helper()
			b.heard = nil
			if _, err := b.events.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, e := range b.heard {
				if e.Kind == event.ImageScanned {
					tags = append(tags, e.Tags...)
				}
			}
			return tags
		}
		told()

		b.reader.revision = 2
		waiting := b.image("three", b.layer(content{Seed: "three", Files: []inventory.File{packageJSON("left-pad", "1.0.0")}}))
		reads := b.reader.total()
		if n := b.renew(); n != 0 || b.reader.total() != reads {
			t.Errorf("%d images were read again while a scan waits", n)
		}
		b.work()
		b.wantScan(waiting, registry.ScanComplete, "")
		told()
		standing := func(when string) {
			t.Helper()
			for _, img := range []registry.Image{one, two} {
				if s := b.stored(img); s.Status != registry.ScanComplete {
					t.Errorf("%s the scan is %s", when, s.Status)
				}
			}
		}
		b.reader.before = func(context.Context, oci.Digest) error {
			standing("meanwhile")
			return nil
		}
		if n := b.renew(); n != 3 {
			t.Errorf("%d images were read again, want all three of before", n)
		}
		standing("then")
		if n := len(b.report("one", scan.Query{}).Findings); n != 2 {
			t.Errorf("there are %d findings, want what was found anew too", n)
		}
		if got := told(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("events are of %q, want of what is different", got)
		}
		if s := b.stored(b.tagged("broken")); s.Status != registry.ScanPending {
			t.Errorf("the scan that had failed is %s, want it asked for again", s.Status)
		}
		b.work()
		reads = b.reader.total()
		if n := b.renew(); n != 0 || b.reader.total() != reads {
			t.Errorf("%d images were read once more", n)
		}
	})
}

// TestOutdatedAndUnreadable: where less can be read than before, what was known stands, and is tried another day.
func TestOutdatedAndUnreadable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.scanning(registry.Enhanced, registry.ScanOnPush)
		b.advise("npm", below("GHSA-aaaa-bbbb-cccc", "npm", "", "left-pad", "3.0.0", criticalVector))
		img := b.image("one", b.layer(content{Files: []inventory.File{packageJSON("left-pad", "1.0.0")}, Worse: "want of memory"}))
		b.work()
		known := func(tries int) {
			t.Helper()
			b.wantScan(img, registry.ScanComplete, "")
			if r := b.report("one", scan.Query{}); r.Status.Status != registry.ScanComplete || len(r.Findings) != 1 || b.reader.total() != tries {
				t.Errorf("after %d reads the scan is %+v, with %d findings", b.reader.total(), r.Status, len(r.Findings))
			}
		}
		b.reader.revision = 2
		b.renew()
		known(2)
		b.wait(2 * time.Hour)
		b.renew()
		known(2)
		b.wait(24 * time.Hour)
		b.renew()
		known(3)
		broken := errors.New("no child process")
		b.reader.before = func(context.Context, oci.Digest) error { return broken }
		b.wait(25 * time.Hour)
		if _, err := b.service.RenewOnce(t.Context()); !errors.Is(err, broken) {
			t.Errorf("an error of ours comes out as %v", err)
		}
		known(4)
	})
}

// tagged finds an image.
func (b *bench) tagged(tag string) registry.Image {
	b.t.Helper()
	img, err := b.db.Read().ImageIn(b.t.Context(), repo, oci.Reference{Tag: tag})
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}
