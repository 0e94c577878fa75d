package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const races = 20

// bothAtOnce runs two things at the same time.
func bothAtOnce(one, other func()) {
	var both sync.WaitGroup
	both.Go(one)
	both.Go(other)
	both.Wait()
}

// inOnePlace holds an image to being either there, whole, or in the trash.
func (b *bench) inOnePlace(d oci.Digest, layer string) (there bool) {
	b.t.Helper()
	_, err := b.StatImage(b.t.Context(), root, repo, oci.Reference{Digest: d})
	there = err == nil
	if err != nil && !errors.Is(err, fault.ImageNotFound) {
		b.t.Fatal(err)
	}
	if trashed := slices.Contains(b.trashDigests(), d); trashed == there {
		b.t.Errorf("there: %v, in the trash: %v", there, trashed)
	}
	if there && b.read(repo, digestOf([]byte(layer))) != layer {
		b.t.Error("its layer is another one")
	}
	return there
}

func TestRestoreAgainstDelete(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		app := b.manifest(repo, "{}", "bytes")
		d := digestOf(app)
		b.push(repo, app, "v1")
		b.push(repo, b.sbom(app, "sbom"))
		for i := range races {
			if i%2 == 0 {
				b.delete(byDigest(d))
			}
			b.later()
			bothAtOnce(func() {
				results, err := b.RestoreImages(t.Context(), root, repo, []registry.ImageID{byDigest(d)}, registry.RestoreOptions{})
				if err != nil || results[0].Err != nil {
					t.Errorf("RestoreImages: %+v, %v", results, err)
				}
			}, func() {
				err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: d})
				if err != nil && !errors.Is(err, fault.ImageNotFound) {
					t.Errorf("DeleteImage: %v", err)
				}
			})
			if !b.inOnePlace(d, "bytes") {
				b.restore(byDigest(d))
			}
		}
	})
}

func TestRestoreAgainstPush(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		d := b.pushNew("old", "v1").Digest
		for i := range races {
			b.delete(byDigest(d))
			next := b.manifest(repo, "{}", fmt.Sprint("next ", i))
			b.later()
			var restored registry.Restored
			bothAtOnce(func() {
				results, err := b.RestoreImages(t.Context(), root, repo, []registry.ImageID{byDigest(d)}, registry.RestoreOptions{})
				if err != nil || results[0].Err != nil {
					t.Errorf("RestoreImages: %+v, %v", results, err)
					return
				}
				restored = results[0]
			}, func() {
				if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: next, Tags: []string{"v1"}}); err != nil {
					t.Errorf("PutImage: %v", err)
				}
			})
			// A push moves the tag whenever it comes; a restoration only when it is free.
			if got := b.tagTarget("v1"); got != digestOf(next) {
				t.Errorf("v1 points to %s", got)
			}
			if len(restored.Tags) == len(restored.Kept) {
				t.Errorf("v1 was neither free nor taken: %+v", restored)
			}
			if !b.inOnePlace(d, "layer of old") {
				t.Error("it is not there")
			}
			b.restore(registry.ImageID{Tag: "v1", Digest: d.String()})
			b.delete(byDigest(digestOf(next)))
		}
	})
}

func TestRestoreAgainstPurge(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		for i := range races {
			name := fmt.Sprint("image ", i)
			one := b.manifest(repo, `{"name":"`+name+`"}`, "shared", "layer of "+name)
			b.push(repo, one)
			index := b.index(one)
			b.push(repo, index, "v1")
			b.delete(byDigest(digestOf(index)), byDigest(digestOf(one)))
			var restored registry.Restored
			var purged []registry.Purged
			bothAtOnce(func() {
				results, err := b.RestoreImages(t.Context(), root, repo, []registry.ImageID{byDigest(digestOf(index))}, registry.RestoreOptions{})
				if err != nil {
					t.Errorf("RestoreImages: %v", err)
					return
				}
				restored = results[0]
			}, func() {
				var err error
				if purged, err = b.PurgeImages(t.Context(), root, repo, []oci.Digest{digestOf(index), digestOf(one)}); err != nil {
					t.Errorf("PurgeImages: %v", err)
				}
			})
			won := restored.Err == nil
			if len(purged) != 2 || (purged[0].Err == nil) == won || (purged[1].Err == nil) == won {
				t.Errorf("restored: %+v, purged: %+v", restored, purged)
			}
			if !won {
				wantFault(t, "a restoration that was too late", restored.Err, fault.ImageNotFound)
				continue
			}
			if b.tagTarget("v1") != digestOf(index) || b.read(repo, digestOf([]byte("layer of "+name))) != "layer of "+name {
				t.Error("it is not whole")
			}
		}
	})
}
