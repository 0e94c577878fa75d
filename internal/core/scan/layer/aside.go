package layer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// aside keeps small files that no Format wants by the name that they have first, and may by the one that a hard link gives them later:
// package managers such as pnpm link what is installed to a store of files that are named by their hashes.
type aside struct {
	f  *os.File
	n  int64
	at map[uint64]part // by PathHash
}

// part is where a file is in aside.
type part struct{ offset, size int64 }

const (
	asideFile = 64 << 10 // bytes of one file
	asideAll  = 128 << 20
)

// begins are what files that are wanted begin with: JSON, and the headers of distributions' and of Python's databases.
var begins = [][]byte{[]byte("{"), []byte("\ufeff{"), []byte("Metadata-Version:"), []byte("Package:"), []byte("C:Q"), []byte("# -*- encoding"), []byte("Gem::")}

// keepAside keeps a file that nobody wants so far, if it looks as if somebody might.
func (w *walker) keepAside(name string, length int64, content io.Reader) {
	if length == 0 || length > asideFile || w.aside.n+length > asideAll {
		return
	}
	if cap(w.buffer) < asideFile {
		w.buffer = make([]byte, asideFile)
	}
	b := w.buffer[:length]
	if _, err := io.ReadFull(content, b); err != nil {
		return // what is wrong with the stream is told at its end
	}
	for _, begin := range begins {
		if bytes.HasPrefix(b, begin) {
			w.store(name, b)
			return
		}
	}
}

func (w *walker) store(name string, b []byte) {
	if w.aside.f == nil {
		f, err := os.CreateTemp(w.TempDir, "aside-*")
		if err != nil {
			w.failed = fmt.Errorf("a temporary file: %w", err)
			return
		}
		w.aside.f, w.aside.at = f, map[uint64]part{}
	}
	if _, err := w.aside.f.Write(b); err != nil {
		w.failed = fmt.Errorf("a temporary file: %w", err)
		return
	}
	w.aside.at[inventory.PathHash(name)] = part{w.aside.n, int64(len(b))}
	w.aside.n += int64(len(b))
}

// readAside has those Formats read a file that was kept aside that want it by another name. It tells whether it was kept.
func (w *walker) readAside(ctx context.Context, target, name string, mode fs.FileMode) bool {
	p, ok := w.aside.at[inventory.PathHash(target)]
	if !ok {
		return false
	}
	found, o := file{entry: w.entry}, outcome{size: p.size, mode: mode, formats: w.wanting(name, mode, p.size), release: isRelease(name)}
	w.aside.at[inventory.PathHash(name)] = p // for links to the link
	in := io.NewSectionReader(w.aside.f, p.offset, p.size)
	for i, format := range w.Formats {
		if o.formats&(1<<i) != 0 && !w.hung {
			w.take(&found, format, w.call(ctx, format, Input{Path: name, Mode: mode, Size: p.size, Content: in}), name)
		}
	}
	if o.release {
		found.release = w.osRelease(name, in)
	}
	w.settle(name, found, o)
	return true
}

// close removes what was kept aside.
func (a *aside) close() error {
	if a.f == nil {
		return nil
	}
	_ = a.f.Close() // it goes
	if err := os.Remove(a.f.Name()); err != nil {
		return fmt.Errorf("a temporary file: %w", err)
	}
	return nil
}
