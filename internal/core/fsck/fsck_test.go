package fsck_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func sorted() cmp.Option { return cmpopts.SortSlices(func(a, b string) bool { return a < b }) }

func TestCleanStore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push("one")
		b.push("two, which is longer")
		b.layer("")
		for _, o := range []fsck.Order{{}, {Quick: true}, {Repair: true}} {
			r := b.check(o)
			b.wantFindings("a clean store", r)
			if r.State != fsck.Complete || r.Problems != 0 || r.Progress.Blobs != 5 || r.Progress.Bytes != r.TotalBytes || r.Progress.Images != 2 || r.Progress.Things < 5 {
				t.Errorf("a check of a clean store: %+v", r.Check)
			}
		}
	})
}

func TestDamageIsFoundMarkedAndHealed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		contents := []string{"flipped", "truncated", "grown", "deleted", "sound"}
		layers, images := map[string]oci.Digest{}, map[string]oci.Digest{}
		for _, c := range contents {
			layers[c], images[c] = b.push(c)
		}
		b.put(b.key(layers["flipped"]), "flopped")
		b.put(b.key(layers["truncated"]), "trunc")
		b.put(b.key(layers["grown"]), "grown and grown")
		b.remove(b.key(layers["deleted"]))
		want := func(done fsck.Deed, kinds map[string]fsck.Kind) (all []string) {
			for content, kind := range kinds {
				all = append(all, words(kind, layers[content].String(), done, repo+"@"+images[content].String()))
			}
			return all
		}
		all := map[string]fsck.Kind{"flipped": fsck.WrongContent, "truncated": fsck.WrongSize, "grown": fsck.WrongSize, "deleted": fsck.Lost}
		quick := map[string]fsck.Kind{"truncated": fsck.WrongSize, "grown": fsck.WrongSize, "deleted": fsck.Lost}

		b.wantFindings("by size", b.check(fsck.Order{Quick: true}), want(fsck.Nothing, quick)...)
		r := b.check(fsck.Order{})
		b.wantFindings("by content", r, want(fsck.Nothing, all)...)
		if r.State != fsck.Complete || r.Problems != 4 || r.Repaired != 0 {
			t.Errorf("a check that found four: %+v", r.Check)
		}
		if _, err := b.registry.StatLayer(t.Context(), b.root, repo, layers["flipped"]); err != nil {
			t.Errorf("after a check without repair: StatLayer: %v", err)
		}
		if !strings.Contains(b.log.String(), "level=ERROR") || !strings.Contains(b.log.String(), images["flipped"].String()) {
			t.Errorf("the log does not tell of damage, and where:\n%s", b.log)
		}

		b.wantFindings("with repair", b.check(fsck.Order{Repair: true}), want(fsck.Marked, all)...)
		for content := range all {
			_, err := b.registry.StatLayer(t.Context(), b.root, repo, layers[content])
			wantFault(t, "StatLayer of "+content, err, fault.LayerNotFound)
			_, err = b.registry.Layer(t.Context(), b.root, repo, layers[content])
			wantFault(t, "Layer of "+content, err, fault.LayerDamaged)
		}

		// One is restored from a backup, the others are pushed again.
		b.put(b.key(layers["flipped"]), "flipped")
		for _, content := range []string{"truncated", "grown", "deleted"} {
			b.layer(content)
		}
		b.wantFindings("after healing", b.check(fsck.Order{}), words(fsck.Restored, layers["flipped"].String(), fsck.Unmarked))
		for content := range all {
			if got := b.read(layers[content]); got != content {
				t.Errorf("%s reads %q", content, got)
			}
		}
		b.wantFindings("at last", b.check(fsck.Order{}))
	})
}

func (b *bench) read(d oci.Digest) string {
	b.t.Helper()
	c, err := b.registry.Layer(b.t.Context(), b.root, repo, d)
	if err != nil {
		b.t.Fatalf("Layer: %v", err)
	}
	rc, err := c.Open(b.t.Context(), 0, -1)
	if err != nil {
		b.t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if f, ok := fault.Of(err); !ok || f.Code != code {
		t.Errorf("%s: %v, want the fault %q", what, err, code)
	}
}

func TestSHA512(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		h := oci.SHA512.New()
		h.Write([]byte("long digest"))
		d := oci.FromSum(oci.SHA512, h.Sum(nil))
		part := registry.Part{Start: registry.Anywhere, Size: 11, Body: strings.NewReader("long digest")}
		if _, err := b.registry.PutLayer(t.Context(), b.root, repo, d, part); err != nil {
			t.Fatal(err)
		}
		b.wantFindings("sound", b.check(fsck.Order{}))
		b.put(b.key(d), "lone digest")
		b.wantFindings("flipped", b.check(fsck.Order{}), words(fsck.WrongContent, d.String(), fsck.Nothing, repo))
	})
}

func TestStrays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push("known")
		whole, part := blob.Key(strings.Repeat("ab", 16)), blob.Key(strings.Repeat("cd", 16))
		b.put(whole, "nobody knows it")
		if _, err := b.blobs.Append(t.Context(), blob.Upload{Key: part}, strings.NewReader("a piece")); err != nil {
			t.Fatal(err)
		}
		// In a bucket this is a multipart upload.
		large := blob.Key(strings.Repeat("ef", 16))
		if _, err := b.blobs.Append(t.Context(), blob.Upload{Key: large}, strings.NewReader(strings.Repeat("a large piece", 1<<20))); err != nil {
			t.Fatal(err)
		}
		upload, err := b.registry.StartUpload(t.Context(), b.root, repo, oci.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		body := registry.Part{Start: registry.Anywhere, Size: -1, Body: strings.NewReader("on its way")}
		if _, err := b.registry.AppendUpload(t.Context(), b.root, repo, upload.ID, body); err != nil {
			t.Fatal(err)
		}
		b.wantFindings("young ones", b.check(fsck.Order{Repair: true}))
		b.now = b.now.Add(47 * time.Hour)
		b.wantFindings("of almost two days", b.check(fsck.Order{Repair: true}))

		b.now = b.now.Add(6 * 24 * time.Hour)
		kinds := func(r fsck.Report) (all []string) {
			for _, f := range r.Findings {
				all = append(all, string(f.Key)+" "+string(f.Done))
			}
			return slices.Compact(slices.Sorted(slices.Values(all)))
		}
		r := b.check(fsck.Order{})
		if diff := cmp.Diff([]string{string(whole) + " ", string(part) + " ", string(large) + " "}, kinds(r)); diff != "" {
			t.Errorf("old ones (-want +got):\n%s", diff)
		}
		r = b.check(fsck.Order{Repair: true})
		if diff := cmp.Diff([]string{string(whole) + " DISCARDED", string(part) + " DISCARDED", string(large) + " DISCARDED"}, kinds(r)); diff != "" {
			t.Errorf("with repair (-want +got):\n%s", diff)
		}
		if r.Repaired != r.Problems {
			t.Errorf("with repair: %+v", r.Check)
		}
		owners, err := b.db.Checks().KnownKeys(t.Context(), []blob.Key{whole})
		if err != nil || owners[whole] != fsck.Garbage {
			t.Errorf("after repair the stray belongs to %v, %v", owners, err)
		}
		b.wantFindings("after repair", b.check(fsck.Order{Repair: true}))
		if got := b.read(oci.FromBytes([]byte("known"))); got != "known" {
			t.Errorf("what is known reads %q", got)
		}
	})
}

// TestGarbageThatEnds has bytes, and the row that knew them, go while the store is walked through.
func TestGarbageThatEnds(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, b *bench) {
		key := blob.Key(strings.Repeat("ab", 16))
		b.put(key, "garbage")
		b.now = b.now.Add(8 * 24 * time.Hour)
		b.Contents = andThen{b.Contents, func() { b.remove(key) }}
		b.wantFindings("garbage that ended", b.check(fsck.Order{Repair: true}))
	})
}

// andThen does something whenever it was asked what knows keys.
type andThen struct {
	fsck.Contents
	do func()
}

func (a andThen) KnownKeys(ctx context.Context, keys []blob.Key) (map[blob.Key]fsck.Owner, error) {
	defer a.do()
	return a.Contents.KnownKeys(ctx, keys)
}

func TestImagesThatAreNotWhole(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		layer, image := b.push("layer")
		// No operation of the registry leaves such rows.
		b.update(func(ctx context.Context, tx registry.Tx) error {
			r, err := tx.Repository(ctx, repo)
			return errors.Join(err, tx.UnlinkLayer(ctx, r.ID, layer, b.now))
		})
		name := repo + "@" + image.String()
		b.wantFindings("a layer is missing", b.check(fsck.Order{}), words(fsck.MissingLayer, name+" "+layer.String(), fsck.Nothing, name))

		// In a copy of an upstream's repository it may come later.
		b.now = b.now.Add(time.Second)
		if err := b.db.PullThrough().SetChecked(t.Context(), repo, "v1", pullthrough.Check{Digest: image, At: b.now}); err != nil {
			t.Fatal(err)
		}
		b.wantFindings("in a copy", b.check(fsck.Order{}))
	})
}

func (b *bench) update(f func(ctx context.Context, tx registry.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), func(tx registry.Tx) error { return f(b.t.Context(), tx) }); err != nil {
		b.t.Fatal(err)
	}
}

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		broken, _ := b.push("broken")
		b.push("sound")
		key, failures := b.key(broken), 2
		b.blobs.open = func(_ context.Context, k blob.Key) error {
			if k != key || failures == 0 {
				return nil
			}
			failures--
			return blob.ErrUnavailable
		}
		r := b.check(fsck.Order{Repair: true})
		b.wantFindings("it failed for a while", r)
		if r.State != fsck.Complete || r.Progress.Blobs != 4 {
			t.Errorf("it failed for a while: %+v", r.Check)
		}
		failures = 1000
		r = b.check(fsck.Order{Repair: true})
		b.wantFindings("it fails for good", r, words(fsck.Unread, broken.String(), fsck.Nothing))
		if r.State != fsck.Incomplete || r.Reason == "" || r.Progress.Blobs != 4 || r.Progress.Images != 2 {
			t.Errorf("it fails for good: %+v", r.Check)
		}
		b.blobs.open = nil
		if got := b.read(broken); got != "broken" {
			t.Errorf("what could not be read was marked: %q", got)
		}

		for i := range 25 {
			b.layer(strings.Repeat("x", i+1))
		}
		b.blobs.open = func(context.Context, blob.Key) error { return blob.ErrUnavailable }
		r = b.check(fsck.Order{Repair: true})
		if r.State != fsck.Incomplete || r.Problems != 20 || r.Progress.Blobs != 20 {
			t.Errorf("nothing can be read: %+v", r.Check)
		}
	})
}

// TestSecondLook has a blob healed, or gone, after the first look found it damaged.
func TestSecondLook(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := b.layer("content").Digest
		key := b.key(d)
		b.remove(key)
		looks := 0
		b.blobs.open = func(context.Context, blob.Key) error {
			if looks++; looks == 1 {
				b.layer("content")
				return blob.ErrNotFound
			}
			return nil
		}
		b.wantFindings("healed", b.check(fsck.Order{Repair: true}))
		if looks != 2 {
			t.Errorf("it was looked at %d times", looks)
		}
		b.blobs.open = nil

		b.remove(b.key(d))
		b.Contents = withoutBlobs{b.Contents}
		b.wantFindings("gone", b.check(fsck.Order{Repair: true}))
	})
}

// withoutBlobs is contents from which each blob goes once it was listed.
type withoutBlobs struct{ fsck.Contents }

func (withoutBlobs) FindBlob(context.Context, oci.Digest) (fsck.Blob, error) {
	return fsck.Blob{}, registry.ErrNoRow
}

func TestScrub(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		layer, image := b.push("bad")
		b.put(b.key(layer), "dab")
		scrub := func() {
			t.Helper()
			if _, err := b.ScrubOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		last := func() fsck.Report {
			t.Helper()
			r, err := b.Describe(t.Context(), b.root, fsck.Query{Scrub: true})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		scrub()
		r := last()
		b.wantFindings("the scrub", r, words(fsck.WrongContent, layer.String(), fsck.Marked, repo+"@"+image.String()))
		if r.State != fsck.Complete || !r.Scrub || r.Repair || r.Rate != 1<<20 || r.Actor != "berth:scrub" {
			t.Errorf("the scrub: %+v", r.Check)
		}
		_, err := b.registry.Layer(t.Context(), b.root, repo, layer)
		wantFault(t, "Layer", err, fault.LayerDamaged)

		b.now = b.now.Add(23 * time.Hour)
		scrub()
		if again := last(); again.ID != r.ID {
			t.Errorf("it began again after %v", again.StartedAt.Sub(r.StartedAt))
		}
		b.now = b.now.Add(time.Hour)
		scrub()
		if again := last(); again.ID == r.ID {
			t.Error("it did not begin again after a period")
		}
	})
}

func TestPermissionsAndPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		nobody := identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/nobody"}
		_, err := b.Start(t.Context(), nobody, fsck.Order{})
		wantFault(t, "Start", err, fault.AccessDenied)
		_, err = b.Describe(t.Context(), nobody, fsck.Query{})
		wantFault(t, "Describe", err, fault.AccessDenied)
		_, err = b.Stop(t.Context(), nobody, 1)
		wantFault(t, "Stop", err, fault.AccessDenied)
		_, err = b.Describe(t.Context(), b.root, fsck.Query{})
		wantFault(t, "Describe before any", err, fault.CheckNotFound)
		_, err = b.Start(t.Context(), b.root, fsck.Order{Rate: 1})
		wantFault(t, "Start with a byte per second", err, fault.InvalidParameter)

		for _, content := range []string{"a", "b", "c"} {
			b.remove(b.key(b.layer(content).Digest))
		}
		c := b.check(fsck.Order{})
		pages, token := 0, ""
		for token != "" || pages == 0 {
			r, err := b.Describe(t.Context(), b.root, fsck.Query{ID: c.ID, Limit: 1, Token: token})
			if err != nil || len(r.Findings) != 1 {
				t.Fatalf("page %d: %+v, %v", pages, r, err)
			}
			pages, token = pages+1, r.Next
		}
		if pages != 3 {
			t.Errorf("three findings came on %d pages of one", pages)
		}
		_, err = b.Describe(t.Context(), b.root, fsck.Query{ID: c.ID, Token: "nonsense"})
		wantFault(t, "a token", err, fault.PageTokenInvalid)
	})
}
