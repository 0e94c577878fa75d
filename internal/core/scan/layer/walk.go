package layer

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Config is how a layer is walked.
type Config struct {
	Limits  Limits   // zero fields are Defaults'
	Formats []Format // at most 64
	TempDir string   // for files larger than Limits.InMemory, one at a time; empty: the system's
}

// Walk reads a layer as it is stored: tar, or compressed with gzip or zstd, as its first bytes say. What is wrong with the layer is its
// Problem, and what was found before stays in it. Its DiffID is empty if it could not be unpacked to the end.
//
// An error is not the layer's fault: the reader failed, there is no room for a temporary file, ctx has ended for another cause than
// a [Limit].
func Walk(ctx context.Context, c Config, mediaType string, r io.Reader) (inventory.Layer, error) {
	w := &walker{Config: c, facts: newFacts()}
	w.Limits = c.Limits.orDefaults()
	src := &source{ctx: ctx, r: r}
	packed, release, err := unpack(src, mediaType, w.Limits.Window)
	defer release()
	out := &unpacked{r: packed, src: src, hash: sha256.New(), limits: w.Limits}
	if err == nil {
		in := bufio.NewReaderSize(out, buffered)
		if err := w.entries(ctx, tar.NewReader(in)); err != nil && out.err == nil { // an end of the stream is told below
			w.problem("tar", "reading the archive: "+why(err))
		}
		// What follows the last entry belongs to the digest, as docker has it.
		_, err = io.Copy(io.Discard, in)
	}
	if failed := cmp.Or(w.failed, w.aside.close()); failed != nil {
		return inventory.Layer{}, failed
	}
	var limit Limit
	switch {
	case src.err != nil && errors.As(src.err, &limit):
		w.problem("ended", string(limit))
	case src.err != nil:
		return inventory.Layer{}, fmt.Errorf("reading the layer: %w", src.err)
	case err != nil:
		w.problem("ended", why(err))
	}
	l := w.layer()
	if err == nil {
		l.DiffID = oci.FromSum(oci.SHA256, out.hash.Sum(nil))
	}
	return l, nil
}

// walker is a walk under way.
type walker struct {
	Config
	facts
	entry  uint32 // which it is at, from 1
	spent  int64  // bytes of files that were read
	buffer []byte // for files that are read in memory
	hung   bool   // a Format has not come back, and has the buffer
	aside  aside
	failed error // what is not the layer's fault
}

// entries goes through the tar until something ends it. An error says what is wrong with it.
func (w *walker) entries(ctx context.Context, t *tar.Reader) error {
	for ctx.Err() == nil && w.failed == nil && !w.hung {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, tar.ErrFieldTooLong):
			return Limit("the headers of an entry are longer than 1 MiB")
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err //nolint:wrapcheck // by Walk
		}
		w.entry++
		if int64(w.entry) > int64(w.Limits.Entries) {
			w.problem("entries", fmt.Sprintf("it has more than %d entries", w.Limits.Entries))
			return nil
		}
		w.one(ctx, h, t)
	}
	return nil
}

// one takes in an entry.
func (w *walker) one(ctx context.Context, h *tar.Header, content io.Reader) {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return
	}
	if len(h.Name) > w.Limits.PathBytes || strings.Count(h.Name, "/") >= w.Limits.PathParts {
		w.problem("path", fmt.Sprintf("the path %s has more than %d bytes or %d components", quoted(h.Name), w.Limits.PathBytes, w.Limits.PathParts))
		return
	}
	name := clean(h.Name)
	if name == "" {
		return // the root itself
	}
	if w.whiteout(name) {
		return
	}
	w.forget(name) // the last entry of a path is the one that counts
	switch h.Typeflag {
	case tar.TypeDir:
		w.mark(name, directory)
	case tar.TypeSymlink:
		w.symlink(name, h.Linkname)
	case tar.TypeLink:
		w.hardLink(ctx, name, clean(h.Linkname), h)
	case tar.TypeReg, tar.TypeGNUSparse:
		w.file(ctx, name, h, content)
	default: // devices, pipes
		w.mark(name, other)
	}
}

// clean gives a path as everything here has it: below the root, whatever it says, without slashes at its ends, in UTF-8.
func clean(name string) string {
	return strings.ToValidUTF8(strings.TrimPrefix(path.Clean("/"+name), "/"), "\uFFFD")
}

// whiteout takes in an entry that removes something of lower layers (image-spec, layer.md, "Whiteouts").
func (w *walker) whiteout(name string) bool {
	const prefix, opaque = ".wh.", ".wh..wh..opq"
	dir, base := path.Split(name)
	gone, ok := strings.CutPrefix(base, prefix)
	switch {
	case !ok:
		return false
	case base == opaque:
		w.opaque(strings.TrimSuffix(dir, "/"))
	case strings.HasPrefix(base, prefix+prefix), gone == "", gone == ".", gone == "..":
		// What aufs keeps for itself, and names that say nothing.
	default:
		w.remove(dir + gone)
	}
	return true
}

func (w *walker) symlink(name, target string) {
	w.mark(name, kept)
	if len(target) > w.Limits.PathBytes {
		w.problem("path", fmt.Sprintf("the target of the link %s has more than %d bytes", quoted(name), w.Limits.PathBytes))
		return
	}
	if w.room(name, target) {
		w.links[name] = link{strings.ToValidUTF8(target, "\uFFFD"), w.entry}
	}
}
