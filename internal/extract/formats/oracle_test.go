package formats_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	scalibrfs "github.com/google/osv-scalibr/fs"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/extract/formats"
)

// scalibr is osv-scalibr's directory in the module cache: its fixtures are ours too.
var scalibr = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/osv-scalibr").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "extractor", "filesystem"), err
})

// fixture reads one of osv-scalibr's files, by its path below extractor/filesystem.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := scalibr()
	if err != nil {
		t.Fatalf("where osv-scalibr is: %v", err)
	}
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// named finds a format.
func named(t testing.TB, name string) layer.Format {
	t.Helper()
	for _, f := range formats.All() {
		if f.Name() == name {
			return f
		}
	}
	t.Fatalf("no format is named %s", name)
	return nil
}

// read has a format read a file, which it must want.
func read(t testing.TB, format, path string, content []byte) (layer.Result, error) {
	t.Helper()
	f := named(t, format)
	mode := fs.FileMode(0o755)
	if !f.Wants(path, mode, int64(len(content))) {
		t.Fatalf("%s does not want %s (%d bytes)", format, path, len(content))
	}
	return f.Read(t.Context(), layer.Input{Path: path, Mode: mode, Size: int64(len(content)), Content: bytes.NewReader(content)})
}

// oracle asks one of osv-scalibr's extractors for the same file: its "name version", sorted.
func oracle(t testing.TB, create func(*cpb.PluginConfig) (filesystem.Extractor, error), path string, content []byte) []string {
	t.Helper()
	extractor, err := create(&cpb.PluginConfig{})
	if err != nil {
		t.Fatal(err)
	}
	// A file system of its own, since some look for other files, and RPM's must have one that is on disk.
	root := t.TempDir()
	file := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := extractor.Extract(t.Context(), &filesystem.ScanInput{
		FS: scalibrfs.DirFS(root), Root: root, Path: path, Info: info{int64(len(content))}, Reader: bytes.NewReader(content),
	})
	if err != nil {
		t.Logf("osv-scalibr: %v", err)
	}
	var all []string
	for _, p := range got.Packages {
		all = append(all, p.Name+" "+p.Version)
	}
	slices.Sort(all)
	return all
}

// namesOf is what oracle gives, of ours.
func namesOf(packages []inventory.Package) []string {
	var all []string
	for _, p := range packages {
		all = append(all, p.Name+" "+p.Version)
	}
	slices.Sort(all)
	return all
}

func modeOf(bits uint32) fs.FileMode { return fs.FileMode(bits) }

// isLimit tells whether err says that a limit was hit, and which.
func isLimit(err error, which string) bool {
	return errors.Is(err, layer.ErrLimit) && strings.Contains(err.Error(), which)
}

// info is of a file of some bytes.
type info struct{ size int64 }

func (i info) Name() string       { return "file" }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return 0o755 }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }
