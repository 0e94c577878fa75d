package registry_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const fresh = "team/fresh"

func (b *bench) onPush() {
	b.t.Helper()
	b.template(registry.Template{Prefix: "team", Uses: []registry.TemplateUse{registry.ForPush}, Mutability: registry.Immutable})
}

// pushes are the ways in which a push begins: each must find the repository that it makes.
func pushes() map[string]func(b *bench, repository string) error {
	return map[string]func(b *bench, repository string) error{
		"StartUpload": func(b *bench, repository string) error {
			_, err := b.StartUpload(b.t.Context(), root, repository, oci.SHA256)
			return err
		},
		"PutLayer": func(b *bench, repository string) error {
			body := registry.Part{Start: 0, Size: 5, Body: strings.NewReader("hello")}
			_, err := b.PutLayer(b.t.Context(), root, repository, oci.FromBytes([]byte("hello")), body)
			return err
		},
		"MountLayer": func(b *bench, repository string) error {
			l := b.layer(repo, "to be mounted")
			_, mounted, err := b.MountLayer(b.t.Context(), root, repository, l.Digest, repo)
			if err == nil && !mounted {
				b.t.Error("MountLayer mounts nothing")
			}
			return err
		},
		"PutImage": func(b *bench, repository string) error {
			_, err := b.PutImage(b.t.Context(), root, registry.Push{Repository: repository, Manifest: b.index(), Tags: []string{"v1"}})
			return err
		},
	}
}

func TestPushMakesItsRepository(t *testing.T) {
	t.Parallel()
	for name, push := range pushes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bench) {
				wantFault(t, name+" without a template", push(b, fresh), fault.RepositoryNotFound)
				b.onPush()
				if err := push(b, fresh); err != nil {
					t.Fatalf("%s with a template: %v", name, err)
				}
				got, err := b.Repository(t.Context(), root, fresh)
				if err != nil || got.Mutability != registry.Immutable {
					t.Errorf("after %s: %+v, %v; want an immutable repository", name, got, err)
				}
				wantFault(t, name+" where the template is not for", push(b, "other/fresh"), fault.RepositoryNotFound)
				_, err = b.Repository(t.Context(), root, "other/fresh")
				wantFault(t, "the other repository", err, fault.RepositoryNotFound)
			})
		})
	}
}

func TestPushThatFailsMakesNoRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.onPush()
		manifest := b.manifest(repo, `{}`, "a layer that stays at home")
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: fresh, Manifest: manifest, Tags: []string{"v1"}})
		wantFault(t, "a manifest before its layers", err, fault.ReferencedLayersNotFound)
		body := registry.Part{Start: 0, Size: 5, Body: strings.NewReader("other")}
		_, err = b.PutLayer(t.Context(), root, fresh, oci.FromBytes([]byte("hello")), body)
		wantFault(t, "a layer with another digest", err, fault.LayerDigestMismatch)
		if _, mounted, err := b.MountLayer(t.Context(), root, fresh, oci.FromBytes([]byte("nobody's")), repo); mounted || err != nil {
			t.Errorf("mounting what is not there = %v, %v; want false", mounted, err)
		}
		_, err = b.Repository(t.Context(), root, fresh)
		wantFault(t, "the repository after pushes that failed", err, fault.RepositoryNotFound)
	})
}

// TestOthersMakeNoRepository holds what is no push to the answer that it always had.
func TestOthersMakeNoRepository(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.onPush()
		d := oci.FromBytes([]byte("hello"))
		_, err := b.StatLayer(t.Context(), root, fresh, d)
		wantFault(t, "StatLayer", err, fault.RepositoryNotFound)
		_, err = b.Layer(t.Context(), root, fresh, d)
		wantFault(t, "Layer", err, fault.RepositoryNotFound)
		_, err = b.StatImage(t.Context(), root, fresh, oci.Reference{Tag: "v1"})
		wantFault(t, "StatImage", err, fault.RepositoryNotFound)
		_, err = b.Image(t.Context(), root, fresh, oci.Reference{Tag: "v1"})
		wantFault(t, "Image", err, fault.RepositoryNotFound)
		_, err = b.LayersAvailable(t.Context(), root, fresh, []string{d.String()})
		wantFault(t, "LayersAvailable", err, fault.RepositoryNotFound)
		_, err = b.AppendUpload(t.Context(), root, fresh, "none", part(0, "x"))
		wantFault(t, "AppendUpload", err, fault.RepositoryNotFound)
		_, err = b.CompleteUpload(t.Context(), root, fresh, "none", registry.Completion{Digest: d})
		wantFault(t, "CompleteUpload", err, fault.RepositoryNotFound)
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: fresh, Manifest: b.index(), Source: "replication"})
		wantFault(t, "PutImage of a replica", err, fault.RepositoryNotFound)
		_, err = b.Repository(t.Context(), root, fresh)
		wantFault(t, "the repository", err, fault.RepositoryNotFound)
	})
}

func TestPushersRaceForARepository(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		b.onPush()
		var pushers sync.WaitGroup
		for range 8 {
			for name, push := range pushes() {
				if name == "MountLayer" {
					continue // its own first step may fail the test, which only the test's goroutine may do
				}
				pushers.Go(func() {
					if err := push(b, fresh); err != nil {
						t.Errorf("%s beside others: %v", name, err)
					}
				})
			}
		}
		pushers.Wait()
		events, err := db.Outbox().Claim(t.Context(), b.now, b.now, 1000)
		if err != nil {
			t.Fatal(err)
		}
		events = slices.DeleteFunc(events, func(e event.Event) bool { return e.Kind != event.RepositoryCreated || e.Repository != fresh })
		if len(events) != 1 || events[0].Actor != root.ARN {
			t.Errorf("events of the repository's creation: %+v, want one by %s", events, root.ARN)
		}
	})
}
