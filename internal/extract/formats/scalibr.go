package formats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/depsjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemspec"
	"github.com/google/osv-scalibr/log"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// extract has one of osv-scalibr's extractors read content as if it were all that there is. Its packages are in order of name.
func extract(ctx context.Context, create func(*cpb.PluginConfig) (filesystem.Extractor, error), config *cpb.PluginConfig, name string, content []byte) ([]*extractor.Package, error) {
	quiet()
	reader, err := create(config)
	if err != nil {
		return nil, err
	}
	got, err := reader.Extract(ctx, &filesystem.ScanInput{
		FS: noFiles{}, Path: name, Info: fileInfo{path.Base(name), int64(len(content))}, Reader: bytes.NewReader(content),
	})
	slices.SortFunc(got.Packages, func(a, b *extractor.Package) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Version, b.Version)
	})
	return got.Packages, err
}

// wholeFile reads a file of at most most bytes.
func wholeFile(f layer.Input, most int64) ([]byte, error) {
	if f.Size > most {
		return nil, fmt.Errorf("%w: a file of its kind of more than %d bytes", layer.ErrLimit, most)
	}
	return io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size))
}

// wantsGem wants the specifications of installed gems, which RubyGems keeps beside the gems; what a gem has in itself says the same again.
func wantsGem(name string, _ fs.FileMode, _ int64) bool {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "default/")
	return strings.HasSuffix(base, ".gemspec") && strings.HasSuffix(dir, "/specifications/")
}

func readGem(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	content, err := wholeFile(f, 4<<20)
	if err != nil {
		return err
	}
	packages, err := extract(ctx, gemspec.New, &cpb.PluginConfig{}, f.Path, content)
	for _, p := range packages {
		found.add(inventory.Package{Type: inventory.Gem, Name: p.Name, Version: p.Version})
	}
	return err
}

// wantsDotnet wants what the .NET SDK writes beside a program: what it is to be run with.
func wantsDotnet(name string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(name, ".deps.json")
}

// readDotnet leaves out the program's own projects, which are not NuGet's. A runtime that comes with a program stands there as
// runtimepack.NAME, where NAME is the package's.
func readDotnet(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	content, err := wholeFile(f, 10<<20)
	if err != nil {
		return err
	}
	packages, err := extract(ctx, depsjson.New, &cpb.PluginConfig{}, f.Path, bytes.TrimPrefix(content, []byte("\ufeff")))
	for _, p := range packages {
		if m, ok := p.Metadata.(*depsjson.Metadata); ok && m.Type == "project" {
			continue
		}
		if !found.add(inventory.Package{Type: inventory.NuGet, Name: strings.TrimPrefix(p.Name, "runtimepack."), Version: p.Version}) {
			break
		}
	}
	return err
}

// quiet keeps osv-scalibr from writing to standard error what it thinks of a stranger's file.
var quiet = sync.OnceFunc(func() { log.SetLogger(silence{}) })

type silence struct{}

func (silence) Errorf(string, ...any) {}
func (silence) Error(...any)          {}
func (silence) Warnf(string, ...any)  {}
func (silence) Warn(...any)           {}
func (silence) Infof(string, ...any)  {}
func (silence) Info(...any)           {}
func (silence) Debugf(string, ...any) {}
func (silence) Debug(...any)          {}

// noFiles is a file system without any: an extractor that looks for a second file finds none.
type noFiles struct{}

func (noFiles) Open(string) (fs.File, error)          { return nil, fs.ErrNotExist }
func (noFiles) ReadDir(string) ([]fs.DirEntry, error) { return nil, fs.ErrNotExist }
func (noFiles) Stat(string) (fs.FileInfo, error)      { return nil, fs.ErrNotExist }

// fileInfo is of the file that is read.
type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string     { return i.name }
func (i fileInfo) Size() int64      { return i.size }
func (fileInfo) Mode() fs.FileMode  { return 0o644 }
func (fileInfo) ModTime() time.Time { return time.Time{} }
func (fileInfo) IsDir() bool        { return false }
func (fileInfo) Sys() any           { return nil }
