package registry_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// dueAt is when it is looked at whether an image needs the layer; false where the repository hides it, or has none.
func (b *bench) dueAt(repository string, d oci.Digest) (due time.Time, shown bool) {
	b.t.Helper()
	l, err := b.db.Read().LayerIn(b.t.Context(), repository, d)
	if err != nil {
		return time.Time{}, false
	}
	return l.DueAt, !l.Hidden
}

func (b *bench) drop(ids ...registry.ImageID) {
	b.t.Helper()
	results, err := b.DeleteImages(b.t.Context(), root, repo, ids)
	for _, r := range results {
		if err == nil {
			err = r.Err
		}
	}
	if err != nil {
		b.t.Fatalf("DeleteImages(%v): %v", ids, err)
	}
}

// TestTheLastImageTakesItsLayersAlong follows two layers, one of which another image has, past the deletion of an image.
func TestTheLastImageTakesItsLayersAlong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		one := b.manifest(repo, `{"n":1}`, "shared", "own")
		b.push(repo, one, "one")
		b.push(repo, b.manifest(repo, `{"n":2}`, "shared"), "two")
		shared, own := oci.FromBytes([]byte("shared")), oci.FromBytes([]byte("own"))
		if due, shown := b.dueAt(repo, own); !shown || !due.Equal(b.now.Add(registry.DefaultGrace)) {
			t.Errorf("a pushed layer: shown %v, due at %v, want after the grace", shown, due)
		}
		b.now = b.now.Add(time.Hour)
		b.drop(registry.ImageID{Tag: "one"})

		if _, err := b.StatLayer(t.Context(), root, repo, shared); err != nil {
			t.Errorf("a layer that another image has: %v", err)
		}
		_, err := b.StatLayer(t.Context(), root, repo, own)
		wantFault(t, "a layer that no image has, asked for", err, fault.LayerNotFound)
		_, err = b.Layer(t.Context(), root, repo, own)
		wantFault(t, "a layer that no image has, pulled", err, fault.LayerNotFound)
		available, err := b.LayersAvailable(t.Context(), root, repo, []string{own.String(), shared.String()})
		if err != nil || available[0].Found || !available[1].Found {
			t.Errorf("LayersAvailable: %+v, %v, want the shared one alone", available, err)
		}
		if due, _ := b.dueAt(repo, own); !due.Equal(b.now.Add(registry.DefaultGrace)) {
			t.Errorf("it is due at %v, want the grace after the deletion", due)
		}
		b.create(registry.NewRepository{Name: "other"})
		if _, mounted, err := b.MountLayer(t.Context(), root, "other", own, repo); err != nil || mounted {
			t.Errorf("mounting a layer that no image has: %v, %v", mounted, err)
		}

		// Whoever was told before that it is there may name it still.
		b.push(repo, one, "again")
		if got := b.read(repo, own); got != "own" {
			t.Errorf("the layer of the image pushed again reads %q", got)
		}
		if names, err := b.db.Read().RepositoriesWithLayer(t.Context(), own, 2); err != nil || len(names) != 1 {
			t.Errorf("repositories with the layer: %v, %v", names, err)
		}
	})
}

// TestUploadShowsALayer uploads what is hidden: to the client it is new.
func TestUploadShowsALayer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push(repo, b.manifest(repo, `{}`, "content"), "v1")
		d := oci.FromBytes([]byte("content"))
		b.drop(registry.ImageID{Tag: "v1"})
		b.now = b.now.Add(20 * time.Hour)
		u := b.start()
		last := part(0, "content")
		if _, err := b.CompleteUpload(t.Context(), root, repo, u.ID, registry.Completion{Digest: d, Last: &last, Strict: true}); err != nil {
			t.Errorf("uploading it with ECR's API: %v, want no LayerExists", err)
		}
		if due, shown := b.dueAt(repo, d); !shown || !due.Equal(b.now.Add(registry.DefaultGrace)) {
			t.Errorf("after it: shown %v, due at %v", shown, due)
		}
		if got := b.read(repo, d); got != "content" {
			t.Errorf("it reads %q", got)
		}
	})
}

// TestWhoIsToldOfALayerCanCountOnIt asks for a layer without image at different times of its grace.
func TestWhoIsToldOfALayerCanCountOnIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := b.layer(repo, "content").Digest
		first := b.now.Add(registry.DefaultGrace)
		b.now = b.now.Add(registry.DefaultGrace / 2)
		ask := func(how string) {
			t.Helper()
			if how == "stat" {
				if _, err := b.StatLayer(t.Context(), root, repo, d); err != nil {
					t.Error(err)
				}
				return
			}
			if a, err := b.LayersAvailable(t.Context(), root, repo, []string{d.String()}); err != nil || !a[0].Found {
				t.Errorf("LayersAvailable: %+v, %v", a, err)
			}
		}
		ask("stat")
		if due, _ := b.dueAt(repo, d); !due.Equal(first) {
			t.Errorf("with half of the grace left it is due at %v, want as before, %v", due, first)
		}
		for _, how := range []string{"stat", "available"} {
			b.now = b.now.Add(registry.DefaultGrace/2 + time.Microsecond)
			ask(how)
			if due, _ := b.dueAt(repo, d); !due.Equal(b.now.Add(registry.DefaultGrace)) {
				t.Errorf("%s with less left: due at %v, want the whole grace from now", how, due)
			}
		}
	})
}

// TestTheSecondCopyIsGarbage uploads a layer twice, and once more when the first copy is gone.
func TestTheSecondCopyIsGarbage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := b.layer(repo, "content").Digest
		first, err := b.db.Read().LayerIn(t.Context(), repo, d)
		if err != nil {
			t.Fatal(err)
		}
		b.layer(repo, "content")
		if l, err := b.db.Read().LayerIn(t.Context(), repo, d); err != nil || l.Key != first.Key {
			t.Errorf("after a second upload the layer is %+v, %v, want the key %s", l, err, first.Key)
		}
		if err := b.blobs.Delete(t.Context(), first.Key); err != nil {
			t.Fatal(err)
		}
		b.layer(repo, "content")
		l, err := b.db.Read().LayerIn(t.Context(), repo, d)
		if err != nil || l.Key == first.Key {
			t.Fatalf("after the first copy was lost and the layer uploaded: %+v, %v, want another key", l, err)
		}
		if got := b.read(repo, d); got != "content" {
			t.Errorf("it reads %q", got)
		}
		err = b.db.Update(t.Context(), func(tx registry.Tx) error {
			for key, want := range map[blob.Key]bool{first.Key: true, l.Key: false} {
				if got, err := tx.IsGarbage(t.Context(), key); err != nil || got != want {
					t.Errorf("the key %s is garbage: %v, %v, want %v", key, got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
