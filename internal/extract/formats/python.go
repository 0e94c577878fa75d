package formats

import (
	"context"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// maxHeader is how much of a Python package's metadata is looked at: its name and version are at the beginning.
const maxHeader = 1 << 20

// wantsPython wants the metadata of installed Python packages: of wheels (https://packaging.python.org/specifications/core-metadata),
// of the older kind, and eggs, which are installed as an archive. Wheels that lie around are not installed.
func wantsPython(name string, _ fs.FileMode, _ int64) bool {
	return isPythonMetadata(name) || strings.HasSuffix(name, ".egg")
}

func isPythonMetadata(name string) bool {
	dir, base := path.Split(name)
	switch base {
	case "METADATA":
		return strings.HasSuffix(dir, ".dist-info/")
	case "PKG-INFO":
		return strings.HasSuffix(dir, ".egg-info/") || path.Base(dir) == "EGG-INFO"
	}
	return strings.HasSuffix(base, ".egg-info")
}

func readPython(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	if !strings.HasSuffix(f.Path, ".egg") {
		return readPythonMetadata(ctx, io.NewSectionReader(f.Content, 0, f.Size), found)
	}
	archive, err := openZip(f.Content, f.Size)
	if err != nil {
		return err
	}
	for _, entry := range archive.File {
		if !isPythonMetadata(entry.Name) {
			continue
		}
		content, err := entry.Open()
		if err != nil {
			return err
		}
		err = readPythonMetadata(ctx, content, found)
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// readPythonMetadata reads the header; the first of two fields of one name counts, as it does for Python's own reader.
func readPythonMetadata(ctx context.Context, r io.Reader, found *found) error {
	p := inventory.Package{Type: inventory.PyPI}
	err := eachLine(ctx, io.LimitReader(r, maxHeader), func(line []byte) bool {
		name, value := field(line)
		switch {
		case len(strings.TrimSpace(string(line))) == 0:
			return false
		case name == "name" && p.Name == "":
			p.Name, p.Source = value, advisory.Name("PyPI", value)
		case name == "version" && p.Version == "":
			p.Version = value
		}
		return p.Name == "" || p.Version == ""
	})
	found.add(p)
	return err
}
