package build_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

var (
	epoch   = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	nothing = log.New(io.Discard, "", 0)
)

func loginOf(context.Context) (string, string, error) { return user, secret, nil }

// tree writes files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func (m *machine) build(t *testing.T, s build.Spec) *build.Built {
	t.Helper()
	var out tee
	s.Epoch = epoch
	built, err := m.builder(t).Build(t.Context(), s, &out)
	if err != nil {
		t.Fatalf("building: %v\n%s", err, &out)
	}
	t.Cleanup(func() {
		if err := built.Close(); err != nil {
			t.Error(err)
		}
	})
	if strings.Contains(out.String(), secret) {
		t.Error("the builder printed the secret")
	}
	return built
}

// files gives what is in an image: regular files with their text, others with what they are.
func files(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(image)
	defer r.Close()
	found := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.After(epoch) && !strings.HasPrefix(h.Name, "bin/") && h.Name != "tmp/" && h.Name != "bin" && h.Name != "tmp" {
			t.Errorf("%s is of %s, later than the commit", h.Name, h.ModTime)
		}
		if h.Typeflag == tar.TypeReg && h.Size < 1000 {
			text, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(h.Name, "/")] = string(text)
		}
	}
}

// sound checks what holds of each image.
func sound(t *testing.T, image v1.Image) *v1.ConfigFile {
	t.Helper()
	if err := validate.Image(image); err != nil {
		t.Errorf("the image is not what it says: %v", err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("media types %s, %s, want OCI's", manifest.MediaType, manifest.Config.MediaType)
	}
	for _, l := range manifest.Layers {
		if l.MediaType != types.OCILayer {
			t.Errorf("a layer is %s, want %s", l.MediaType, types.OCILayer)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !config.Created.Equal(epoch) {
		t.Errorf("created %s, want %s", config.Created, epoch)
	}
	for _, h := range config.History {
		if h.Created.After(epoch) {
			t.Errorf("%q is of %s, want no later than %s", h.CreatedBy, h.Created, epoch)
		}
	}
	if config.Container != "" || config.Config.Hostname != "" || config.Config.Image != "" {
		t.Errorf("the configuration says of where it was made: %+v", config)
	}
	return config
}

// TestBuild builds what is common: several stages, arguments, what is left out, labels, a private base.
func TestBuild(t *testing.T) {
	s := newShelf(t)
	root := tree(t, map[string]string{
		"apps/web/Dockerfile": "ARG BASE=base\nARG OTHER=unused\nFROM ${BASE}:1 AS made\nARG WHAT\nRUN echo \"made $WHAT\" > /made && mkdir -p /deep/er\n" +
			"FROM scratch AS first\nCOPY --from=made /made /from-made\nCOPY apps/web /app/\nFROM made\nCOPY --from=first /app /app\nENTRYPOINT [\"/bin/cat\"]\n",
		"apps/web/.dockerignore":  "never read: the context is the root\n",
		".dockerignore":           "**/*.secret\napps/other\n!apps/other/kept\n.dockerignore\n",
		"apps/web/main.txt":       "main",
		"apps/web/keys.secret":    "hidden",
		"apps/other/kept":         "x",
		"apps/web/sub/empty/file": "",
	})
	onEach(t, func(t *testing.T, m *machine) {
		spec := build.Spec{
			App: "web", Root: root, Context: ".", Dockerfile: "apps/web/Dockerfile", Args: map[string]string{"WHAT": "by an argument"},
			Bases: map[string]string{"base:1": s.base()}, Login: s.login,
			Labels: map[string]string{"org.opencontainers.image.revision": "abc"}, Annotations: map[string]string{"vnd.berth.image.app": "web"},
		}
		built := m.build(t, spec)
		if built.Index != nil || built.Builder != m.want {
			t.Fatalf("an index, or by %s: want an image by %s", built.Builder, m.want)
		}
		config := sound(t, built.Image)
		got := files(t, built.Image)
		maps.DeleteFunc(got, func(name, _ string) bool { return !strings.HasPrefix(name, "app/") && name != "made" })
		want := map[string]string{"made": "made by an argument\n", "app/main.txt": "main", "app/sub/empty/file": ""}
		for _, name := range []string{"Dockerfile", ".dockerignore"} {
			text, err := os.ReadFile(filepath.Join(root, "apps/web", name))
			if err != nil {
				t.Fatal(err)
			}
			want["app/"+name] = string(text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what is in the image (-want +got):\n%s", diff)
		}
		if config.Config.Labels["org.opencontainers.image.revision"] != "abc" || !slices.Equal(config.Config.Entrypoint, []string{"/bin/cat"}) {
			t.Errorf("the configuration is %+v", config.Config)
		}
		if manifest, err := built.Image.Manifest(); err != nil || manifest.Annotations["vnd.berth.image.app"] != "web" {
			t.Errorf("annotations are %v, %v", manifest.Annotations, err)
		}
		// The engine's BuildKit does not have its bases among the engine's images: layers later than the commit are written anew.
		if config.RootFS.DiffIDs[0] != s.layer && (m.want != "buildx" || m.platforms) {
			t.Errorf("the base's layer is %s, want %s, as it is in the registry", config.RootFS.DiffIDs[0], s.layer)
		}
	})
}

// TestTarget builds a stage by name, with no base at all.
func TestTarget(t *testing.T) {
	root := tree(t, map[string]string{"Dockerfile": "FROM scratch AS one\nCOPY a /\nFROM one AS two\nCOPY b /\n", "a": "a", "b": "b"})
	onEach(t, func(t *testing.T, m *machine) {
		spec := build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Target: "one"}
		built := m.build(t, spec)
		sound(t, built.Image)
		if diff := cmp.Diff(map[string]string{"a": "a"}, files(t, built.Image)); diff != "" {
			t.Errorf("what is in the image (-want +got):\n%s", diff)
		}
		spec.Target = "three"
		_, err := m.builder(t).Build(t.Context(), spec, io.Discard)
		if failed := failure(t, err); failed.Path != "Dockerfile" || !strings.Contains(failed.Text, `no stage "three"`) {
			t.Errorf("the error is %v", err)
		}
	})
}

// TestReproducible builds the same twice, the second time from another checkout, and nothing remembered.
func TestReproducible(t *testing.T) {
	s := newShelf(t)
	text := map[string]string{
		"Dockerfile": "FROM base\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /epoch\nRUN mkdir /d && echo x > /d/x && echo b > /bin/new\nCOPY . /app/\nWORKDIR /work/dir\nVOLUME /data\nEXPOSE 80\nUSER 1000\nCMD [\"sh\"]\n",
		"a":          "a", "d/b": "b",
	}
	onEach(t, func(t *testing.T, m *machine) {
		var digests []v1.Hash
		var configs []string
		for range 2 {
			built := m.build(t, build.Spec{Root: tree(t, text), Context: ".", Dockerfile: "Dockerfile", NoCache: true, Bases: map[string]string{"base": s.base()}, Login: s.login})
			sound(t, built.Image)
			if got := files(t, built.Image)["epoch"]; got != fmt.Sprintln(epoch.Unix()) {
				t.Errorf("SOURCE_DATE_EPOCH is %q", got)
			}
			raw, err := built.Image.RawConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			digests, configs = append(digests, built.Digest), append(configs, string(raw))
			<-time.After(1100 * time.Millisecond) // so that it is another second, which is what times in a tar can differ by
		}
		if digests[0] != digests[1] {
			t.Errorf("built twice, it is %s and %s; configurations differ by\n%s", digests[0], digests[1], cmp.Diff(configs[0], configs[1]))
		}
	})
}

// TestPlatforms builds for two, where the builder can, and elsewhere says who can.
func TestPlatforms(t *testing.T) {
	root := tree(t, map[string]string{"Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", "amd64": "amd", "arm64": "arm"})
	onEach(t, func(t *testing.T, m *machine) {
		spec := build.Spec{
			Root: root, Context: ".", Dockerfile: "Dockerfile", Platforms: []string{"linux/amd64", "linux/arm64"},
			Annotations: map[string]string{"k": "v"}, Labels: map[string]string{"l": "v"},
		}
		if !m.platforms {
			if _, err := m.builder(t).Build(t.Context(), spec, io.Discard); err == nil || !strings.Contains(err.Error(), "buildx") {
				t.Errorf("for two platforms, the error is %v, want one that names buildx", err)
			}
			return
		}
		built := m.build(t, spec)
		if built.Image != nil {
			t.Fatal("an image, want an index")
		}
		if err := validate.Index(built.Index); err != nil {
			t.Error(err)
		}
		list, err := built.Index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if list.MediaType != types.OCIImageIndex || list.Annotations["k"] != "v" || len(list.Manifests) != 2 {
			t.Errorf("the index is %+v", list)
		}
		for i, want := range []string{"amd", "arm"} {
			image, err := built.Index.Image(list.Manifests[i].Digest)
			if err != nil {
				t.Fatal(err)
			}
			config := sound(t, image)
			if got := files(t, image)["arch"]; got != want || config.Architecture != want+"64" || list.Manifests[i].Platform.Architecture != want+"64" || config.Config.Labels["l"] != "v" {
				t.Errorf("image %d has %q and is for %s, %v", i, got, config.Architecture, list.Manifests[i].Platform)
			}
		}
		if again := m.build(t, spec); again.Digest != built.Digest {
			t.Errorf("built twice, it is %s and %s", built.Digest, again.Digest)
		}
	})
}

// TestFailure fails in each of the ways that a Dockerfile has.
func TestFailure(t *testing.T) {
	s := newShelf(t)
	for name, test := range map[string]struct {
		text string
		line int
		says string
	}{
		"grammar": {"FROM scratch\n\nRUNN x\n", 3, "RUNN"},
		"run":     {"ARG X\nFROM base AS one\nRUN echo fine\n\nFROM one\nRUN echo again \\\n  && exit 7\n", 6, "7"},
		"copy":    {"FROM base\n# a comment\nCOPY nowhere /\n", 3, "nowhere"},
		"base":    {"FROM base\nFROM " + s.host + "/nothing:1\nCOPY --from=0 /bin/sh /\n", 2, "nothing"},
		"unread":  {"FROM base\nRUNN x\n", 2, "RUNN"},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"app/Dockerfile": test.text})
			onEach(t, func(t *testing.T, m *machine) {
				var out tee
				bases := map[string]string{"base": s.base()}
				if !strings.Contains(test.text, "base") {
					bases = nil
				}
				_, err := m.builder(t).Build(t.Context(), build.Spec{
					Root: root, Context: "app", Dockerfile: "app/Dockerfile", Bases: bases, Login: s.login, Epoch: epoch,
				}, &out)
				if failed := failure(t, err); failed.Line != test.line || failed.Path != "app/Dockerfile" || failed.Builder != m.want || !strings.Contains(failed.Text, test.says) {
					t.Errorf("the error is %#v, want line %d and %q; it printed\n%s", failed, test.line, test.says, &out)
				}
			})
		})
	}
}

// TestCache keeps a cache in the registry where the builder can, and elsewhere says that it does not.
func TestCache(t *testing.T) {
	s := newShelf(t)
	root := tree(t, map[string]string{"Dockerfile": "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /x\n"}) // another one each time that it is run
	onEach(t, func(t *testing.T, m *machine) {
		spec := build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Bases: map[string]string{"base": s.base()}, Login: s.login, Cache: s.host + "/" + path.Base(t.Name()) + ":web"}
		has := func(cache string) bool {
			ref, err := name.ParseReference(cache, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			_, err = remote.Get(ref, remote.WithAuth(&authn.Basic{Username: user, Password: secret}))
			return err == nil
		}
		if m.want != "buildx" || !m.platforms {
			if built := m.build(t, spec); len(built.Notes) != 1 || !strings.Contains(built.Notes[0], "cache ") || has(spec.Cache) {
				t.Errorf("notes are %q, want one of the cache", built.Notes)
			}
			return
		}
		spec.CacheReadOnly = true
		if m.build(t, spec); has(spec.Cache) {
			t.Error("a build that is to leave nothing left a cache")
		}
		spec.CacheReadOnly = false
		first := m.build(t, spec)
		if !has(spec.Cache) {
			t.Fatal("there is no cache")
		}
		fresh := &machine{temp: m.temp}
		buildxRemote(t, fresh)
		var out tee
		spec.Epoch = epoch
		built, err := fresh.builder(t).Build(t.Context(), spec, &out)
		if err != nil {
			t.Fatal(err)
		}
		defer built.Close()
		if built.Digest != first.Digest {
			t.Errorf("another builder, with the cache, built %s, want %s without running anything:\n%s", built.Digest, first.Digest, &out)
		}
	})
}
