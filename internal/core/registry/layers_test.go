package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func (b *bench) start() registry.Upload {
	b.t.Helper()
	u, err := b.StartUpload(b.t.Context(), root, repo, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func part(start int64, content string) registry.Part {
	return registry.Part{Start: start, Size: int64(len(content)), Body: strings.NewReader(content)}
}

func TestUploadInParts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		u := b.start()
		for i, p := range []registry.Part{part(0, "hello, "), part(registry.Anywhere, "wide ")} {
			if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, p); err != nil {
				t.Fatalf("part %d: %v", i, err)
			}
		}
		_, err := b.AppendUpload(t.Context(), root, repo, u.ID, part(3, "world"))
		wantFault(t, "a part that does not fit", err, fault.UploadOutOfOrder)
		f, _ := fault.Of(err)
		if at, ok := f.Detail.(fault.UploadPosition); !ok || at.Size != 12 {
			t.Errorf("its detail is %+v, want the size 12", f.Detail)
		}
		last := part(12, "world")
		d := oci.FromBytes([]byte("hello, wide world"))
		if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last}); err != nil {
			t.Fatal(err)
		}
		if got := b.read(repo, d); got != "hello, wide world" {
			t.Errorf("the layer reads %q", got)
		}
		_, err = b.Upload(t.Context(), root, repo, u.ID)
		wantFault(t, "an upload after its completion", err, fault.UploadNotFound)
	})
}

// brokenReader delivers its content and then fails, as the body of a client that vanishes does.
type brokenReader struct{ r io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestVanishingClientKeepsItsBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		u := b.start()
		_, err := b.AppendUpload(t.Context(), root, repo, u.ID,
			registry.Part{Start: 0, Size: 100, Body: brokenReader{strings.NewReader("half of ")}})
		wantFault(t, "a part that stops midway", err, fault.UploadInterrupted)
		u, err = b.Upload(t.Context(), root, repo, u.ID)
		if err != nil || u.Blob.Size != 8 {
			t.Fatalf("the upload has %d bytes, %v, want 8", u.Blob.Size, err)
		}
		last := part(8, "it")
		d := oci.FromBytes([]byte("half of it"))
		if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last}); err != nil {
			t.Errorf("going on after it: %v", err)
		}
	})
}

func TestWrongBytesAreNotKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		u := b.start()
		if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, part(0, "right")); err != nil {
			t.Fatal(err)
		}
		_, err := b.AppendUpload(t.Context(), root, repo, u.ID, registry.Part{Start: 5, Size: 2, Body: strings.NewReader("too many")})
		wantFault(t, "a part longer than announced", err, fault.UploadPartSize)
		if u, err = b.Upload(t.Context(), root, repo, u.ID); err != nil || u.Blob.Size != 5 {
			t.Errorf("after it the upload has %d bytes, %v, want 5", u.Blob.Size, err)
		}
		wrong := oci.FromBytes([]byte("wrong"))
		_, err = b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: wrong})
		wantFault(t, "completing with another digest", err, fault.LayerDigestMismatch)
		_, err = b.StatLayer(t.Context(), root, repo, wrong)
		wantFault(t, "the layer that was claimed", err, fault.LayerNotFound)
		_, err = b.Upload(t.Context(), root, repo, u.ID)
		wantFault(t, "the upload after it", err, fault.UploadNotFound)
		if _, err := b.blobs.Size(t.Context(), u.Blob.Key); err == nil {
			t.Error("its bytes are still in the blob store")
		}
		_, err = b.PutLayer(t.Context(), root, repo, wrong, part(0, "right"))
		wantFault(t, "a whole layer with another digest", err, fault.LayerDigestMismatch)
	})
}

func TestDigestsOfTheOtherAlgorithm(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		h := oci.SHA512.New()
		h.Write([]byte("content"))
		d := oci.FromSum(oci.SHA512, h.Sum(nil))
		u := b.start() // hashes with sha256 on the way in
		last := part(0, "content")
		if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last}); err != nil {
			t.Fatal(err)
		}
		if got := b.read(repo, d); got != "content" {
			t.Errorf("the layer reads %q", got)
		}
		u = b.start()
		last = part(0, "other content")
		_, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last})
		wantFault(t, "a wrong sha512", err, fault.LayerDigestMismatch)
		if _, err := b.blobs.Size(t.Context(), u.Blob.Key); err == nil {
			t.Error("its bytes are still in the blob store")
		}
	})
}

func TestStrictCompletion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		sized := func(content string) registry.Part {
			p := part(registry.Anywhere, content)
			p.Sized = true
			return p
		}
		strict := func(content string) registry.Completion {
			return registry.Completion{Digest: oci.FromBytes([]byte(content)), Strict: true}
		}
		u := b.start()
		_, err := b.CompleteUpload(t.Context(), root, repo, u.ID, strict(""))
		wantFault(t, "completing without bytes", err, fault.UploadEmpty)
		for _, p := range []string{"small", "last"} {
			if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, sized(p)); err != nil {
				t.Fatal(err)
			}
		}
		_, err = b.CompleteUpload(t.Context(), root, repo, u.ID, strict("smalllast"))
		wantFault(t, "a small part in the middle", err, fault.UploadPartTooSmall)

		big := strings.Repeat("x", registry.MinPartBytes)
		for i, want := range []fault.Code{"", fault.LayerExists} {
			u = b.start()
			for _, p := range []string{big, "end"} {
				if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, sized(p)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err = b.CompleteUpload(t.Context(), root, repo, u.ID, strict(big+"end")); code(err) != want {
				t.Errorf("completion %d: %v, want %q", i, err, want)
			}
		}
	})
}

func TestCancelledUploadIsGone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		u := b.start()
		u, err := b.AppendUpload(t.Context(), root, repo, u.ID, part(0, "bytes"))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.CancelUpload(t.Context(), root, repo, u.ID); err != nil {
			t.Fatal(err)
		}
		_, err = b.AppendUpload(t.Context(), root, repo, u.ID, part(5, "more"))
		wantFault(t, "a part after the end", err, fault.UploadNotFound)
		if _, err := b.blobs.Size(t.Context(), u.Blob.Key); err == nil {
			t.Error("its bytes are still in the blob store")
		}
	})
}

func TestOneCopyPerDigest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: "other/repo"})
		d := b.layer(repo, "shared").Digest
		first, err := b.StatLayer(t.Context(), root, repo, d)
		if err != nil {
			t.Fatal(err)
		}
		b.layer("other/repo", "shared")
		second, err := b.StatLayer(t.Context(), root, "other/repo", d)
		if err != nil || second.Key != first.Key {
			t.Errorf("the second push is stored as %s, %v, want %s", second.Key, err, first.Key)
		}
		if err := b.DeleteLayer(t.Context(), root, repo, d); err != nil {
			t.Fatal(err)
		}
		_, err = b.StatLayer(t.Context(), root, repo, d)
		wantFault(t, "a deleted layer", err, fault.LayerNotFound)
		if got := b.read("other/repo", d); got != "shared" {
			t.Errorf("the other repository's reads %q", got)
		}
	})
}

// A row whose bytes are gone is healed by the next push of them.
func TestPushHealsLostBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := b.layer(repo, "precious").Digest
		lost, err := b.StatLayer(t.Context(), root, repo, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.blobs.Delete(t.Context(), lost.Key); err != nil {
			t.Fatal(err)
		}
		b.layer(repo, "precious")
		if got := b.read(repo, d); got != "precious" {
			t.Errorf("after it was pushed again the layer reads %q", got)
		}
	})
}

func TestLayersBelongToTheirRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: "other/repo"})
		d := b.layer(repo, "mine").Digest
		_, err := b.Layer(t.Context(), root, "other/repo", d)
		wantFault(t, "another repository's layer", err, fault.LayerNotFound)

		for _, from := range []string{"nobody/home", "other/repo", "Bad Name"} {
			if _, ok, err := b.MountLayer(t.Context(), root, "other/repo", d, from); ok || err != nil {
				t.Errorf("mounting from %s = %v, %v, want nothing", from, ok, err)
			}
		}
		if _, ok, err := b.MountLayer(t.Context(), root, "other/repo", oci.FromBytes([]byte("never")), ""); ok || err != nil {
			t.Errorf("mounting what nobody has = %v, %v, want nothing", ok, err)
		}
		if _, ok, err := b.MountLayer(t.Context(), root, "other/repo", d, ""); !ok || err != nil {
			t.Fatalf("mounting by existence = %v, %v", ok, err)
		}
		if got := b.read("other/repo", d); got != "mine" {
			t.Errorf("the mounted layer reads %q", got)
		}
	})
}

func TestLayersInUseStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		loose := b.layer(repo, "loose").Digest
		_, err := b.ReferencedLayer(t.Context(), root, repo, loose)
		wantFault(t, "a link to a layer of no image", err, fault.LayerInaccessible)
		b.pushNew("img", "a")
		used := oci.FromBytes([]byte("layer of img"))
		if _, err := b.ReferencedLayer(t.Context(), root, repo, used); err != nil {
			t.Error(err)
		}
		err = b.DeleteLayer(t.Context(), root, repo, used)
		wantFault(t, "deleting an image's layer", err, fault.LayerInUse)

		got, err := b.LayersAvailable(t.Context(), root, repo, []string{used.String(), "sha256:no", oci.FromBytes(nil).String()})
		if err != nil || !got[0].Found || code(got[1].Err) != fault.DigestInvalid || got[2].Found || got[2].Err != nil {
			t.Errorf("LayersAvailable = %+v, %v", got, err)
		}
	})
}

// Uploads of one digest at the same time, and parts of one upload at the same time, leave one good layer.
func TestConcurrentUploads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		content := strings.Repeat("same bytes ", 10_000)
		d := oci.FromBytes([]byte(content))
		errs := make(chan error)
		const n = 8
		for range n {
			go func() {
				_, err := b.PutLayer(t.Context(), root, repo, d, part(registry.Anywhere, content))
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := b.read(repo, d); got != content {
			t.Error("the layer's bytes are not what was sent")
		}

		u := b.start()
		for range n {
			go func() {
				_, err := b.AppendUpload(t.Context(), root, repo, u.ID, registry.Part{Start: 0, Size: int64(len(content)), Body: bytes.NewReader([]byte(content))})
				errs <- err
			}()
		}
		won := 0
		for range n {
			switch err := <-errs; code(err) {
			case "":
				if err != nil {
					t.Error(err)
				}
				won++
			case fault.UploadBusy, fault.UploadOutOfOrder:
			default:
				t.Errorf("a part that lost: %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d of %d equal parts at one time were accepted, want 1", won, n)
		}
		if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d}); err != nil {
			t.Error(fmt.Errorf("completing it: %w", err))
		}
	})
}

// downDatabase fails the next updates, as a database does that is away for a moment.
type downDatabase struct {
	registry.Store
	down bool
}

func (d *downDatabase) Update(ctx context.Context, f func(registry.Tx) error) error {
	if d.down {
		return fault.New(fault.Unavailable, "the database is away")
	}
	return d.Store.Update(ctx, f)
}

// What an upload says of itself is true after a database that was away in the middle of it.
func TestUploadOverDatabaseTrouble(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		down := &downDatabase{Store: db}
		b.Registry = registry.New(registry.Config{
			Store: down, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now },
		})
		u := b.start()
		d := oci.FromBytes([]byte("content"))
		complete := func() error {
			last := part(registry.Anywhere, "content")
			_, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last})
			return err
		}
		down.down = true
		wantFault(t, "completing without a database", complete(), fault.Unavailable)
		wantFault(t, "cancelling without a database", b.CancelUpload(t.Context(), root, repo, u.ID), fault.Unavailable)
		down.down = false
		if _, err := b.Upload(t.Context(), root, repo, u.ID); err != nil {
			t.Errorf("the upload that was not cancelled: %v", err)
		}
		wantFault(t, "completing it again", complete(), fault.UploadNotFound)
		_, err := b.Upload(t.Context(), root, repo, u.ID)
		wantFault(t, "its status then", err, fault.UploadNotFound)
		u = b.start()
		if err := complete(); err != nil {
			t.Errorf("a new upload: %v", err)
		}
	})
}

// interruptedStore lets something happen just before its next update, as another replica's request may.
type interruptedStore struct {
	registry.Store
	before func()
}

func (s *interruptedStore) Update(ctx context.Context, f func(registry.Tx) error) error {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	return s.Store.Update(ctx, f)
}

// Two replicas over one database and one blob store: what one of them has acknowledged as a layer is not
// the other's to take away, however late its own request for the same upload ends.
func TestAnotherReplicasLayerStays(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]registry.Part{
		"a part that comes too late":             part(registry.Anywhere, "more"),
		"a part that is longer than it said":     {Start: registry.Anywhere, Size: 1, Body: strings.NewReader("more")},
		"a part that comes too late and is long": part(registry.Anywhere, strings.Repeat("m", 1<<21)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
				b := newBench(t, db)
				u := b.start()
				if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, part(0, "content")); err != nil {
					t.Fatal(err)
				}
				d := oci.FromBytes([]byte("content"))
				complete := func() {
					if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d}); err != nil {
						t.Errorf("the first replica: %v", err)
					}
				}
				other := registry.New(registry.Config{
					Store: &interruptedStore{Store: db, before: complete}, Blobs: b.blobs, Account: account, Region: "us-east-1",
					Now: func() time.Time { return b.now },
				})
				if _, err := other.AppendUpload(t.Context(), root, repo, u.ID, late); err == nil {
					t.Error("the second replica's part was accepted")
				}
				if _, err := b.Upload(t.Context(), root, repo, u.ID); err == nil {
					complete() // the second replica wrote nothing, so that nothing has interrupted it
				}
				if got := b.read(repo, d); got != "content" {
					t.Errorf("the layer reads %q", got)
				}
			})
		})
	}
}
