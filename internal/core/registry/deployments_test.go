package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// deployer writes the records of one application in one environment, each after the last.
type deployer struct {
	b                     *bench
	repo                  string
	environment, app, tag string
	last                  deployment.Record
	deployments           int
}

func (b *bench) deployer(environment, app string) *deployer {
	b.t.Helper()
	b.layer(repo, deployment.Empty)
	return &deployer{b: b, repo: repo, environment: environment, app: app, tag: deployment.Tag(environment, app)}
}

// next is the record that is to follow.
func (d *deployer) next(img registry.Image, outcome deployment.Outcome) deployment.Record {
	r := deployment.Record{
		App: d.app, Environment: d.environment, Image: oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
		Action: deployment.Deploy, Outcome: outcome, Actor: "ada", At: d.b.now, Previous: d.last.Previous,
	}
	if r.Outcome == deployment.Failed || r.Outcome == deployment.Broken {
		r.Reason = "it does not answer"
	}
	r.Previous = ""
	if d.last.ID != "" {
		r.Previous = oci.FromBytes(d.bytes(d.last))
	}
	r.ID = d.last.ID
	if !r.Ends(d.last) {
		r.ID = fmt.Sprintf("deployment-%d", d.deployments+1)
	}
	return r
}

func (d *deployer) bytes(r deployment.Record) []byte {
	d.b.t.Helper()
	raw, err := r.Manifest()
	if err != nil {
		d.b.t.Fatal(err)
	}
	return raw
}

// put pushes a record that must go in, and makes it the last.
func (d *deployer) put(r deployment.Record) oci.Digest {
	d.b.t.Helper()
	if r.ID != d.last.ID {
		d.deployments++
	}
	d.last = r
	return d.b.push(d.repo, d.bytes(r), d.tag).Image.Digest
}

// record is next and put.
func (d *deployer) record(img registry.Image, outcome deployment.Outcome) oci.Digest {
	d.b.t.Helper()
	return d.put(d.next(img, outcome))
}

// try pushes a record that need not go in.
func (d *deployer) try(r deployment.Record, tags ...string) error {
	_, err := d.b.PutImage(d.b.t.Context(), root, registry.Push{Repository: d.repo, Manifest: d.bytes(r), Tags: tags})
	return err
}

func wantWords(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code || !strings.Contains(f.Message, words) {
		t.Errorf("%s: %v\nwant the fault %q with: %s", what, err, code, words)
	}
}

func TestRecordsFollowEachOther(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		v1, v2 := b.pushNew("v1", "v1"), b.pushNew("v2", "v2")
		web := b.deployer("us-east", "web")
		orphan := web.next(v1, deployment.Started)
		orphan.Previous = v1.Digest
		wantWords(t, "the first of a chain that is not there", web.try(orphan, web.tag), fault.DeploymentConflict,
			"the repository has no record of a deployment of web to us-east by that digest")
		web.record(v1, deployment.Started)
		wantWords(t, "a second start of one deployment", web.try(func() deployment.Record {
			r := web.next(v2, deployment.Started)
			r.ID = web.last.ID
			return r
		}(), web.tag), fault.DeploymentConflict, "The deployment 'deployment-1' of web to us-east is recorded already as started")
		wantWords(t, "the outcome of another image", web.try(func() deployment.Record {
			r := web.next(v2, deployment.Succeeded)
			r.ID = web.last.ID
			return r
		}(), web.tag), fault.DeploymentConflict, "is recorded already")
		start := web.last
		first := web.record(v1, deployment.Succeeded)
		if got := b.tagTarget("deploy-us--east-web"); got != first {
			t.Errorf("the tag points to %s, want %s", got, first)
		}
		wantWords(t, "a second outcome", web.try(func() deployment.Record {
			r := web.next(v1, deployment.Failed)
			r.ID, r.Previous = start.ID, first
			return r
		}(), web.tag), fault.DeploymentConflict, "is recorded already as succeeded")
		wantWords(t, "a record that comes late", web.try(func() deployment.Record {
			r := web.next(v2, deployment.Started)
			r.Previous = oci.FromBytes(web.bytes(start))
			return r
		}(), web.tag), fault.DeploymentConflict, "Somebody else deploys web to us-east: the tag 'deploy-us--east-web' points to "+first.String()+" by now")
		wantWords(t, "another beginning", web.try(func() deployment.Record {
			r := web.next(v2, deployment.Started)
			r.Previous = ""
			return r
		}(), web.tag), fault.DeploymentConflict, "web was deployed to us-east before")
		wantWords(t, "an older record again", web.try(start, web.tag), fault.DeploymentConflict, "was deployed to us-east before")
		if err := web.try(web.last, web.tag); err != nil {
			t.Errorf("the newest record again: %v", err)
		}
		for _, tags := range [][]string{{"v9"}, {web.tag, "v9"}, {"deploy-us-east-web"}} {
			wantWords(t, fmt.Sprint("under ", tags), web.try(web.next(v2, deployment.Started), tags...), fault.TagInvalid,
				"what runs in us-east as web is under 'deploy-us--east-web'")
		}
		if err := web.try(web.next(v2, deployment.Started)); err != nil {
			t.Errorf("a record without a tag: %v", err)
		}
		if got := b.tagTarget(web.tag); got != first {
			t.Errorf("the tag points to %s after what was refused, want %s", got, first)
		}
		web.record(v2, deployment.Started)   // whose deployer dies
		web.record(v1, deployment.Started)   // another one goes on
		web.record(v1, deployment.Failed)    // and fails
		web.record(v2, deployment.Succeeded) // without a start
	})
}

func TestRecordsAreOfImagesThatAreThere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		lost := img
		lost.Digest = oci.FromBytes([]byte("lost"))
		wantWords(t, "an image that is not there", web.try(web.next(lost, deployment.Started), web.tag), fault.ReferencedImagesNotFound, lost.Digest.String())
		wrong := img
		wrong.ManifestSize++
		wantWords(t, "an image of another size", web.try(web.next(wrong, deployment.Started)), fault.ManifestInvalid, "it says that its subject has")
		raw := strings.Replace(string(web.bytes(web.next(img, deployment.Started))), `"started"`, `"starting"`, 1)
		for _, tags := range [][]string{nil, {web.tag}} {
			_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: []byte(raw), Tags: tags})
			wantWords(t, "an invalid record", err, fault.ManifestInvalid, `its outcome is "starting"`)
		}
		if _, err := b.PutReplica(t.Context(), root, registry.Push{Repository: repo, Manifest: []byte(raw), Tags: []string{"replica"}}); err != nil {
			t.Errorf("a replica of an invalid record: %v", err)
		}

		if _, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Tag: "img"}}, registry.Archive); err != nil {
			t.Fatal(err)
		}
		wantWords(t, "an archived image", web.try(web.next(img, deployment.Started), web.tag), fault.ImageArchived, "archived")
		if _, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Digest: img.Digest.String()}}, registry.Standard); err != nil {
			t.Fatal(err)
		}
		d := web.record(img, deployment.Started)
		record, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: d})
		if err != nil {
			t.Fatal(err)
		}
		wantWords(t, "a record of a record", web.try(web.next(record, deployment.Started), web.tag), fault.ManifestInvalid, "is one itself")
		if _, err := b.DeletePinnedImages(t.Context(), root, repo, []registry.ImageID{{Digest: img.Digest.String()}}); err != nil {
			t.Fatal(err)
		}
		wantWords(t, "another deployment of an image that is gone", web.try(func() deployment.Record {
			r := web.next(img, deployment.Started)
			r.ID = "another-one"
			return r
		}(), web.tag), fault.ReferencedImagesNotFound, img.Digest.String())
		web.record(img, deployment.Failed) // which can be said all the same
	})
}

func TestDeployTagsAreForRecords(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		b.pushNew("before", web.tag)
		wantWords(t, "a record where something else is", web.try(web.next(img, deployment.Started), web.tag), fault.DeploymentConflict,
			"does not record a deployment of web to prod: remove the tag first")
		b.pushNew("instead", web.tag) // moves as any tag does
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: web.tag}); err != nil {
			t.Fatal(err)
		}
		first := web.record(img, deployment.Succeeded)
		for _, tags := range [][]string{{web.tag}, {"v7", web.tag}} {
			_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifest(repo, `{"x":1}`, "x"), Tags: tags})
			wantWords(t, "something else where a record is", err, fault.DeploymentConflict, "it moves only to a deployment record whose previous one is "+first.String())
		}
		if _, err := b.StatImage(t.Context(), root, repo, oci.Reference{Tag: "v7"}); !errors.Is(err, fault.ImageNotFound) {
			t.Errorf("a push that was refused left a tag: %v", err)
		}

		// Without its tag the chain may go on, and may begin anew.
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: web.tag}); err != nil {
			t.Fatal(err)
		}
		if err := web.try(web.last, web.tag); err != nil {
			t.Errorf("the tag of a record that is there: %v", err)
		}
		web.record(img, deployment.Started)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: web.tag}); err != nil {
			t.Fatal(err)
		}
		api := b.deployer("prod", "api")
		api.last = web.last
		wantWords(t, "a chain of another application", api.try(api.next(img, deployment.Started), api.tag), fault.DeploymentConflict, "no record of a deployment of api to prod")
		web.record(img, deployment.Succeeded)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: web.tag}); err != nil {
			t.Fatal(err)
		}
		b.deployer("prod", "web").record(img, deployment.Started)
	})
}

// TestDeployTagsOfImmutableRepositories: immutable is immutable, as in ECR, until deploy tags are excluded.
func TestDeployTagsOfImmutableRepositories(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.Immutable, nil); err != nil {
			t.Fatal(err)
		}
		web.record(img, deployment.Started)
		const words = "cannot be overwritten because the repository is immutable. To deploy from it, exclude 'deploy-*' from its immutability."
		wantWords(t, "the second record", web.try(web.next(img, deployment.Succeeded), web.tag), fault.TagImmutable, words)
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.ImmutableWithExclusion, []string{"deploy-*"}); err != nil {
			t.Fatal(err)
		}
		web.record(img, deployment.Succeeded)
	})
}

// TestReplicasOfRecordsComeInAnyOrder: the other registry has checked them.
func TestReplicasOfRecordsComeInAnyOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		var records [][]byte
		for _, o := range []deployment.Outcome{deployment.Started, deployment.Succeeded, deployment.Started} {
			web.last = web.next(img, o)
			web.deployments++
			records = append(records, web.bytes(web.last))
		}
		for _, i := range []int{1, 0, 2} {
			if _, err := b.PutReplica(t.Context(), root, registry.Push{Repository: repo, Manifest: records[i], Tags: []string{web.tag}}); err != nil {
				t.Errorf("replica of record %d: %v", i, err)
			}
		}
		pins, err := b.Pinned(t.Context(), root, repo)
		if err != nil || len(pins[img.Digest]) != 2 || len(pins) != 4 {
			t.Errorf("the replicas pin %v (%v)", pins, err)
		}
		p := registry.Push{Repository: repo, Manifest: records[0], Tags: []string{web.tag}, Source: event.Push}
		_, err = b.PutImage(t.Context(), root, p)
		wantFault(t, "the first record pushed", err, fault.DeploymentConflict)
	})
}

// TestRecordsAreSmall: so many are read at once that megabytes of other annotations in each would be too much.
func TestRecordsAreSmall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		record := web.next(img, deployment.Succeeded)
		record.Outcome, record.Reason, record.Actor = deployment.Failed, strings.Repeat("<", 1024), strings.Repeat("&", 1024)
		web.put(record) // the largest without other annotations
		more := func(n int) []byte {
			return []byte(strings.Replace(string(web.bytes(web.next(img, deployment.Succeeded))), `"annotations":{`, `"annotations":{"x":"`+strings.Repeat("x", n)+`",`, 1))
		}
		for _, tags := range [][]string{nil, {web.tag}} {
			_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: more(1 << 20), Tags: tags})
			wantWords(t, "a record of a megabyte", err, fault.ManifestInvalid, "more than 16384")
		}
		for size, pins := range map[int]bool{1 << 20: false, 1 << 10: true} {
			if _, err := b.PutReplica(t.Context(), root, registry.Push{Repository: repo, Manifest: more(size), Tags: []string{web.tag}}); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Pinned(t.Context(), root, repo); err != nil || len(got[img.Digest]) > 0 != pins {
				t.Errorf("a replica with another annotation of %d bytes pins: %v (%v)", size, got, err)
			}
		}
	})
}

// TestTwoDeployersCannotBothWin: of many who deploy at once, one does.
func TestTwoDeployersCannotBothWin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "img")
		web := b.deployer("prod", "web")
		for range 3 {
			const deployers = 12
			start := make(chan struct{})
			errs := make([]error, deployers)
			records := make([]deployment.Record, deployers)
			var all sync.WaitGroup
			for i := range deployers {
				records[i] = web.next(img, deployment.Started)
				records[i].ID += fmt.Sprintf("-%d", i)
				all.Go(func() {
					<-start
					errs[i] = web.try(records[i], web.tag)
				})
			}
			close(start)
			all.Wait()
			winners := 0
			for i, err := range errs {
				if err == nil {
					winners++
					web.last = records[i]
					continue
				}
				wantFault(t, "a deployer who lost", err, fault.DeploymentConflict)
			}
			if winners != 1 {
				t.Fatalf("%d deployers won", winners)
			}
			if got, want := b.tagTarget(web.tag), oci.FromBytes(web.bytes(web.last)); got != want {
				t.Errorf("the tag points to %s, want the winner's record %s", got, want)
			}
			web.deployments++
		}
	})
}
