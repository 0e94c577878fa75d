package e2e_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// guidePolicy is the guide's own: keep the last 10 images with v tags, and delete untagged images older than a day.
const guidePolicy = `{"rules": [
  {"rulePriority": 1, "description": "Keep last 10 images with v prefix tags",
   "selection": {"tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 10},
   "action": {"type": "expire"}},
  {"rulePriority": 2, "description": "Delete untagged images older than 1 day",
   "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
   "action": {"type": "expire"}}
]}`

// carefulRepo has a trash, and guideRepo has none.
const carefulRepo = "hoopstat-haus/careful"

// TestGuidesCleanup has the guide's policy clean up: exactly what should go goes, the store shrinks by what the preview
// promised, and what went by mistake comes back. The server is killed in between, more than once.
//
// Images are aged in the database, since a day is too long; all other times are real.
func TestGuidesCleanup(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	for _, tool := range []string{"aws", "cosign"} {
		berthproc.Tool(t, tool)
	}
	d := newDocker(t)
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories(guideRepo, carefulRepo)
		g := &cleanup{t: t, s: s, c: newClient(t, s), sh: newShell(t, s)}
		g.sh.env = append(append(g.sh.env, d.env...), "DOCKER_BUILDKIT=0", "COSIGN_PASSWORD=")
		g.policy = filepath.Join(g.sh.dir, "policy.json")
		writeFile(t, g.policy, guidePolicy)
		f := g.fill()
		k := g.fillCareful()
		s.Stop()
		g.age(f.aged)
		// Times are short from here on, and the sweep is slow enough to be killed in the middle.
		s.RestartWith("--trash-window", "0s", "--gc-grace", "1s", "--gc-rate", "20")
		g.berth("images", "trash-window", carefulRepo, "1h")

		g.cleanUp(f)
		g.mistakes(k)
		g.berth("fsck")
	})
}

type cleanup struct {
	t      *testing.T
	s      *berthproc.Server
	c      *client
	sh     *shell
	policy string // a file
}

func (g *cleanup) berth(args ...string) string {
	g.t.Helper()
	return g.sh.run(berthproc.Binary(g.t), args...)
}

// age makes untagged images two days old.
func (g *cleanup) age(ds []oci.Digest) {
	g.t.Helper()
	for _, d := range ds {
		if n := g.s.Exec("UPDATE images SET pushed_at = pushed_at - $1, activated_at = activated_at - $1 WHERE digest = $2", (48 * time.Hour).Microseconds(), string(d)); n != 1 {
			g.t.Fatalf("aging image %s changed %d rows, want 1", d, n)
		}
	}
}

// previewed is what `berth lifecycle preview --output json` prints.
type previewed struct {
	Images []struct {
		ImageDigest  oci.Digest
		Action       string
		RulePriority int
	}
	Summary struct {
		Images, ExpiringImages, LeftImages int
		FreedBytes, LeftBytes              int64
		Exact                              bool
	}
}

// cleanUp puts the policy on the repository without a trash.
func (g *cleanup) cleanUp(f *fleet) {
	g.t.Helper()
	before := g.contents(guideRepo)
	wanted := before.without(f.goes)
	promise := g.preview(before, f)
	stored := g.s.Stored()
	// Manifests are in the database. The rest of what is freed is in the blob store.
	var manifests int64
	for _, d := range f.goes {
		manifests += before[d].size
	}
	want := stored - (promise.Summary.FreedBytes - manifests)

	g.sh.run("aws", "ecr", "put-lifecycle-policy", "--repository-name", guideRepo, "--lifecycle-policy-text", "file://"+g.policy)
	g.until("the policy takes what it should", func() error { return same(wanted.tags(), g.contentsTags(guideRepo)) })
	g.s.Kill()
	g.t.Logf("the server was killed after the deletion with %d of %d bytes to go", g.s.Stored()-want, stored-want)
	g.s.Restart()
	g.until("the sweep begins", func() error {
		if now := g.s.Stored(); now == stored {
			return fmt.Errorf("%d bytes are stored, as before", now)
		}
		return nil
	})
	g.s.Kill()
	g.t.Logf("the sweep was killed with %d of %d bytes to go", g.s.Stored()-want, stored-want)
	g.s.Restart()
	g.until("the store shrinks by what was promised", func() error {
		if now := g.s.Stored(); now != want {
			return fmt.Errorf("%d bytes are stored, want %d: %d of the %d promised have gone", now, want, stored-now, stored-want)
		}
		return nil
	})
	g.berth("gc")
	if now := g.s.Stored(); now != want {
		g.t.Errorf("after berth gc %d bytes are stored, want %d", now, want)
	}
	if err := same(wanted.tags(), g.contentsTags(guideRepo)); err != nil {
		g.t.Error(err)
	}
	g.whole(guideRepo, wanted)
	f.verify(g)
	for _, d := range f.goes {
		g.gone(guideRepo, string(d))
	}
}

// preview asks what the policy would do, and compares it with what it should do.
func (g *cleanup) preview(before contents, f *fleet) previewed {
	g.t.Helper()
	var p previewed
	if out := g.berth("lifecycle", "preview", guideRepo, "--policy", g.policy, "--output", "json"); json.Unmarshal([]byte(out), &p) != nil {
		g.t.Fatalf("berth lifecycle preview printed %q, want JSON", out)
	}
	var goes []oci.Digest
	for _, img := range p.Images {
		goes = append(goes, img.ImageDigest)
		if img.Action != "expire" {
			g.t.Errorf("the preview says %q of %s, want expire", img.Action, img.ImageDigest)
		}
	}
	if err := same(slices.Sorted(slices.Values(f.goes)), slices.Sorted(slices.Values(goes))); err != nil {
		g.t.Errorf("the preview's images: %v", err)
	}
	freed := before.bytes() - before.without(f.goes).bytes()
	if got := p.Summary; got.Images != len(before) || got.ExpiringImages != len(f.goes) || got.LeftImages != f.left || !got.Exact || got.FreedBytes != freed {
		g.t.Errorf("the preview sums up %+v, want %d of %d images, %d left, exactly %d bytes", got, len(f.goes), len(before), f.left, freed)
	}
	if g.t.Failed() {
		g.t.FailNow()
	}
	return p
}

// until waits until there is no error.
func (g *cleanup) until(what string, check func() error) {
	g.t.Helper()
	began := time.Now()
	for err := check(); err != nil; err = check() {
		if time.Since(began) > 2*time.Minute {
			g.t.Fatalf("waiting until %s: %v", what, err)
		}
		select {
		case <-g.t.Context().Done():
			g.t.Fatalf("waiting until %s: the test ended", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	g.t.Logf("%s: after %v", what, time.Since(began).Round(100*time.Millisecond))
}

func same(want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	return nil
}

// careful is what is in the repository with a trash.
type careful struct {
	expired oci.Digest // v1, which the policy takes
	deleted oci.Digest // v11, which somebody deletes
	earlier oci.Digest // what {app}-latest pointed to, untagged since
	latest  oci.Digest
}

// fillCareful pushes with docker some of what is to come back for docker.
func (g *cleanup) fillCareful() (k careful) {
	g.t.Helper()
	image := g.s.Host + "/" + carefulRepo
	push := func(tag string) oci.Digest {
		g.sh.buildImage(image+":"+tag, tag+" of "+image)
		g.sh.run("docker", "push", image+":"+tag)
		return g.resolve(carefulRepo, tag)
	}
	k.expired = push("v1")
	for n := 2; n <= 11; n++ {
		g.c.pushImage(g.t, carefulRepo, fmt.Sprintf("v%d", n), uint64(100+n))
	}
	k.deleted = g.resolve(carefulRepo, "v11")
	k.earlier = push(latestTag)
	k.latest = oci.FromBytes(g.c.pushImage(g.t, carefulRepo, latestTag, 200)) // a bad build
	g.sh.run("docker", "rmi", "--force", image+":v1", image+":"+latestTag)
	return k
}

// mistakes loses images by the policy and by hand, and brings them back.
func (g *cleanup) mistakes(k careful) {
	g.t.Helper()
	image := g.s.Host + "/" + carefulRepo
	before := g.contents(carefulRepo)
	stored := g.s.Stored()
	g.sh.run("aws", "ecr", "put-lifecycle-policy", "--repository-name", carefulRepo, "--lifecycle-policy-text", "file://"+g.policy)
	g.until("the policy takes v1", func() error {
		return same(before.without([]oci.Digest{k.expired}).tags(), g.contentsTags(carefulRepo))
	})
	// Whoever brings images back changes the policy first, or another one goes in its place.
	g.sh.run("aws", "ecr", "delete-lifecycle-policy", "--repository-name", carefulRepo)
	g.sh.run("aws", "ecr", "batch-delete-image", "--repository-name", carefulRepo,
		"--image-ids", "imageTag=v11", "imageDigest="+string(k.earlier))
	g.s.Kill()
	g.s.Restart()
	lost := []oci.Digest{k.expired, k.deleted, k.earlier}
	if err := same(before.without(lost).tags(), g.contentsTags(carefulRepo)); err != nil {
		g.t.Error(err)
	}
	for _, ref := range []string{"v1", "v11", string(k.expired), string(k.deleted), string(k.earlier)} {
		g.gone(carefulRepo, ref)
	}
	contains(g.t, "docker pull of an expired image", g.sh.refused("", "docker", "pull", image+":v1"), "not found")
	said := g.sh.refused("", "aws", "ecr", "describe-images", "--repository-name", carefulRepo, "--image-ids", "imageTag=v11")
	contains(g.t, "describe-images of a deleted image", said, "ImageNotFoundException")
	contains(g.t, "berth images trash", g.berth("images", "trash", carefulRepo), "v1 ", "v11 ", "berth:lifecycle", ":root", "Rule 1")
	g.berth("gc")
	if now := g.s.Stored(); now != stored {
		g.t.Errorf("%d bytes are stored with images in the trash, want %d as before", now, stored)
	}

	g.berth("images", "restore", carefulRepo+":v1")
	g.berth("images", "restore", carefulRepo+"@"+string(k.deleted)[:19])
	if got := g.resolve(carefulRepo, latestTag); got != k.latest {
		g.t.Errorf("%s is at %s, want %s", latestTag, got, k.latest)
	}
	g.berth("images", "restore", carefulRepo+":"+latestTag)
	after := before.without(nil)
	after[k.earlier], after[k.latest] = after[k.earlier].tagged(latestTag), after[k.latest].tagged()
	if err := same(after.tags(), g.contentsTags(carefulRepo)); err != nil {
		g.t.Errorf("after the restorations: %v", err)
	}
	g.whole(carefulRepo, after)
	for ref, digest := range map[string]oci.Digest{":v1": k.expired, ":" + latestTag: k.earlier} {
		contains(g.t, "docker pull "+ref, g.sh.run("docker", "pull", image+ref), string(digest))
	}
}
