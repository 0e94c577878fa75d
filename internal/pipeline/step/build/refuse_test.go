package build_test

import (
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

// fakes makes a directory of programs, in sh, which is all that PATH has.
func fakes(t *testing.T, programs map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil { //nolint:gosec // it is to be run
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// TestFind says what there is to build with, and what to do if there is nothing.
func TestFind(t *testing.T) {
	const dead = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1\n"
	const engine = "case $1 in version) echo linux/amd64;; *) exit 1;; esac\n"
	const podman = "case $1 in version) echo linux/amd64;; buildx) echo 'buildah 1.28';; *) exit 1;; esac\n"
	const buildx = "case $1-$2 in buildx-version) echo 'github.com/docker/buildx v0.29.1 x';; buildx-inspect) printf 'Name: b\\nDriver: docker-container\\n';; *) exit 1;; esac\n"
	for name, test := range map[string]struct {
		want     string
		programs map[string]string
		finds    string
		says     string
	}{
		"nothing":             {"", nil, "", "install docker, best with its buildx plugin, or buildah"},
		"docker":              {"", map[string]string{"docker": engine}, "docker", ""},
		"no engine":           {"", map[string]string{"docker": dead}, "", "its engine does not answer: docker: Cannot connect to the Docker daemon"},
		"no engine, buildah":  {"", map[string]string{"docker": dead, "buildah": "exit 0"}, "buildah", ""},
		"podman as docker":    {"", map[string]string{"docker": podman, "buildah": "exit 0"}, "docker", ""},
		"builder elsewhere":   {"", map[string]string{"docker": buildx}, "buildx", ""},
		"buildah is wanted":   {"buildah", map[string]string{"docker": engine, "buildah": "exit 0"}, "buildah", ""},
		"buildah is not here": {"buildah", map[string]string{"docker": engine}, "", "buildah is not installed"},
		"buildx is not here":  {"buildx", map[string]string{"docker": engine}, "", "docker has no buildx plugin"},
		"docker is wanted":    {"docker", map[string]string{"docker": buildx}, "", "its engine does not answer"},
		"kaniko":              {"kaniko", map[string]string{"docker": engine}, "", `no builder "kaniko"`},
	} {
		t.Run(name, func(t *testing.T) {
			fakes(t, test.programs)
			b, err := build.Find(t.Context(), build.Config{Want: test.want})
			switch {
			case err != nil && (test.says == "" || !strings.Contains(err.Error(), test.says)):
				t.Errorf("the error is %v, want %q", err, test.says)
			case err == nil && (test.says != "" || b.Name() != test.finds):
				t.Errorf("found %s, want %q %q", b.Name(), test.finds, test.says)
			}
		})
	}
}

// TestOutside refuses what is not in the workspace.
func TestOutside(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	root := tree(t, map[string]string{"app/Dockerfile": "FROM scratch\n", "file": ""})
	outside := tree(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	for link, to := range map[string]string{"link": outside, "app/Linked": filepath.Join(outside, "Dockerfile"), "inner": filepath.Join(root, "app")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	fakes(t, map[string]string{"docker": "case $1 in version) echo linux/amd64;; build) echo reached >&2; exit 9;; *) exit 1;; esac\n", "sh": "exec " + sh + ` "$@"`})
	b, err := build.Find(t.Context(), build.Config{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ context, dockerfile, says string }{
		{"..", "app/Dockerfile", "outside of the workspace"},
		{"/", "app/Dockerfile", "outside of the workspace"},
		{"app/../..", "app/Dockerfile", "outside of the workspace"},
		{"link", "app/Dockerfile", "leads outside of the workspace"},
		{"app", "app/Linked", "leads outside of the workspace"},
		{"app", "../Dockerfile", "outside of the workspace"},
		{"file", "app/Dockerfile", "no directory"},
		{"nowhere", "app/Dockerfile", "nowhere"},
		{"app", "app/Nofile", "Nofile"},
		{"inner", "inner/Dockerfile", "reached"},
	} {
		_, err := b.Build(t.Context(), build.Spec{Root: root, Context: test.context, Dockerfile: test.dockerfile, Epoch: epoch}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("context %s and Dockerfile %s: the error is %v, want %q", test.context, test.dockerfile, err, test.says)
		}
	}
}

// TestIgnored holds the builders to one reading of what is left out.
func TestIgnored(t *testing.T) {
	for name, ignore := range map[string]map[string]string{
		"none":              {},
		"the context's":     {"ctx/.dockerignore": "*.log\n!keep.log\nsub\n"},
		"the Dockerfile's":  {"ctx/.dockerignore": "kept.txt\n", "Dockerfile.dockerignore": "sub/*\n!sub/in\n.dockerignore\n"},
		"containers' is no": {"ctx/.containerignore": "**\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text := map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "ctx/a.log": "a", "ctx/keep.log": "k", "ctx/sub/in": "i", "ctx/sub/out": "o", "ctx/kept.txt": "t"}
			maps.Copy(text, ignore)
			want := map[string]string{}
			for _, name := range map[string][]string{
				"none":              {"a.log", "keep.log", "sub/in", "sub/out", "kept.txt"},
				"the context's":     {"keep.log", "kept.txt"},
				"the Dockerfile's":  {"a.log", "keep.log", "sub/in", "kept.txt"},
				"containers' is no": {"a.log", "keep.log", "sub/in", "sub/out", "kept.txt", ".containerignore"},
			}[name] {
				want[name] = text["ctx/"+name]
			}
			root := tree(t, text)
			onEach(t, func(t *testing.T, m *machine) {
				got := files(t, m.build(t, build.Spec{Root: root, Context: "ctx", Dockerfile: "Dockerfile"}).Image)
				delete(got, ".dockerignore") // plain docker adds a line
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("what is in the image (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestUnnamedBase refuses to build from another image than the one that was pushed.
func TestUnnamedBase(t *testing.T) {
	root := tree(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	fakes(t, map[string]string{"docker": "echo linux/amd64\n"})
	b, err := build.Find(t.Context(), build.Config{Want: "docker", Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Build(t.Context(), build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Bases: map[string]string{"base": "x@y"}, Epoch: epoch}, io.Discard)
	if want := "Dockerfile: names no image base, which was to be replaced by x@y"; failure(t, err).Error() != want {
		t.Errorf("the error is %v", err)
	}
}
