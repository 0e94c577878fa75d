package gc_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestNobodyIsAllowedNothing calls every operation that takes a caller as one who may do nothing.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, metadbtest.New(t), settings{})
	nobody := identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/nobody"}
	without := b.config
	without.May = nil
	for _, s := range []*gc.Service{b.gc, gc.New(without)} {
		v := reflect.ValueOf(s)
		asked := 0
		for i := range v.NumMethod() {
			m := v.Type().Method(i)
			if m.Type.NumIn() < 3 || m.Type.In(2) != reflect.TypeFor[identity.Caller]() {
				continue
			}
			args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(nobody)}
			for n := 3; n < m.Type.NumIn(); n++ {
				args = append(args, reflect.Zero(m.Type.In(n)))
			}
			out := v.Method(i).Call(args)
			err, _ := out[len(out)-1].Interface().(error)
			if !errors.Is(err, fault.AccessDenied) {
				t.Errorf("%s by nobody: %v, want it denied", m.Name, err)
			}
			asked++
		}
		if asked < 6 {
			t.Errorf("%d operations were asked for, want all", asked)
		}
	}
}

func TestPauseHoldsOnEveryReplica(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		other := gc.New(b.config)
		p, err := other.Pause(t.Context(), root)
		if err != nil || p.By != root.ARN || !p.At.Equal(b.now()) {
			t.Fatalf("Pause: %+v, %v", p, err)
		}
		b.pass(time.Minute)
		if again, err := b.gc.Pause(t.Context(), root); err != nil || again != p {
			t.Errorf("a second Pause: %+v, %v, want the first, %+v", again, err, p)
		}
		b.layer(repo, "alone")
		b.pass(3 * day)
		b.sweep()
		b.walk()
		st, err := b.gc.Status(t.Context(), root)
		if err != nil || st.Paused == nil || *st.Paused != p || st.Stages[gc.Layers].Due.Things != 1 || !st.Walk.Began.IsZero() {
			t.Errorf("Status: %+v, %v, want it paused with a layer due", st, err)
		}
		if was, err := b.gc.Resume(t.Context(), root); err != nil || was == nil || *was != p {
			t.Errorf("Resume: %+v, %v", was, err)
		}
		if was, err := b.gc.Resume(t.Context(), root); err != nil || was != nil {
			t.Errorf("a second Resume: %+v, %v, want none", was, err)
		}
		b.sweep()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("at the end", 0)
	})
}

func TestDryRunKeepsItsPromise(t *testing.T) {
	t.Parallel()
	each(t, settings{trash: day}, func(t *testing.T, b *bench) {
		gone := b.image(repo, "config", "a layer of its own")
		b.image(repo, "other config", "a layer that stays", "v1")
		shared := b.image(repo, "third config", "a layer that stays")
		b.create("elsewhere")
		b.layer("elsewhere", "alone")
		b.remove(repo, gone)
		b.pass(time.Hour)
		b.remove(repo, shared)
		b.pass(day - time.Hour)

		dry, err := b.gc.DryRun(t.Context(), root, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		// config, its layer, and what lies alone; the third config is in the trash for another hour.
		wanted := gc.Amount{Things: 3, Bytes: int64(len("config" + "a layer of its own" + "alone"))}
		if dry.Freed != wanted || len(dry.Blobs) != 3 || dry.Next != "" {
			t.Errorf("DryRun: %+v, %d blobs, next %q, want %+v", dry.Freed, len(dry.Blobs), dry.Next, wanted)
		}
		if w := dry.Stages[gc.Trash].Waiting; w.Due.Things != 1 || w.Later.Things != 1 || !w.NextAt.Equal(b.now().Add(time.Hour)) {
			t.Errorf("DryRun says of the trash: %+v", w)
		}
		if w := dry.Stages[gc.Layers].Waiting; w.Due.Things != 3 || w.Later.Things != 1 {
			t.Errorf("DryRun says of the layers: %+v", w)
		}
		page, err := b.gc.DryRun(t.Context(), root, "", 2)
		if err != nil || len(page.Blobs) != 2 || page.Next != page.Blobs[1].Digest {
			t.Errorf("a page of two: %+v, %v", page, err)
		}
		if page, err = b.gc.DryRun(t.Context(), root, page.Next, 2); err != nil || len(page.Blobs) != 1 || page.Next != "" {
			t.Errorf("the next page: %+v, %v", page, err)
		}
		b.wantFiles("after a dry run", 6)
		b.sweep()
		second := gc.Amount{Things: wanted.Things + 1, Bytes: wanted.Bytes + int64(len("a layer that stays"))} // which came twice
		st, err := b.gc.Status(t.Context(), root)
		if err != nil || st.Stages[gc.Bytes].Later != wanted || !st.Stages[gc.Bytes].NextAt.Equal(b.now().Add(time.Hour)) {
			t.Errorf("Status after the sweep: %+v, %v, want %+v due in an hour", st.Stages[gc.Bytes], err, wanted)
		}
		b.pass(time.Hour)
		b.sweep() // and the third config's window is over
		st, err = b.gc.Status(t.Context(), root)
		if err != nil || st.Stages[gc.Bytes].Done != second {
			t.Errorf("Status at the end: %+v, %v, want %+v done", st.Stages[gc.Bytes], err, second)
		}
	})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	each(t, settings{trash: 2 * day}, func(t *testing.T, b *bench) {
		explain := func(content string) string {
			t.Helper()
			d := oci.Digest(content)
			if !strings.HasPrefix(content, "sha256:") {
				d = oci.FromBytes([]byte(content))
			}
			e, err := b.gc.Explain(t.Context(), root, d)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(e.Reasons, "\n")
		}
		wantWords := func(about, got string, words ...string) {
			t.Helper()
			for _, w := range words {
				if !strings.Contains(got, w) {
					t.Errorf("of %s it says:\n%s\nwant it to say %q", about, got, w)
				}
			}
		}
		img := b.image(repo, "config", "layer", "v1", "v2", "v3", "v4", "v5", "v6")
		wantWords("a layer in use", explain("layer"), "Image "+img.String()+" of repository "+repo+" refers to it, tagged v1, v2, v3, v4, v5 and 1 more.")
		wantWords("an image", explain(img.String()), "It is an image of repository "+repo+", tagged v1")
		b.layer(repo, "alone")
		wantWords("a layer without an image", explain("alone"), "no image refers to it yet; it waits for one until "+b.now().Add(day).Format(time.RFC3339))
		b.remove(repo, img)
		wantWords("a layer of a deleted image", explain("layer"), "has deleted its last image that referred to it",
			"Image "+img.String()+" is in the trash of repository "+repo, root.ARN, "until "+b.now().Add(2*day).Format(time.RFC3339))
		wantWords("a deleted image", explain(img.String()), "It is in the trash")
		b.pass(day)
		b.sweep()
		wantWords("what is gone", explain("alone"), "Nothing here has it. If it was removed lately, its bytes go within 1h0m0s of that.")
		if diff := cmp.Diff("Nothing here has it. If it was removed lately, its bytes go within 1h0m0s of that.", explain("never there")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExplainTies(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		child := b.image(repo, "config", "layer")
		m, err := b.db.Read().ManifestIn(t.Context(), repo, oci.Reference{Digest: child})
		if err != nil {
			t.Fatal(err)
		}
		index := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIIndex + `","manifests":[{"mediaType":"` + oci.MediaTypeOCIManifest +
			`","digest":"` + child.String() + `","size":` + itoa(len(m.Manifest)) + `}]}`)
		if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: index, Tags: []string{"v1"}}); err != nil {
			t.Fatal(err)
		}
		e, err := b.gc.Explain(t.Context(), root, child)
		if want := "It is an image of repository " + repo + ", untagged, part of index " + oci.FromBytes(index).String() + "."; err != nil || !e.Needed ||
			len(e.Reasons) != 1 || e.Reasons[0] != want {
			t.Errorf("Explain: %+v, %v, want %q", e, err, want)
		}
	})
}

// TestRate holds the sweep to a rate, on the clock of a bubble.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := gc.New(gc.Config{Rows: &still{}, Now: time.Now, Rate: 2})
		began := time.Now()
		for range 3 {
			if _, err := s.SweepOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("three batches at two a second took %v", took)
		}
	})
}
