package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// pinned gives what is pinned and is no record, by the names of images.
func (b *bench) pinned(names map[oci.Digest]string) map[string]string {
	b.t.Helper()
	pins, err := b.Pinned(b.t.Context(), root, repo)
	if err != nil {
		b.t.Fatal(err)
	}
	got := map[string]string{}
	for d, all := range pins {
		if name, ok := names[d]; ok {
			var words []string
			for _, p := range all {
				words = append(words, p.String())
			}
			got[name] = strings.Join(words, "; ")
		}
	}
	return got
}

// TestWhatDeploymentsPin goes through the life of an application, with what is pinned after each step. The newest three are.
func TestWhatDeploymentsPin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		names := map[oci.Digest]string{}
		images := map[string]registry.Image{}
		for _, n := range []string{"v1", "v2", "v3", "v4"} {
			images[n] = b.pushNew(n, n)
			names[images[n].Digest] = n
		}
		prod, staging := b.deployer("prod", "web"), b.deployer("staging", "web")
		const second, third, runs = "it is the 2nd newest of web in prod", "it is the 3rd newest of web in prod", "it runs in prod as web since 2026-11-24T%s:00:00Z"
		for i, step := range []struct {
			by      *deployer
			image   string
			outcome deployment.Outcome
			want    map[string]string
		}{
			{prod, "v1", deployment.Started, map[string]string{"v1": "it is being deployed to prod as web since 2026-11-24T11:00:00Z"}},
			{prod, "v1", deployment.Succeeded, map[string]string{"v1": fmt.Sprintf(runs, "12")}},
			{prod, "v2", deployment.Started, map[string]string{"v1": fmt.Sprintf(runs, "12"), "v2": "it is being deployed to prod as web since 2026-11-24T13:00:00Z"}},
			{prod, "v2", deployment.Failed, map[string]string{"v1": fmt.Sprintf(runs, "12")}},
			{prod, "v2", deployment.Started, map[string]string{"v1": fmt.Sprintf(runs, "12"), "v2": "it is being deployed to prod as web since 2026-11-24T15:00:00Z"}},
			{prod, "v3", deployment.Succeeded, map[string]string{"v1": second, "v3": fmt.Sprintf(runs, "16")}},
			{prod, "v3", deployment.Succeeded, map[string]string{"v1": second, "v3": fmt.Sprintf(runs, "17")}},
			{prod, "v4", deployment.Broken, map[string]string{"v1": second, "v3": fmt.Sprintf(runs, "17"), "v4": "its deployment to prod as web broke at 2026-11-24T18:00:00Z"}},
			{prod, "v2", deployment.Succeeded, map[string]string{"v1": third, "v2": fmt.Sprintf(runs, "19"), "v3": second}},
			{prod, "v4", deployment.Succeeded, map[string]string{"v2": second, "v3": third, "v4": fmt.Sprintf(runs, "20")}},
			{prod, "v2", deployment.Succeeded, map[string]string{"v2": fmt.Sprintf(runs, "21"), "v3": third, "v4": second}},
			{staging, "v2", deployment.Succeeded, map[string]string{
				"v2": fmt.Sprintf(runs, "21") + "; it runs in staging as web since 2026-11-24T22:00:00Z", "v3": third, "v4": second,
			}},
		} {
			b.now = b.now.Add(time.Hour)
			step.by.record(images[step.image], step.outcome)
			if diff := cmp.Diff(step.want, b.pinned(names)); diff != "" {
				t.Errorf("step %d, %s %s (-want +got):\n%s", i+1, step.image, step.outcome, diff)
			}
		}
	})
}

// family is an index with its image, a signature of each, and what is filed under the index's digest.
type family struct{ index, child, indexSignature, childSignature, filed, record registry.Image }

func (b *bench) family(environment string) (family, *deployer) {
	b.t.Helper()
	var f family
	f.child = b.push(repo, b.manifest(repo, `{"of":"`+environment+`"}`, "bytes for "+environment)).Image
	f.index = b.push(repo, b.index(f.child.Manifest), "multi-"+environment).Image
	f.indexSignature = b.push(repo, b.attached(f.index, "signature")).Image
	f.childSignature = b.push(repo, b.attached(f.child, "signature")).Image
	f.filed = b.pushNew("filed "+environment, strings.Replace(f.index.Digest.String(), ":", "-", 1)+".sig")
	d := b.deployer(environment, "web")
	f.record = b.push(repo, d.bytes(d.next(f.index, deployment.Succeeded)), d.tag).Image
	d.last = d.next(f.index, deployment.Succeeded)
	return f, d
}

// attached is an artifact about an image.
func (b *bench) attached(img registry.Image, what string) []byte {
	b.t.Helper()
	return b.json(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": "application/vnd.example." + what,
		"config": b.layer(repo, "{}"), "layers": []any{}, "subject": oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
	})
}

func (b *bench) deleting(ids ...registry.ImageID) []registry.Deleted {
	b.t.Helper()
	results, err := b.DeleteImages(b.t.Context(), root, repo, ids)
	if err != nil {
		b.t.Fatal(err)
	}
	return results
}

func (b *bench) there(img registry.Image) bool {
	b.t.Helper()
	_, err := b.StatImage(b.t.Context(), root, repo, oci.Reference{Digest: img.Digest})
	if err != nil && !errors.Is(err, fault.ImageNotFound) {
		b.t.Fatal(err)
	}
	return err == nil
}

// TestPinnedImagesStay: whoever deletes or archives, by whatever way, until the tag of the deployments is gone.
func TestPinnedImagesStay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		f, _ := b.family("prod")
		const runs = "it runs in prod as web since 2026-11-24T10:00:00Z"
		of := "Requested image belongs to " + f.index.Digest.String() + ", which is deployed and is not "
		for what, c := range map[string]struct {
			img      registry.Image
			deleting string
			archived string
		}{
			"the index":            {f.index, "Requested image is deployed and is not deleted: " + runs, "Requested image is deployed and is not archived: " + runs},
			"a signature":          {f.indexSignature, of + "deleted: " + runs, of + "archived: " + runs},
			"a signature by child": {f.childSignature, of + "deleted: " + runs, of + "archived: " + runs},
			"what is filed":        {f.filed, of + "deleted: " + runs, of + "archived: " + runs},
			"the record":           {f.record, "Requested image is deployed and is not deleted: it records what runs in prod as web", ""},
		} {
			ref, id := oci.Reference{Digest: c.img.Digest}, registry.ImageID{Digest: c.img.Digest.String()}
			wantWords(t, what+" by ECR's API", b.deleting(id)[0].Err, fault.ImagePinned, c.deleting)
			wantWords(t, what+" by docker's API", b.DeleteImage(t.Context(), root, repo, ref), fault.ImagePinned, c.deleting)
			yes := about(func(registry.Image) (bool, string, error) { return true, "", nil })
			for name, do := range map[string]func() ([]registry.Deleted, error){
				"deleted": func() ([]registry.Deleted, error) {
					return b.DeleteImagesIf(t.Context(), root, repo, []oci.Digest{c.img.Digest}, yes)
				},
				"archived": func() ([]registry.Deleted, error) {
					return b.ArchiveImagesIf(t.Context(), root, repo, []oci.Digest{c.img.Digest}, yes)
				},
			} {
				results, err := do()
				if err != nil {
					t.Fatal(err)
				}
				wantWords(t, what+" "+name+" by a policy", results[0].Err, fault.ImagePinned, "is deployed and is not "+name)
			}
			results, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{id}, registry.Archive)
			if err != nil {
				t.Fatal(err)
			}
			wantWords(t, what+" into the archive", results[0].Err, fault.ImagePinned, c.archived)
		}
		wantFault(t, "a platform of the index", b.deleting(registry.ImageID{Digest: f.child.Digest.String()})[0].Err, fault.ImageReferenced)
		wantFault(t, "its last tag", b.deleting(registry.ImageID{Tag: "multi-prod"})[0].Err, fault.ImagePinned)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: "multi-prod"}); err != nil {
			t.Errorf("its last tag by docker's API, which leaves the image: %v", err)
		}
		if got := b.deleting(registry.ImageID{Tag: "deploy-prod-web"}); got[0].Err != nil || len(got[0].Gone) != 1 || b.there(f.record) {
			t.Errorf("the deploy tag: %+v; its record is there: %v", got, b.there(f.record))
		}
		results := b.deleting(registry.ImageID{Digest: f.index.Digest.String()}, registry.ImageID{Digest: f.child.Digest.String()}, registry.ImageID{Digest: f.filed.Digest.String()})
		for _, r := range results {
			if r.Err != nil {
				t.Errorf("deleting %s without deployments: %v", r.ID.Digest, r.Err)
			}
		}
		for _, img := range []registry.Image{f.index, f.child, f.indexSignature, f.childSignature, f.filed} {
			if b.there(img) {
				t.Errorf("%s is there still", img.Digest)
			}
		}
	})
}

// TestWhatIsFiledUnderWhatIsFiled belongs to the same image: the signature of an SBOM, say. So does what is filed under a platform of an index.
func TestWhatIsFiledUnderWhatIsFiled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		filed := func(of registry.Image, suffix string) registry.Image {
			return b.pushNew(suffix+of.Digest.String(), strings.Replace(of.Digest.String(), ":", "-", 1)+suffix)
		}
		child := b.push(repo, b.manifest(repo, `{"of":"prod"}`, "bytes for prod")).Image
		index := b.push(repo, b.index(child.Manifest), "multi").Image
		b.deployer("prod", "web").record(index, deployment.Succeeded)
		sbom := filed(index, ".sbom")
		for what, img := range map[string]registry.Image{
			"an SBOM": sbom, "its signature": filed(sbom, ".sig"), "the signature of a platform": filed(child, ".sig"),
			"a signature of something else": filed(registry.Image{Digest: oci.FromBytes([]byte("else"))}, ".sig"),
		} {
			err := b.deleting(registry.ImageID{Digest: img.Digest.String()})[0].Err
			if pinned := what != "a signature of something else"; errors.Is(err, fault.ImagePinned) != pinned {
				t.Errorf("deleting %s: %v, want that it is pinned: %v", what, err, pinned)
			}
		}
	})
}

// TestTheDeployTagEndsItsOwnPinsOnly: its record stays as long as something else pins it, and in one call with an image the order
// does not matter.
func TestTheDeployTagEndsItsOwnPinsOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		prod, staging := b.deployer("prod", "web"), b.deployer("staging", "web")
		record := prod.record(img, deployment.Succeeded)
		staging.record(img, deployment.Succeeded)
		got := b.deleting(registry.ImageID{Tag: prod.tag})
		if want := []registry.ImageID{{Tag: prod.tag, Digest: record.String()}}; got[0].Err != nil || !slices.Equal(got[0].Gone, want) {
			t.Errorf("the deploy tag of an image that runs elsewhere: %+v, want %v gone", got, want)
		}
		if img, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: record}); err != nil {
			t.Errorf("its record %v: %v", img.Digest, err)
		}
		wantWords(t, "the image", b.deleting(registry.ImageID{Tag: "img"})[0].Err, fault.ImagePinned, "is not deleted: it runs in staging as web since")
		for _, r := range b.deleting(registry.ImageID{Digest: img.Digest.String()}, registry.ImageID{Tag: staging.tag}) {
			if r.Err != nil {
				t.Errorf("%+v: %v", r.ID, r.Err)
			}
		}
		if b.there(img) || len(b.pinned(map[oci.Digest]string{img.Digest: "img"})) > 0 {
			t.Error("the image is there after image and deploy tag were deleted in one call")
		}
	})
}

// TestForceDeletesWhatIsPinned, and the chain of records does not break.
func TestForceDeletesWhatIsPinned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		v1, v2 := b.pushNew("v1", "v1"), b.pushNew("v2", "v2")
		web := b.deployer("prod", "web")
		web.record(v1, deployment.Succeeded)
		middle := web.record(v2, deployment.Failed)
		web.record(v2, deployment.Succeeded)
		web.record(v1, deployment.Started)
		force := func(id registry.ImageID) {
			t.Helper()
			results, err := b.DeletePinnedImages(t.Context(), root, repo, []registry.ImageID{id})
			if err != nil || results[0].Err != nil {
				t.Errorf("deleting %+v by force: %v, %+v", id, err, results)
			}
		}
		force(registry.ImageID{Digest: v2.Digest.String()})
		if b.there(v2) {
			t.Error("force did not delete")
		}
		names := map[oci.Digest]string{v1.Digest: "v1"}
		want := map[string]string{"v1": "it is being deployed to prod as web since 2026-11-24T10:00:00Z; it is the 2nd newest of web in prod"}
		if diff := cmp.Diff(want, b.pinned(names)); diff != "" {
			t.Errorf("pins after an image in the middle went (-want +got):\n%s", diff)
		}
		force(registry.ImageID{Digest: middle.String()})
		want["v1"] = "it is being deployed to prod as web since 2026-11-24T10:00:00Z"
		if diff := cmp.Diff(want, b.pinned(names)); diff != "" {
			t.Errorf("pins after a record in the middle went (-want +got):\n%s", diff)
		}
	})
}

// TestWhatFailedMayGo: the image of a failed deployment is nobody's, but its record is a link of the chain.
func TestWhatFailedMayGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		v1, v2 := b.pushNew("v1", "v1"), b.pushNew("v2", "v2")
		web := b.deployer("prod", "web")
		web.record(v1, deployment.Succeeded)
		failed := web.record(v2, deployment.Failed)
		web.record(v1, deployment.Started)
		archived, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Tag: "v2"}}, registry.Archive)
		if err != nil || archived[0].Err != nil {
			t.Fatal(err, archived)
		}
		if img, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: failed}); err != nil {
			t.Errorf("the record %s went into the archive with its image: %v", img.Digest, err)
		}
		if got := b.deleting(registry.ImageID{Digest: v2.Digest.String()}); got[0].Err != nil {
			t.Errorf("the image that failed: %v", got[0].Err)
		}
		want := map[string]string{"v1": "it is being deployed to prod as web since 2026-11-24T10:00:00Z; it runs in prod as web since 2026-11-24T10:00:00Z"}
		if diff := cmp.Diff(want, b.pinned(map[oci.Digest]string{v1.Digest: "v1", v2.Digest: "v2"})); diff != "" {
			t.Errorf("pins after the image that failed went (-want +got):\n%s", diff)
		}
	})
}

// TestNoPins: with a depth of 0 nothing is pinned, and records are checked all the same.
func TestNoPins(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		b.Registry = registry.New(registry.Config{Store: b.db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }})
		web := b.deployer("prod", "web")
		web.record(img, deployment.Succeeded)
		wantFault(t, "a second beginning", web.try(func() deployment.Record { r := web.next(img, deployment.Failed); r.Previous = ""; return r }(), web.tag), fault.DeploymentConflict)
		if pins, err := b.Pinned(t.Context(), root, repo); err != nil || len(pins) != 0 {
			t.Errorf("pins: %v, %v", pins, err)
		}
		if got := b.deleting(registry.ImageID{Digest: img.Digest.String()}); got[0].Err != nil {
			t.Errorf("deleting what is not pinned: %v", got[0].Err)
		}
	})
}

// TestPinsAreTheirRepositorys: the same image in another repository is another one.
func TestPinsAreTheirRepositorys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: other})
		img := b.pushNew("img", "img")
		b.deployer("prod", "web").record(img, deployment.Succeeded)
		twin := b.push(other, b.manifest(other, `{"name":"img"}`, "layer of img"), "img").Image
		if twin.Digest != img.Digest {
			t.Fatal("the two differ")
		}
		results, err := b.DeleteImages(t.Context(), root, other, []registry.ImageID{{Tag: "img"}})
		if err != nil || results[0].Err != nil {
			t.Errorf("the twin: %v, %+v", err, results)
		}
		if _, err := b.Pinned(t.Context(), identity.Caller{}, repo); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("pins for nobody: %v", err)
		}
	})
}
