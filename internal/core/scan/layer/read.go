package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// outcome is what is known of the bytes of a regular file, in case a hard link gives them another name.
type outcome struct {
	formats uint64 // that have read it, a bit each
	release bool   // it was read as os-release
	path    string // in files; empty: nothing was found
	size    int64
	mode    fs.FileMode
}

// file takes in a regular file: has those Formats read it that want to.
func (w *walker) file(ctx context.Context, name string, h *tar.Header, content io.Reader) {
	mode := h.FileInfo().Mode()
	o := outcome{size: h.Size, mode: mode, formats: w.wanting(name, mode, h.Size), release: isRelease(name)}
	if o.formats == 0 && !o.release {
		w.mark(name, other)
		w.keepAside(name, h.Size, content)
		return
	}
	in, done, ok := w.content(name, h.Size, content)
	defer done()
	if !ok {
		w.mark(name, other)
		return
	}
	found := file{entry: w.entry}
	if o.release {
		found.release = w.osRelease(name, in)
	}
	for i, format := range w.Formats {
		if o.formats&(1<<i) != 0 && !w.hung {
			w.take(&found, format, w.call(ctx, format, Input{Path: name, Mode: mode, Size: h.Size, Content: in}), name)
		}
	}
	w.settle(name, found, o)
}

// settle keeps what was found in a file.
func (w *walker) settle(name string, found file, o outcome) {
	if len(found.files) == 0 && found.release == nil {
		w.mark(name, other)
	} else {
		w.mark(name, kept)
		w.files[name] = found
		o.path = name
	}
	w.read[inventory.PathHash(name)] = o
}

// hardLink takes in another name of a file of the same layer: what was found in that is in this one too.
func (w *walker) hardLink(ctx context.Context, name, target string, h *tar.Header) {
	if w.readAside(ctx, target, name, h.FileInfo().Mode().Perm()) {
		return
	}
	o, ok := w.read[inventory.PathHash(target)]
	mode, length := h.FileInfo().Mode().Perm(), int64(1)
	if ok {
		mode, length = o.mode, o.size
	}
	want, release := w.wanting(name, mode, length), isRelease(name)
	if !ok && want != 0 {
		want = w.wanting(name, 0o644, length) // for its name, not since anything may be a program
	}
	if want&^o.formats != 0 || release && !o.release {
		w.problem("link", fmt.Sprintf("%s is a hard link to %s, which was not read", quoted(name), quoted(target)))
	}
	found := file{entry: w.entry}
	from := w.files[o.path]
	for _, f := range from.files {
		i := slices.IndexFunc(w.Formats, func(format Format) bool { return format.Name() == f.Format })
		if i < 0 || want&(1<<i) == 0 || !w.room(name) {
			continue
		}
		if w.packages += len(f.Packages); w.packages > w.Limits.Packages {
			w.problem("packages", fmt.Sprintf("it has more than %d packages", w.Limits.Packages))
			break
		}
		f.Path = name
		found.files = append(found.files, f)
	}
	if release {
		found.release = from.release
	}
	w.settle(name, found, outcome{formats: want & o.formats, release: release && o.release, size: length, mode: mode})
}

func isRelease(name string) bool { return slices.Contains(inventory.OSReleasePaths(), name) }

// wanting tells which Formats want a file, a bit each.
func (w *walker) wanting(name string, mode fs.FileMode, size int64) (formats uint64) {
	for i, f := range w.Formats {
		if f.Wants(name, mode, size) {
			formats |= 1 << i
		}
	}
	return formats
}

// content brings a file's bytes to where they can be read in any order, until done.
func (w *walker) content(name string, length int64, r io.Reader) (in io.ReaderAt, done func(), ok bool) {
	done = func() {}
	switch {
	case length > w.Limits.File:
		w.problem("file", fmt.Sprintf("the file %s is larger than %s", quoted(name), size(w.Limits.File)))
		return nil, done, false
	case w.spent+length > w.Limits.Read:
		w.problem("read", "the files to read are more than "+size(w.Limits.Read))
		return nil, done, false
	}
	w.spent += length
	if length <= w.Limits.InMemory {
		if int64(cap(w.buffer)) < length {
			w.buffer = make([]byte, length, min(max(2*length, buffered), w.Limits.InMemory))
		}
		w.buffer = w.buffer[:length]
		_, err := io.ReadFull(r, w.buffer)
		return bytes.NewReader(w.buffer), done, err == nil // what is wrong with the stream is told at its end
	}
	f, err := os.CreateTemp(w.TempDir, "file-*")
	if err != nil {
		w.failed = fmt.Errorf("a temporary file: %w", err)
		return nil, done, false
	}
	done = func() {
		_ = f.Close() // it goes
		if err := os.Remove(f.Name()); err != nil && w.failed == nil {
			w.failed = fmt.Errorf("a temporary file: %w", err)
		}
	}
	to := &disk{f: f}
	_, err = io.CopyN(to, r, length)
	if to.err != nil {
		w.failed = fmt.Errorf("a temporary file: %w", to.err)
	}
	return f, done, err == nil
}

// disk remembers that it was writing that failed.
type disk struct {
	f   *os.File
	err error
}

func (d *disk) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	if err != nil {
		d.err = err
	}
	return n, err //nolint:wrapcheck // an io.Writer
}

func (w *walker) osRelease(name string, in io.ReaderAt) *inventory.OS {
	text, err := io.ReadAll(io.NewSectionReader(in, 0, inventory.MaxOSRelease+1))
	if err != nil {
		return nil
	}
	if len(text) > inventory.MaxOSRelease {
		w.problem("release", fmt.Sprintf("%s is larger than %s", name, size(inventory.MaxOSRelease)))
	}
	release, _ := inventory.ParseOSRelease(text) // one that says nothing leaves the image without a system
	return &release
}

// answer is what came of a Format's reading.
type answer struct {
	Result
	err error
	bad bool // the error is a problem of the layer
}

// call has a Format read a file. One that panics loses this file; one that does not come back, though its time is over, ends the
// walk, and goes on by itself until the process ends.
func (w *walker) call(ctx context.Context, format Format, in Input) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, w.Limits.FileTime, Limit(fmt.Sprintf("it took longer than %v", w.Limits.FileTime)))
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answers <- answer{err: fmt.Errorf("panic: %v", p), bad: true}
			}
		}()
		result, err := format.Read(ctx, in)
		answers <- answer{Result: result, err: err}
	}()
	select {
	case a := <-answers:
		return a.within(ctx)
	case <-ctx.Done():
	}
	const grace = 2 * time.Second
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case a := <-answers:
		return a.within(ctx)
	case <-late.C:
		w.hung, w.buffer = true, nil
		return answer{err: context.Cause(ctx), bad: true}
	}
}

// within makes an answer that came since its time was over a bad one: there may be more.
func (a answer) within(ctx context.Context) answer {
	if ctx.Err() != nil {
		a.err, a.bad = context.Cause(ctx), true
	}
	return a
}

// systems are the formats of an operating system's databases: there is nothing to be found without them.
var systems = []string{"dpkg", "apk", "rpm"}

// take keeps what a Format has found in a file.
func (w *walker) take(found *file, format Format, a answer, name string) {
	var limit Limit
	broken := a.Fact && slices.Contains(systems, format.Name()) // a file of a language that is broken is of no use to the language either
	if a.err != nil && (a.bad || broken || errors.Is(a.err, ErrLimit) || errors.As(a.err, &limit)) {
		w.problem("read "+format.Name(), fmt.Sprintf("reading %s as %s: %s", quoted(name), format.Name(), why(a.err)))
	}
	for _, p := range a.Owns {
		if len(w.owned) >= w.Limits.Owned {
			w.problem("owned", fmt.Sprintf("packages of the operating system have more than %d files", w.Limits.Owned))
			break
		}
		w.owned = append(w.owned, inventory.PathHash(p))
	}
	packages := w.packagesOf(a.Packages, name)
	if (len(packages) == 0 && !a.Fact) || !w.room(name) {
		return
	}
	found.files = append(found.files, inventory.File{Path: name, Format: format.Name(), Packages: packages})
}

// packagesOf keeps those packages that are fit to be kept.
func (w *walker) packagesOf(all []inventory.Package, name string) []inventory.Package {
	var packages []inventory.Package
	for _, p := range all {
		if p.Name == "" {
			continue
		}
		if p.Source == "" {
			p.Source = p.Name
		}
		if p.SourceVersion == "" {
			p.SourceVersion = p.Version
		}
		switch {
		case !fit(p.Name, inventory.MaxName) || !fit(p.Source, inventory.MaxName) || !fit(p.Version, inventory.MaxVersion) ||
			!fit(p.SourceVersion, inventory.MaxVersion) || !fit(p.Arch, inventory.MaxVersion) || !fit(string(p.Type), inventory.MaxVersion):
			w.problem("name", fmt.Sprintf("a package in %s has a name of more than %d bytes, a version of more than %d, or characters that no name has",
				quoted(name), inventory.MaxName, inventory.MaxVersion))
			continue
		case len(packages) >= w.Limits.FilePackages:
			w.problem("file packages", fmt.Sprintf("%s has more than %d packages", quoted(name), w.Limits.FilePackages))
			return packages
		case w.packages >= w.Limits.Packages:
			w.problem("packages", fmt.Sprintf("it has more than %d packages", w.Limits.Packages))
			return packages
		case !w.room(p.Name, p.Version, p.Source, p.SourceVersion, p.Arch):
			return packages
		}
		w.packages++
		packages = append(packages, p)
	}
	return packages
}

// fit tells whether a stranger's text is short, and a line of text.
func fit(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
