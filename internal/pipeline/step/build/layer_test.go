package build_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

// read reads an image's layers as a push does.
func read(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// TestRemembered compresses no layer of a base a second time, and finds out when what it remembers is wrong.
func TestRemembered(t *testing.T) {
	s := newShelf(t)
	root := tree(t, map[string]string{"Dockerfile": "FROM base\nCOPY Dockerfile /\n"})
	onEach(t, func(t *testing.T, m *machine) {
		if m.want == "buildx" && m.platforms {
			t.Skip("BuildKit compresses by itself")
		}
		config := m.config(t)
		b, err := build.Find(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		again := func() *build.Built {
			t.Helper()
			built, err := b.Build(t.Context(), build.Spec{Root: root, Context: ".", Dockerfile: "Dockerfile", Bases: map[string]string{"base": s.base()}, Login: s.login, Epoch: epoch}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { built.Close() })
			return built
		}
		first := again()
		if m.want == "buildx" { // its bases are not among the engine's images, so all that is later is written anew
			return
		}
		entries, err := filepath.Glob(filepath.Join(config.Cache, "layers", "*", "sha256-"+s.layer.Hex))
		if err != nil || len(entries) != 1 {
			t.Fatalf("the cache has %v of the base's layer %s, %v", entries, s.layer, err)
		}
		text, err := os.ReadFile(entries[0])
		if err != nil {
			t.Fatal(err)
		}
		wrong := []byte(strings.Repeat("0123456789abcdef", 4))
		if err := os.WriteFile(entries[0], append(append([]byte(`{"size":5,"digest":"sha256:`), wrong...), `"}`...), 0o600); err != nil {
			t.Fatal(err)
		}
		second := again()
		if second.Digest == first.Digest {
			t.Error("what is remembered was not used")
		}
		if err := read(second.Image); err == nil || !strings.Contains(err.Error(), "run it again") {
			t.Errorf("pushing what is remembered wrongly: the error is %v", err)
		}
		third := again()
		if third.Digest != first.Digest {
			t.Errorf("after that it is %s, want %s as before", third.Digest, first.Digest)
		}
		if err := read(third.Image); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(entries[0]); err != nil || string(got) != string(text) {
			t.Errorf("remembered now: %s, %v; want %s", got, err, text)
		}
		if err := os.WriteFile(entries[0], []byte("{broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		if fourth := again(); fourth.Digest != first.Digest {
			t.Errorf("with a broken file it is %s, want %s", fourth.Digest, first.Digest)
		}
	})
}
