package formats

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/archive"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// Bounds of a Java archive with all that is nested in it.
const (
	maxJavaDepth     = 5         // archives within archives
	maxJavaArchives  = 10_000    // that are nested
	maxJavaUnpacked  = 64 << 20  // nested archives in memory at one time; those that are only stored are read where they are
	maxJavaInflated  = 512 << 20 // in all
	maxJavaDocument  = 1 << 20   // a manifest, or the properties of a POM
	maxJavaDocuments = 16 << 20  // of one archive
)

func wantsJava(name string, _ fs.FileMode, _ int64) bool { return archive.IsArchive(name) }

// readJava reads an archive and those in it. osv-scalibr tells what an archive is, from its name, its manifest and the POMs' properties:
// it is given an archive of nothing else, since it would unpack nested ones without end.
func readJava(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	j := javaReader{found: found}
	return j.read(ctx, f.Path, f.Content, f.Size, 0)
}

type javaReader struct {
	found              *found
	archives           int
	unpacked, inflated int64
}

func (j *javaReader) read(ctx context.Context, name string, content io.ReaderAt, size int64, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	all, err := openZip(content, size)
	if err != nil {
		return err
	}
	var errs []error
	own := newJar()
	for _, entry := range all.File {
		switch base := strings.ToLower(path.Base(entry.Name)); {
		case base == "manifest.mf" || base == "pom.properties":
			err = own.take(entry)
		case archive.IsArchive(entry.Name):
			err = j.nested(ctx, name, entry, depth+1)
		default:
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", shortened(entry.Name), err))
			if ctx.Err() != nil || len(errs) > 10 {
				break
			}
		}
	}
	packages, err := own.packages(ctx, name)
	for _, p := range packages {
		if !j.found.add(p) {
			break
		}
	}
	return errors.Join(append(errs, err)...)
}

// nested reads an archive in an archive.
func (j *javaReader) nested(ctx context.Context, outer string, entry *zip.File, depth int) error {
	if depth > maxJavaDepth {
		return fmt.Errorf("%w: archives %d deep", layer.ErrLimit, maxJavaDepth)
	}
	if j.archives++; j.archives > maxJavaArchives {
		return fmt.Errorf("%w: %d nested archives", layer.ErrLimit, maxJavaArchives)
	}
	name := path.Join(outer, entry.Name)
	if entry.Method == zip.Store {
		raw, err := entry.OpenRaw()
		if err != nil {
			return err
		}
		if at, ok := raw.(io.ReaderAt); ok {
			return j.read(ctx, name, at, int64(min(entry.UncompressedSize64, entry.CompressedSize64)), depth) //nolint:gosec // a part of a file
		}
	}
	size := min(maxJavaUnpacked-j.unpacked, maxJavaInflated-j.inflated)
	if entry.UncompressedSize64 > uint64(max(0, size)) { //nolint:gosec // not below zero
		return fmt.Errorf("%w: %d bytes of nested archives at one time, %d in all", layer.ErrLimit, maxJavaUnpacked, maxJavaInflated)
	}
	content, err := inflate(entry, size)
	if err != nil {
		return err
	}
	j.inflated += int64(len(content))
	j.unpacked += int64(len(content))
	defer func() { j.unpacked -= int64(len(content)) }()
	return j.read(ctx, name, bytes.NewReader(content), int64(len(content)), depth)
}

// inflate unpacks an entry of at most most bytes.
func inflate(entry *zip.File, most int64) ([]byte, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%w: more than %d bytes", layer.ErrLimit, most)
	}
	return content, err
}

// jar is an archive in memory.
type jar struct {
	bytes.Buffer

	zip  *zip.Writer
	size int64
}

func newJar() *jar {
	j := &jar{}
	j.zip = zip.NewWriter(&j.Buffer)
	return j
}

// take copies an entry.
func (j *jar) take(entry *zip.File) error {
	content, err := inflate(entry, maxJavaDocument)
	if err != nil {
		return err
	}
	if j.size += int64(len(content) + len(entry.Name)); j.size > maxJavaDocuments {
		return fmt.Errorf("%w: %d bytes of manifests and properties", layer.ErrLimit, maxJavaDocuments)
	}
	w, err := j.zip.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// packages asks osv-scalibr what the archive is.
func (j *jar) packages(ctx context.Context, name string) ([]inventory.Package, error) {
	if err := j.zip.Close(); err != nil {
		return nil, err
	}
	no := false
	config := &cpb.PluginConfig{PluginSpecific: []*cpb.PluginSpecificConfig{{
		Config: &cpb.PluginSpecificConfig_JavaArchive{JavaArchive: &cpb.JavaArchiveConfig{MaxZipDepth: 1, MinZipBytes: 1, HashJars: &no}},
	}}}
	got, err := extract(ctx, archive.New, config, name, j.Bytes())
	var packages []inventory.Package
	for _, p := range got {
		packages = append(packages, inventory.Package{Type: inventory.Maven, Name: p.Name, Version: p.Version})
	}
	return packages, err
}

// shortened is a name of an entry that goes into an error.
func shortened(name string) string { return fmt.Sprintf("%.100q", path.Base(name)) }
