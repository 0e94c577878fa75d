package scan_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestAPushIsScannedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		base := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		one := b.image("one", base, b.layer(content{Seed: "1"}))
		b.wantScan(one, registry.ScanPending, "")
		b.work()
		b.wantScan(one, registry.ScanComplete, "successfully")
		if n := b.reader.total(); n != 2 {
			t.Errorf("%d layers were read, want 2", n)
		}
		two := b.image("two", base, b.layer(content{Seed: "2"}))
		b.work()
		b.wantScan(two, registry.ScanComplete, "successfully")
		if n := b.reader.reads[base.Digest]; n != 1 {
			t.Errorf("a layer of two images was read %d times", n)
		}
		if _, err := b.events.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range b.heard {
			if e.Kind == event.ImageScanned {
				told = append(told, e.ScanStatus+" "+strings.Join(e.Tags, " "))
			}
		}
		if strings.Join(told, ", ") != "FAILED one, FAILED two" {
			t.Errorf("events of scans: %q", told)
		}
		// A newer revision finds more: whoever asks again gets it.
		b.reader.revision = 2
		if _, _, err := b.registry.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "one"}); err != nil {
			t.Fatal(err)
		}
		b.work()
		if n := b.reader.reads[base.Digest]; n != 2 {
			t.Errorf("the layer was read %d times, want again by the new revision", n)
		}
	})
}

func TestWhatIsWrongWithAnImage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		good := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		bomb := b.layer(content{Seed: "bomb", Problem: "it unpacks to more than 20 GiB"})
		noTar := b.blob(layerType, []byte("\x00 no tar \xff"))
		foreign := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: oci.FromBytes([]byte("elsewhere")), Size: 9}
		statement := b.blob("application/vnd.in-toto+json", []byte(`{"_type":"https://in-toto.io/Statement/v1"}`))
		lie := map[string]any{"rootfs": map[string]any{"diff_ids": []oci.Digest{bomb.Digest}}}
		for name, tt := range map[string]struct {
			image  registry.Image
			status registry.ScanStatus
			words  string
		}{
			"a limit":                         {b.image("bomb", good, bomb), registry.ScanFailed, "more than 20 GiB"},
			"no tar":                          {b.image("notar", noTar), registry.ScanFailed, "no tar"},
			"a layer that is not here":        {b.image("foreign", foreign, good), registry.ScanFailed, "forbids"},
			"another layer's diff_id":         {b.imageOf("lie", lie, good), registry.ScanFailed, "configuration says"},
			"no diff_ids":                     {b.imageOf("none", map[string]any{}, good), registry.ScanFailed, "names 0 layers"},
			"a configuration of no JSON":      {b.imageOf("nojson", []byte(`{"rootfs":`), good), registry.ScanFailed, "no JSON"},
			"a configuration of another form": {b.imageOf("form", []byte(`{"rootfs":[1]}`), good), registry.ScanFailed, "of that kind"},
			"a configuration deeper than it is wide": {
				b.imageOf("deep", []byte(strings.Repeat(`{"a":`, 1e5)+`1`+strings.Repeat(`}`, 1e5)), good), registry.ScanFailed, "no JSON",
			},
			"an attestation": {b.imageOf("statement", map[string]any{}, statement), registry.ScanUnsupported, "in-toto"},
			"nothing":        {b.image("nothing"), registry.ScanComplete, ""},
		} {
			b.work()
			t.Run(name, func(t *testing.T) {
				if s := b.stored(tt.image); s.Status != tt.status || !strings.Contains(s.Description, tt.words) {
					t.Errorf("the scan is %s, %q; want %s and words about %q", s.Status, s.Description, tt.status, tt.words)
				}
			})
		}
		before := b.reader.total()
		if _, _, err := b.registry.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "bomb"}); err != nil {
			t.Fatal(err)
		}
		b.work()
		if b.reader.total() != before {
			t.Error("a hostile layer was read again")
		}
		b.wait(time.Hour)
		if _, _, err := b.registry.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "bomb"}); err != nil {
			t.Fatal(err)
		}
		b.work()
		if b.reader.total() != before+1 {
			t.Error("a layer that had a problem is never read again")
		}
	})
}

func TestOurOwnErrorsAreTriedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.image("one", b.layer(content{OS: debian}))
		b.reader.before = func(context.Context, oci.Digest) error { return errors.New("no process") }
		for attempt, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 0} {
			if err := b.once(); err == nil || !strings.Contains(err.Error(), "no process") {
				t.Fatalf("attempt %d: %v", attempt+1, err)
			}
			if wait > 0 {
				b.wantScan(img, registry.ScanPending, "")
				b.wait(wait - time.Microsecond)
				b.work() // not yet
				b.wait(time.Microsecond)
			}
		}
		b.wantScan(img, registry.ScanFailed, "log says why")
		b.wait(time.Hour)
		b.work()
		b.reader.before = nil
		if _, _, err := b.registry.StartScan(t.Context(), root, repo, registry.ImageID{Tag: "one"}); err != nil {
			t.Fatal(err)
		}
		b.work()
		b.wantScan(img, registry.ScanComplete, "")
	})
}

func TestACrashedScanComesBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.image("one", b.layer(content{OS: debian}))
		crash := func() {
			if _, found, err := b.db.Scans().ClaimScan(t.Context(), b.clock(), b.clock().Add(time.Minute)); err != nil || !found {
				t.Fatalf("claiming: %v, %v", found, err)
			}
			b.wantScan(img, registry.ScanInProgress, "")
		}
		crash()
		b.work() // nothing: somebody is at it
		b.wantScan(img, registry.ScanInProgress, "")
		b.wait(time.Minute)
		b.work()
		b.wantScan(img, registry.ScanComplete, "")

		img = b.image("kills", b.layer(content{Seed: "it kills whoever reads it"}))
		for range 3 {
			crash()
			b.wait(time.Minute)
		}
		if err := b.once(); err == nil {
			t.Error("the fourth attempt says nothing")
		}
		b.wantScan(img, registry.ScanFailed, "log says why")
	})
}

func TestAStopGivesTheScanBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.image("one", b.layer(content{OS: debian}))
		ctx, stop := context.WithCancel(t.Context())
		b.reader.before = func(ctx context.Context, _ oci.Digest) error {
			stop()
			<-ctx.Done()
			return ctx.Err()
		}
		if _, err := b.service.ScanOnce(ctx); err != nil {
			t.Errorf("ScanOnce: %v", err)
		}
		b.wantScan(img, registry.ScanPending, "")
		b.reader.before = nil
		b.work()
		b.wantScan(img, registry.ScanComplete, "")
	})
}

// TestOneAtATime has several scans of images with the same layer at the same time.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		base := b.layer(content{OS: debian})
		for _, tag := range []string{"a", "b", "c", "d"} {
			b.image(tag, base, b.layer(content{Seed: tag}))
		}
		var scans sync.WaitGroup
		for range 4 {
			scans.Go(func() {
				if _, err := b.service.ScanOnce(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		scans.Wait()
		if n := b.reader.reads[base.Digest]; n != 1 {
			t.Errorf("the layer was read %d times at once", n)
		}
	})
}

// TestALongScanSharesTheTime has an image of slow layers stand behind one that waits.
func TestALongScanSharesTheTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		slow := b.image("slow", b.layer(content{Seed: "s1"}), b.layer(content{Seed: "s2"}), b.layer(content{Seed: "s3"}))
		b.wait(time.Second)
		quick := b.image("quick", b.layer(content{Seed: "q"}))
		b.reader.before = func(context.Context, oci.Digest) error {
			b.wait(31 * time.Second)
			return nil
		}
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		b.wantScan(slow, registry.ScanInProgress, "")
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		b.wantScan(quick, registry.ScanComplete, "")
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		b.wantScan(slow, registry.ScanComplete, "")
		if n := b.reader.total(); n != 4 {
			t.Errorf("%d layers were read, want each once", n)
		}
	})
}

// TestInstructionsAreTheImagesOwn: what another image with a layer says of how it was made is none of this one's readers' business, and
// nothing that its pusher could make up for others.
func TestInstructionsAreTheImagesOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		shared := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		said := map[string]string{"first": "RUN login --token s3cret", "second": "RUN make"}
		for _, tag := range []string{"first", "second"} {
			b.imageOf(tag, map[string]any{
				"rootfs":  map[string]any{"type": "layers", "diff_ids": []oci.Digest{shared.Digest}},
				"history": []map[string]any{{"created_by": said[tag]}},
			}, shared)
			b.work()
		}
		for tag, want := range said {
			c, err := b.service.Contents(t.Context(), root, repo, registry.ImageID{Tag: tag})
			if err != nil || len(c.Layers) != 1 || c.Layers[0].Instruction != want {
				t.Errorf("the layers of %s are %+v (%v), want made by %q", tag, c.Layers, err, want)
			}
		}
	})
}

// TestSizesOfStrangers: what a manifest says of how large a layer is, where nobody has held it to that, decides nothing: what is read of
// a blob counts for every image with it.
func TestSizesOfStrangers(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		layer := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		short := layer
		short.MediaType, short.Size = "application/vnd.oci.image.layer.nondistributable.v1.tar", layer.Size-3
		b.image("short", short)
		b.work()
		b.wantScan(b.image("whole", layer), registry.ScanPending, "")
		b.work()
		b.wantScan(b.image("whole", layer), registry.ScanComplete, "successfully")
	})
}

// TestRepositoriesTakeTurns: many scans of one repository that wait do not keep those of another waiting: while one of its own is under
// way the next is another's.
func TestRepositoriesTakeTurns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		layer := b.layer(content{OS: debian})
		flood := []registry.Image{b.image("one", layer), b.imageOf("two", map[string]any{"n": 2}, layer), b.imageOf("three", map[string]any{"n": 3}, layer)}
		const other = "another/repository"
		b.create(other)
		config := []byte(`{"n":4}`)
		for _, raw := range [][]byte{config, b.json(content{OS: debian})} {
			part := registry.Part{Start: registry.Anywhere, Size: int64(len(raw)), Body: bytes.NewReader(raw)}
			if _, err := b.registry.PutLayer(t.Context(), root, other, oci.FromBytes(raw), part); err != nil {
				t.Fatal(err)
			}
		}
		b.wait(time.Second)
		late, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: other, Manifest: b.json(map[string]any{
			"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "layers": []oci.Descriptor{layer},
			"config": oci.Descriptor{MediaType: configType, Digest: oci.FromBytes(config), Size: int64(len(config))},
		})})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []registry.Image{flood[0], late.Image, flood[1], flood[2]} {
			c, found, err := b.db.Scans().ClaimScan(t.Context(), b.clock(), b.clock().Add(time.Minute))
			if err != nil || !found || c.ImageID != want.ID {
				t.Errorf("claim %d is image %d of %s (%v, %v), want %d", i+1, c.ImageID, c.Repository.Name, found, err, want.ID)
			}
		}
	})
}
