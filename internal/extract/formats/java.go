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
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// Bounds of a Java archive with all that is nested in it.
const (
	maxJavaDepth    = 5         // archives within archives
	maxJavaArchives = 10_000    // that are nested
	maxJavaUnpacked = 64 << 20  // nested archives in memory at one time; those that are only stored are read where they are
	maxJavaInflated = 512 << 20 // in all
	maxJavaDocument = 1 << 20   // a manifest, or the properties of a POM
	maxJavaErrors   = 10        // entries that cannot be read, before the archive is given up
)

// javaExtensions are of archives that hold compiled Java.
var javaExtensions = []string{".jar", ".war", ".ear", ".jmod", ".par", ".sar", ".jpi", ".hpi", ".lpkg", ".nar"}

func isJavaArchive(name string) bool {
	return slices.Contains(javaExtensions, strings.ToLower(path.Ext(name)))
}

func wantsJava(name string, _ fs.FileMode, _ int64) bool { return isJavaArchive(name) }

// readJava reads an archive and those in it. Maven leaves each artifact's coordinates in it, also where several are made one. Of an
// archive without, name and manifest tell.
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

// jar is what is read of one archive.
type jar struct {
	name     string
	depth    int
	poms     int // artifacts that Maven has left the coordinates of
	manifest map[string]string
}

func (j *javaReader) read(ctx context.Context, name string, content io.ReaderAt, size int64, depth int) error {
	all, err := openZip(content, size)
	if err != nil {
		return err
	}
	this := jar{name: name, depth: depth}
	var errs []error
	for _, entry := range all.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.entry(ctx, &this, entry); err != nil {
			errs = append(errs, fmt.Errorf("%.100q: %w", entry.Name, err))
			if len(errs) > maxJavaErrors {
				break
			}
		}
	}
	if this.poms == 0 {
		j.found.add(guessArtifact(path.Base(name), this.manifest))
	}
	return errors.Join(errs...)
}

func (j *javaReader) entry(ctx context.Context, of *jar, entry *zip.File) error {
	switch base := path.Base(entry.Name); {
	case base == "pom.properties":
		content, err := j.inflate(entry, maxJavaDocument)
		if err != nil {
			return err
		}
		p, err := readPOM(ctx, content)
		if err == nil && p.Name != "" {
			of.poms++
			j.found.add(p)
		}
		return err
	case strings.EqualFold(entry.Name, "META-INF/MANIFEST.MF"):
		content, err := j.inflate(entry, maxJavaDocument)
		if err != nil {
			return err
		}
		of.manifest, err = readManifest(ctx, content)
		return err
	case isJavaArchive(entry.Name):
		return j.nested(ctx, entry, of.depth+1)
	}
	return nil
}

// nested reads an archive in an archive.
func (j *javaReader) nested(ctx context.Context, entry *zip.File, depth int) error {
	if depth > maxJavaDepth {
		return fmt.Errorf("%w: archives %d deep", layer.ErrLimit, maxJavaDepth)
	}
	if j.archives++; j.archives > maxJavaArchives {
		return fmt.Errorf("%w: %d nested archives", layer.ErrLimit, maxJavaArchives)
	}
	if entry.Method == zip.Store {
		raw, err := entry.OpenRaw()
		if err != nil {
			return err
		}
		if at, ok := raw.(io.ReaderAt); ok {
			return j.read(ctx, entry.Name, at, int64(entry.CompressedSize64), depth) //nolint:gosec // a reader of a part checks it
		}
	}
	content, err := j.inflate(entry, maxJavaUnpacked-j.unpacked)
	if err != nil {
		return err
	}
	j.unpacked += int64(len(content))
	defer func() { j.unpacked -= int64(len(content)) }()
	return j.read(ctx, entry.Name, bytes.NewReader(content), int64(len(content)), depth)
}

// inflate unpacks an entry of at most most bytes, within the bound of all. What the entry says of its size is only believed when it is
// too large.
func (j *javaReader) inflate(entry *zip.File, most int64) ([]byte, error) {
	most = max(0, min(most, maxJavaInflated-j.inflated))
	tooMuch := fmt.Errorf("%w: %d bytes of nested archives at one time, %d in all, %d of a description",
		layer.ErrLimit, maxJavaUnpacked, maxJavaInflated, maxJavaDocument)
	if entry.UncompressedSize64 > uint64(most) {
		return nil, tooMuch
	}
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, most+1))
	j.inflated += int64(len(content))
	if err == nil && int64(len(content)) > most {
		err = tooMuch
	}
	return content, err
}
