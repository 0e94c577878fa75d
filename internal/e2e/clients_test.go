package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// fixtures are images made here, as the files that clients start from.
type fixtures struct {
	image  v1.Image
	digest string
	tar    string // docker-archive of image
	layout string // OCI layout of image
	index  string // OCI layout that is an index of three platforms
	named  string // OCI layout with that index in it, named latest
	file   string // a plain file, for artifacts
}

func newFixtures(t *testing.T) fixtures {
	t.Helper()
	dir := t.TempDir()
	f := fixtures{
		tar: filepath.Join(dir, "image.tar"), layout: filepath.Join(dir, "layout"),
		index: filepath.Join(dir, "index"), named: filepath.Join(dir, "named"), file: filepath.Join(dir, "notes.txt"),
	}
	f.image = randomImage(t)
	d, err := f.image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f.digest = d.String()
	ref, err := name.NewTag("fixture.example/image:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(f.tar, ref, f.image); err != nil {
		t.Fatal(err)
	}
	single := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: f.image})
	if _, err := layout.Write(f.layout, single); err != nil {
		t.Fatal(err)
	}
	var platforms v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64", "riscv64"} {
		platforms = mutate.AppendManifests(platforms, mutate.IndexAddendum{
			Add:        platformImage(t, arch),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	if _, err := layout.Write(f.index, platforms); err != nil {
		t.Fatal(err)
	}
	named := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        platforms,
		Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "latest"}},
	})
	if _, err := layout.Write(f.named, named); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.file, noise(7, 70_000), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(200_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// platformImage is a random image that says what it runs on.
func platformImage(t *testing.T, arch string) v1.Image {
	t.Helper()
	img := randomImage(t)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// withClient runs a test of one client program on every pair of storage, with two empty repositories
// <tool>/one and <tool>/two.
func withClient(t *testing.T, tool string, test func(t *testing.T, sh *shell, host string, f fixtures)) {
	t.Helper()
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, tool)
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories(tool+"/one", tool+"/two")
		test(t, newShell(t, s), s.Host+"/"+tool, newFixtures(t))
	})
}

func TestCrane(t *testing.T) {
	withClient(t, "crane", func(t *testing.T, sh *shell, host string, f fixtures) {
		one, two := host+"/one", host+"/two"
		pushed := sh.run("crane", "push", f.tar, one+":v1")
		digest := sh.run("crane", "digest", one+":v1")
		if pushed != one+"@"+digest {
			t.Errorf("crane push printed %s, crane digest %s", pushed, digest)
		}
		sh.run("crane", "validate", "--remote", one+":v1")
		back := filepath.Join(sh.dir, "back.tar")
		sh.run("crane", "pull", one+"@"+digest, back)
		sh.run("crane", "validate", "--tarball", back)

		sh.run("crane", "copy", one+":v1", two+":v1")
		sh.run("crane", "validate", "--remote", two+":v1")
		sh.run("crane", "tag", one+":v1", "v2")
		if got := sh.run("crane", "ls", one); got != "v1\nv2" {
			t.Errorf("crane ls printed %q, want v1 and v2", got)
		}
		sh.run("crane", "index", "append", "--manifest", one+":v1", "--manifest", two+":v1", "--tag", one+":index")
		sh.run("crane", "push", f.index, one+":platforms", "--index")
		sh.run("crane", "validate", "--remote", one+":platforms")
		sh.run("crane", "copy", one+":platforms", two+":platforms")
		arm := sh.run("crane", "digest", "--platform", "linux/arm64", two+":platforms")
		sh.run("crane", "validate", "--remote", two+"@"+arm)
		sh.run("crane", "mutate", one+":v1", "--label", "a=b", "--tag", one+":labelled")
		if catalog := sh.run("crane", "catalog", strings.Split(host, "/")[0]); catalog != "crane/one\ncrane/two" {
			t.Errorf("crane catalog printed %q, want the two repositories", catalog)
		}
		sh.run("crane", "delete", one+":v2")
		said := sh.refused("", "crane", "manifest", one+":v2")
		contains(t, "crane manifest of a deleted tag", said, "MANIFEST_UNKNOWN", "Requested image not found")
	})
}

func TestOras(t *testing.T) {
	withClient(t, "oras", func(t *testing.T, sh *shell, host string, f fixtures) {
		one, two := host+"/one", host+"/two"
		plain := func(args ...string) []string { return append(args, "--plain-http") }
		if err := os.WriteFile(filepath.Join(sh.dir, "sbom.json"), []byte(`{"spdxVersion":"SPDX-2.3"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(f.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sh.dir, "notes.txt"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		sh.run("oras", plain("push", one+":v1", "--artifact-type", "application/vnd.example.notes", "notes.txt:text/plain")...)
		sh.run("oras", plain("attach", one+":v1", "--artifact-type", "application/spdx+json", "sbom.json:application/spdx+json")...)
		sh.run("oras", plain("attach", one+":v1", "--artifact-type", "application/vnd.example.signature", "sbom.json")...)
		if got := orasReferrers(t, sh, one+":v1"); !slices.Equal(got, []string{"application/spdx+json", "application/vnd.example.signature"}) {
			t.Errorf("oras discover found %q, want the two attached", got)
		}
		if got := orasReferrers(t, sh, one+":v1", "--artifact-type", "application/spdx+json"); !slices.Equal(got, []string{"application/spdx+json"}) {
			t.Errorf("oras discover --artifact-type found %q, want the one", got)
		}
		sh.run("oras", "cp", "-r", "--from-plain-http", "--to-plain-http", one+":v1", two+":copied")
		if got := orasReferrers(t, sh, two+":copied"); len(got) != 2 {
			t.Errorf("after oras cp -r the copy has referrers %q, want two", got)
		}
		out := filepath.Join(sh.dir, "out")
		sh.run("oras", plain("pull", two+":copied", "--output", out)...)
		back, err := os.ReadFile(filepath.Join(out, "notes.txt"))
		if err != nil || string(back) != string(content) {
			t.Errorf("oras pull gave %d bytes (%v), want the %d that were pushed", len(back), err, len(content))
		}
		if got := sh.run("oras", plain("repo", "tags", two)...); got != "copied" {
			t.Errorf("oras repo tags printed %q, want copied", got)
		}
		sh.run("oras", plain("manifest", "delete", "--force", two+":copied")...)
		sh.refused("", "oras", plain("manifest", "fetch", two+":copied")...)
	})
}

// orasReferrers lists the artifact types of what is attached, in order.
func orasReferrers(t *testing.T, sh *shell, ref string, flags ...string) []string {
	t.Helper()
	args := append([]string{"discover", "--plain-http", "--format", "json", "--depth", "1"}, flags...)
	out := sh.run("oras", append(args, ref)...)
	var found struct {
		Referrers []struct {
			ArtifactType string `json:"artifactType"`
		} `json:"referrers"`
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("oras discover printed %q: %v", out, err)
	}
	var types []string
	for _, r := range found.Referrers {
		types = append(types, r.ArtifactType)
	}
	slices.Sort(types)
	return types
}

func TestSkopeo(t *testing.T) {
	withClient(t, "skopeo", func(t *testing.T, sh *shell, host string, f fixtures) {
		one, two := "docker://"+host+"/one", "docker://"+host+"/two"
		to := func(args ...string) []string {
			return append([]string{"copy", "--insecure-policy", "--dest-tls-verify=false"}, args...)
		}
		from := func(args ...string) []string {
			return append([]string{"copy", "--insecure-policy", "--src-tls-verify=false"}, args...)
		}
		sh.run("skopeo", to("docker-archive:"+f.tar, one+":archive")...)
		sh.run("skopeo", to("oci:"+f.layout, one+":layout")...)
		sh.run("skopeo", to("--all", "oci:"+f.named+":latest", one+":platforms")...)
		sh.run("skopeo", append(to("--all", "--src-tls-verify=false"), one+":platforms", two+":platforms")...)
		sh.run("skopeo", append(to("--format", "v2s2", "--src-tls-verify=false"), one+":layout", two+":schema2")...)
		sh.run("skopeo", from(one+":archive", "docker-archive:"+filepath.Join(sh.dir, "back.tar"))...)
		sh.run("skopeo", from("--all", two+":platforms", "oci:"+filepath.Join(sh.dir, "back"))...)
		sh.run("skopeo", from(two+":schema2", "oci:"+filepath.Join(sh.dir, "back2"))...)
		if back, err := layout.ImageIndexFromPath(filepath.Join(sh.dir, "back")); err != nil {
			t.Errorf("reading what skopeo copied back: %v", err)
		} else if m, err := back.IndexManifest(); err != nil || len(m.Manifests) != 1 {
			t.Errorf("skopeo copied back %+v, %v; want one index", m, err)
		}
		if got := sh.run("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", one+":layout"); got != f.digest {
			t.Errorf("skopeo inspect says the image is %s, want %s", got, f.digest)
		}
		var list struct{ Tags []string }
		out := sh.run("skopeo", "list-tags", "--tls-verify=false", one)
		if err := json.Unmarshal([]byte(out), &list); err != nil || !slices.Equal(list.Tags, []string{"archive", "layout", "platforms"}) {
			t.Errorf("skopeo list-tags printed %q (%v), want archive, layout, platforms", out, err)
		}
		sh.run("skopeo", "delete", "--tls-verify=false", two+":schema2")
		sh.refused("", "skopeo", "inspect", "--tls-verify=false", two+":schema2")
	})
}

func TestRegctl(t *testing.T) {
	withClient(t, "regctl", func(t *testing.T, sh *shell, host string, f fixtures) {
		registry, _, _ := strings.Cut(host, "/")
		one, two := host+"/one", host+"/two"
		sh.run("regctl", "registry", "set", registry, "--tls", "disabled")
		digest := sh.run("regctl", "image", "digest", "ocidir://"+f.named+":latest")
		sh.run("regctl", "image", "copy", "ocidir://"+f.named+":latest", one+":v1")
		sh.run("regctl", "image", "copy", one+":v1", two+":v1")
		if got := sh.run("regctl", "image", "digest", two+":v1"); got != digest {
			t.Errorf("regctl image digest says %q after two copies of %q", got, digest)
		}
		if got := sh.run("regctl", "tag", "ls", two); got != "v1" {
			t.Errorf("regctl tag ls printed %q, want v1", got)
		}
		for i := range 2 {
			sh.feed(fmt.Sprintf("note %d", i), "regctl", "artifact", "put", "--subject", two+":v1",
				"--artifact-type", fmt.Sprintf("application/vnd.example.note.%d", i))
		}
		list := sh.run("regctl", "artifact", "list", two+":v1", "--format", "{{range .Descriptors}}{{println .ArtifactType}}{{end}}")
		contains(t, "regctl artifact list", list, "application/vnd.example.note.0", "application/vnd.example.note.1")
		filtered := sh.run("regctl", "artifact", "list", two+":v1", "--filter-artifact-type", "application/vnd.example.note.1",
			"--format", "{{range .Descriptors}}{{println .ArtifactType}}{{end}}")
		if strings.TrimSpace(filtered) != "application/vnd.example.note.1" {
			t.Errorf("regctl artifact list --filter-artifact-type printed %q, want one", filtered)
		}
		sh.run("regctl", "image", "copy", "--referrers", two+":v1", one+":with-notes")
		if got := sh.run("regctl", "artifact", "get", "--subject", one+":with-notes", "--filter-artifact-type", "application/vnd.example.note.0"); got != "note 0" {
			t.Errorf("regctl artifact get printed %q, want: note 0", got)
		}
		sh.run("regctl", "tag", "delete", two+":v1")
		sh.refused("", "regctl", "manifest", "head", two+":v1")
	})
}
