// Package extract reads the packages out of an image's layers, in a child process of its own: a stranger's archive is unpacked and
// parsed where it can exhaust or crash nothing but the child. It implements scan.Extractor.
//
// The child is the server's own program, started again with [Arguments]. It gets the layer on standard input and answers on file
// descriptor 3: a byte once it has confined itself, then a byte that says what follows, an encoded inventory.Layer or why it could not
// be tried. It has an empty environment, a directory of its own, a process group of its own, limits of memory, CPU, files and time;
// on Linux also no network, no right to start a program, and an end when the server ends.
//
// Tests of other packages have a real child too: package extracttest makes the test's own program one.
package extract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// Revision rises when the extractors find more than before.
const Revision = 1

// Config is how layers are read. Zero fields are the defaults of docs/design/scanning.md.
type Config struct {
	Executable string   // Berth's own program; empty: the one that runs
	Args       []string // that make it the child; nil: Arguments
	TempDir    string   // where each child has a directory for a while; empty: the system's
	Limits     layer.Limits
	// Time is what a child may take for each GiB as it is stored, at least MinTime, at most MaxTime. Waiting for the layer to come does
	// not count.
	Time, MinTime, MaxTime time.Duration
	Memory                 int64 // bytes that a child may take beyond those that it has when it begins
	Concurrency            int   // children at a time, so that one that takes its time does not keep others waiting
}

// Extractor starts the children.
type Extractor struct {
	config Config
	slots  chan struct{}
	dir    *workplace
	shared atomic.Bool // no namespaces of its own may be had for a child here

	ended func(*os.ProcessState) // in tests
}

// New makes a place for the children to work, and removes what is left of those of servers that were killed.
func New(c Config) (*Extractor, error) {
	if _, child := Child(os.Args); child { // a program that does not know that it is one, such as a test without extracttest.Main
		return nil, errors.New("a child starts no children")
	}
	if c.Executable == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("looking for our own program: %w", err)
		}
		c.Executable = self
	}
	if c.Args == nil {
		c.Args = Arguments()
	}
	if c.TempDir == "" {
		c.TempDir = os.TempDir()
	}
	const gib, minimum, maximum, memory, children = 2 * time.Minute, time.Minute, 10 * time.Minute, 240 << 20, 2
	c.Time, c.MinTime, c.MaxTime = cmp.Or(c.Time, gib), cmp.Or(c.MinTime, minimum), cmp.Or(c.MaxTime, maximum)
	c.Memory, c.Concurrency = cmp.Or(c.Memory, memory), cmp.Or(c.Concurrency, children)
	dir, err := newWorkplace(c.TempDir)
	if err != nil {
		return nil, err
	}
	return &Extractor{config: c, slots: make(chan struct{}, c.Concurrency), dir: dir}, nil
}

// Close gives back the place where children work. None may be at work.
func (x *Extractor) Close() error { return x.dir.close() }

// Revision is scan.Extractor's.
func (x *Extractor) Revision() int { return Revision }

// Extract reads a layer in a child, as scan.Extractor has it. A child that dies is the layer's Problem. Where ctx ends while r is
// being read, r may be read from for a moment after Extract has returned: close it.
func (x *Extractor) Extract(ctx context.Context, blob oci.Descriptor, r io.Reader) (inventory.Layer, error) {
	select {
	case x.slots <- struct{}{}:
		defer func() { <-x.slots }()
	case <-ctx.Done():
		return inventory.Layer{}, fmt.Errorf("waiting for a process to read the layer: %w", context.Cause(ctx))
	}
	dir, err := os.MkdirTemp(x.dir.path, "layer-*")
	if err != nil {
		return inventory.Layer{}, fmt.Errorf("a place to read the layer: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left goes when the server starts
	c := &child{x: x, dir: dir, limit: x.time(blob.Size), from: &source{r: r}}
	l, err := c.read(ctx, blob.MediaType)
	l.Revision = Revision
	if err != nil {
		return inventory.Layer{}, fmt.Errorf("reading the layer in a process of its own: %w", err)
	}
	return l, nil
}

// time is how long a layer of this size may take.
func (x *Extractor) time(stored int64) time.Duration {
	const gib = 1 << 30
	most := float64(x.config.MaxTime)
	return max(x.config.MinTime, time.Duration(min(most, float64(x.config.Time)*float64(stored)/gib)))
}

// workplace is a directory that belongs to a process, as a lock on a file in it says.
type workplace struct {
	path string
	lock *os.File
}

const (
	places = "berth-layers-"
	lock   = "lock"
)

func newWorkplace(in string) (*workplace, error) {
	if err := os.MkdirAll(in, 0o700); err != nil {
		return nil, fmt.Errorf("a place to read layers: %w", err)
	}
	clear(in)
	path, err := os.MkdirTemp(in, places+"*")
	if err != nil {
		return nil, fmt.Errorf("a place to read layers: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lock), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = tryLock(f)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a place to read layers: %w", err), os.RemoveAll(path))
	}
	return &workplace{path, f}, nil
}

// close gives the lock back last, so that nobody else is at it.
func (w *workplace) close() error {
	err := os.RemoveAll(w.path)
	return errors.Join(err, w.lock.Close())
}

// clear removes the places of processes that are no more.
func clear(in string) {
	entries, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), places) {
			continue
		}
		path := filepath.Join(in, e.Name())
		f, err := os.OpenFile(filepath.Join(path, lock), os.O_RDWR, 0)
		if err != nil {
			continue // another process is just making it
		}
		if tryLock(f) == nil {
			_ = os.RemoveAll(path)
		}
		_ = f.Close() // nothing was written
	}
}
