package build

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is a layer that is compressed when somebody reads it, or was, into a file.
type layer struct {
	diffID, digest v1.Hash
	size           int64
	open           func() (io.ReadCloser, error) // as a tar
	file           string                        // compressed, "" if it is not
	wrong          func()                        // forgets a digest that turned out not to be the layer's
}

// Digest is that of the compressed layer.
func (l *layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the digest of the tar.
func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is that of the compressed layer.
func (l *layer) Size() (int64, error) { return l.size, nil }

// MediaType is OCI's.
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Uncompressed gives the tar.
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.open() }

// Compressed gives the bytes of Digest. If what is read turns out to be others, because what was remembered of the layer is
// wrong, the reader fails before its end; the next build works it out anew.
func (l *layer) Compressed() (io.ReadCloser, error) {
	if l.file != "" {
		return os.Open(l.file) //nolint:wrapcheck // names the file
	}
	from, err := l.open()
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() {
		defer from.Close()
		sum, size, err := compress(w, from)
		if err == nil && (sum != l.digest || size != l.size) {
			l.wrong()
			err = fmt.Errorf("layer %s was remembered as %s compressed, and is %s: this is forgotten, so run it again", l.diffID, l.digest, sum)
		}
		w.CloseWithError(err)
	}()
	return r, nil
}

// compress writes a layer compressed, the same bytes each time.
func compress(w io.Writer, from io.Reader) (v1.Hash, int64, error) {
	counted := &counter{w: w, sum: sha256.New()}
	z := gzip.NewWriter(counted)
	if _, err := io.Copy(z, from); err != nil {
		return v1.Hash{}, 0, err //nolint:wrapcheck // either side says what it is
	}
	if err := z.Close(); err != nil {
		return v1.Hash{}, 0, err //nolint:wrapcheck // the writer says what it is
	}
	return counted.hash(), counted.n, nil
}

// counter passes bytes on, with their number and digest.
type counter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

// Write passes bytes on.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.sum.Write(b[:n])
	return n, err //nolint:wrapcheck // passed on
}

func (c *counter) hash() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", c.sum.Sum(nil))}
}

// until reads as long as nobody ends the build.
type until struct {
	ctx  context.Context //nolint:containedctx // it lives as long as one call
	from io.Reader
}

// Read reads.
func (u until) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.from.Read(b) //nolint:wrapcheck // passed on
}

// remembered is what the cache has of a layer: what its tar is when compressed.
type remembered struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"`
}

// cacheFile is where that is. Another version of Go may compress otherwise.
func (c Config) cacheFile(diffID v1.Hash) string {
	if c.Cache == "" {
		return ""
	}
	return filepath.Join(c.Cache, "layers", "gzip-"+strings.ReplaceAll(runtime.Version(), " ", "_"), diffID.Algorithm+"-"+diffID.Hex)
}

// lazy gives a layer that is compressed only when it is read, if the cache knows what will come of that. Else it is compressed once to
// find out.
func (c Config) lazy(ctx context.Context, diffID v1.Hash, open func() (io.ReadCloser, error)) (*layer, error) {
	l := &layer{diffID: diffID, open: open, wrong: func() {}}
	file := c.cacheFile(diffID)
	if file != "" {
		l.wrong = func() { _ = os.Remove(file) } // it will not be right the next time either, and say so
		var r remembered
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &r) == nil && r.Digest.Algorithm == "sha256" && r.Size > 0 {
			l.digest, l.size = r.Digest, r.Size
			return l, nil
		}
	}
	from, err := open()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if l.digest, l.size, err = compress(io.Discard, until{ctx, from}); err != nil {
		return nil, fmt.Errorf("layer %s: %w", diffID, err)
	}
	if file != "" {
		remember(file, remembered{l.digest, l.size})
	}
	return l, nil
}

// remember writes a cache's file, in one piece or not at all. That it cannot costs time only.
func remember(file string, r remembered) {
	text, err := json.Marshal(r)
	if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
		return
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return
	}
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
}

// later tells whether a layer has a file that is later than a time.
func later(ctx context.Context, open func() (io.ReadCloser, error), epoch time.Time) (bool, error) {
	from, err := open()
	if err != nil {
		return false, err
	}
	defer from.Close()
	for t := tar.NewReader(until{ctx, from}); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err //nolint:wrapcheck // the caller names the layer
		}
		if h.ModTime.After(epoch) || h.AccessTime.After(epoch) || h.ChangeTime.After(epoch) {
			return true, nil
		}
	}
}

// clamp writes a layer to a file, compressed, with no time in it that is later than epoch.
func clamp(ctx context.Context, open func() (io.ReadCloser, error), file string, epoch time.Time) (_ *layer, err error) {
	from, err := open()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	packed := &counter{w: to, sum: sha256.New()}
	z := gzip.NewWriter(packed)
	plain := &counter{w: z, sum: sha256.New()}
	if err := copyEarlier(plain, until{ctx, from}, epoch); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	l := &layer{diffID: plain.hash(), digest: packed.hash(), size: packed.n, file: file}
	l.open = func() (io.ReadCloser, error) { return unpacked(file) }
	return l, nil
}

// copyEarlier copies a tar.
func copyEarlier(w io.Writer, from io.Reader, epoch time.Time) error {
	t, out := tar.NewReader(from), tar.NewWriter(w)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out.Close() //nolint:wrapcheck // the caller names the layer
		}
		if err != nil {
			return err //nolint:wrapcheck // the caller names the layer
		}
		for _, at := range []*time.Time{&h.ModTime, &h.AccessTime, &h.ChangeTime} {
			if at.After(epoch) {
				*at = epoch
			}
		}
		for key := range h.PAXRecords { // a file with holes comes without them
			if strings.HasPrefix(key, "GNU.sparse.") {
				delete(h.PAXRecords, key)
			}
		}
		if h.Typeflag == tar.TypeGNUSparse {
			h.Typeflag = tar.TypeReg
		}
		h.Format = tar.FormatPAX
		if err := out.WriteHeader(h); err != nil {
			return err //nolint:wrapcheck // names the file
		}
		if _, err := io.Copy(out, t); err != nil {
			return err //nolint:wrapcheck // the caller names the layer
		}
	}
}

// unpacked opens a compressed file for what it was before.
func unpacked(file string) (io.ReadCloser, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}
