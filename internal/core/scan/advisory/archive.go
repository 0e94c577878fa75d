package advisory

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Manifest is the first file of an archive, manifest.json.
type Manifest struct {
	CreatedAt time.Time               `json:"createdAt"`
	Partial   bool                    `json:"partial,omitempty"` // single advisories, to be added to what there is
	Files     map[string]ManifestFile `json:"files"`             // by path
}

// ManifestFile is what a file of an archive must be.
type ManifestFile struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

const (
	manifestName    = "manifest.json"
	maxManifest     = 4 << 20
	maxArchiveFiles = 10_000
	maxWindow       = 128 << 20
)

// ErrArchive is the error of an archive that is none, is damaged, or is beyond the bounds.
var ErrArchive = errors.New("not an archive of advisories")

// Archive is a tar, plain or compressed with gzip or zstd, of the layout that Dir has; instead of all.zip an ecosystem may have
// all.jsonl, an advisory a line. With a manifest before all else each file must be what that says.
type Archive struct {
	Open func(ctx context.Context) (io.ReadCloser, error)
	Name string
	Temp string // where a zip is put that the archive has; empty: where the system has such things
}

// String implements Origin.
func (a Archive) String() string { return a.Name }

// Read implements Origin. The archive is read once, as a stream.
func (a Archive) Read(ctx context.Context, _ map[string]Source, each func(Feed) error) (err error) {
	body, err := a.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	plainText, closeText, err := decompress(bufio.NewReader(body))
	if err != nil {
		return err
	}
	defer closeText()
	files := &archiveFiles{archive: a, tar: tar.NewReader(io.LimitReader(plainText, maxTotal)), each: each, taken: map[string]bool{}}
	return files.read(ctx)
}

// decompress finds by its first bytes how a stream is compressed.
func decompress(r *bufio.Reader) (io.Reader, func(), error) {
	magic, err := r.Peek(4)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	switch {
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return z, z.Close, nil
	case magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return z, func() {}, nil
	}
	return r, func() {}, nil
}

// archiveFiles is an archive that is being read.
type archiveFiles struct {
	archive  Archive
	tar      *tar.Reader
	each     func(Feed) error
	manifest *Manifest
	taken    map[string]bool // sources
}

func (f *archiveFiles) read(ctx context.Context) error {
	var failed []error
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		h, err := f.tar.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.Join(append(failed, f.complete())...)
		case err != nil:
			return errors.Join(append(failed, fmt.Errorf("%w: %w", ErrArchive, err))...)
		case n >= maxArchiveFiles:
			return errors.Join(append(failed, fmt.Errorf("%w: more than %d files", ErrArchive, maxArchiveFiles))...)
		case h.Typeflag != tar.TypeReg:
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if name == manifestName && n == 0 {
			if err := f.readManifest(); err != nil {
				return err
			}
			continue
		}
		if err := f.file(name, h.Size); err != nil {
			failed = append(failed, err)
		}
	}
}

// complete tells whether all was there: a tar that was cut off between two files looks as if it had ended.
func (f *archiveFiles) complete() error {
	if len(f.taken) == 0 {
		return fmt.Errorf("%w: there are none in it", ErrArchive)
	}
	if f.manifest == nil {
		return nil
	}
	for name := range f.manifest.Files {
		if known, ok := fileOf(name); ok && !f.taken[known.source] {
			return fmt.Errorf("%w: it ends before %.200q, which its manifest has", ErrArchive, name)
		}
	}
	return nil
}

// readManifest reads the manifest. A file of that name that is another (the sample of a mirror has one) says nothing.
func (f *archiveFiles) readManifest() error {
	text, err := io.ReadAll(io.LimitReader(f.tar, maxManifest+1))
	if err != nil || len(text) > maxManifest {
		return fmt.Errorf("%w: its manifest cannot be read: %w", ErrArchive, cmpErr(err))
	}
	var m Manifest
	if json.Unmarshal(text, &m) == nil && len(m.Files) > 0 {
		f.manifest = &m
	}
	return nil
}

func cmpErr(err error) error {
	if err == nil {
		return fmt.Errorf("it has more than %d bytes", maxManifest)
	}
	return err
}

// file imports one file.
func (f *archiveFiles) file(name string, size int64) error {
	known, ok := fileOf(name)
	if !ok {
		return nil
	}
	if f.taken[known.source] {
		return fmt.Errorf("%w: %s is there twice", ErrArchive, known.source)
	}
	f.taken[known.source] = true
	feed := Feed{Source: known.source}
	sum := &summed{r: f.tar, h: sha256.New(), name: name, size: size}
	if f.manifest != nil {
		want, ok := f.manifest.Files[name]
		if !ok {
			return fmt.Errorf("%w: %.200q is not in its manifest", ErrArchive, name)
		}
		sum.want = &want
		feed.AsOf, feed.Partial = f.manifest.CreatedAt, f.manifest.Partial
	}
	if known.kind != zipFeed {
		feed.Entries = sum.after(known.entries(sum))
		return f.each(feed)
	}
	return f.zip(feed, sum)
}

// zip puts a zip where it can be read in any order.
func (f *archiveFiles) zip(feed Feed, sum *summed) (err error) {
	file, err := NewSpool(f.archive.Temp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	n, err := io.Copy(file, sum)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	feed.Entries = sum.after(ZipEntries(file, n))
	return f.each(feed)
}

// summed is a file of the archive that is compared with what the manifest says of it.
type summed struct {
	r    io.Reader
	h    hash.Hash
	name string
	size int64
	want *ManifestFile // nil: nothing is said
}

// Read implements io.Reader.
func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.h.Write(p[:n])
	return n, err
}

// after gives entries, and after the last of them an error if the file is another than it should be: an import that ends with an
// error has changed nothing.
func (s *summed) after(entries iter.Seq2[Advisory, error]) iter.Seq2[Advisory, error] {
	return func(yield func(Advisory, error) bool) {
		for a, err := range entries {
			if !yield(a, err) {
				return
			}
		}
		if _, err := io.Copy(io.Discard, s); err != nil {
			yield(Advisory{}, fmt.Errorf("%w: %w", ErrArchive, err))
			return
		}
		if s.want != nil && (s.want.Size != s.size || !strings.EqualFold(s.want.SHA256, hex.EncodeToString(s.h.Sum(nil)))) {
			yield(Advisory{}, fmt.Errorf("%w: %.200q is not what its manifest says", ErrArchive, s.name))
		}
	}
}
