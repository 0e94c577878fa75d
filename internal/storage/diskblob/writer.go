package diskblob

import (
	"context"
	"io"
	"os"
	"sync"
)

const (
	// pipelineFrom is how many bytes of one Append are written by the goroutine that reads them. From
	// there on a second one writes, so that hashing and the file system work on two cores.
	pipelineFrom = 1 << 20
	// flushEvery is how many bytes are gathered before the kernel is asked to start writing them back.
	flushEvery = 8 << 20
)

// An Append holds one small buffer, or two large ones that are filled and written in turn. Large ones save
// calls and hand-overs; how large they are makes no difference that could be measured.
type (
	smallBuffer [256 << 10]byte
	largeBuffer [1 << 20]byte
)

// The idle buffers, for every store of the process; they are a cache, not state.
var (
	smallBuffers = sync.Pool{New: func() any { return new(smallBuffer) }}
	largeBuffers = sync.Pool{New: func() any { return new(largeBuffer) }}
)

// writer copies one Append's bytes behind the end of a file.
type writer struct {
	file    *os.File
	offset  int64 // where the next byte goes
	flushed int64 // up to where write-back has been started

	// cut is called before the first byte is written: an Append that gets none leaves the file as it is.
	cut func() error
}

// copyFrom writes what r delivers until it ends, fails, or the context does. It tells the two ways of
// failing apart: readErr leaves w.offset at the end of good bytes, writeErr leaves the file unknown.
func (w *writer) copyFrom(ctx context.Context, r io.Reader) (readErr, writeErr error) {
	ended, readErr, writeErr := w.copyFirst(ctx, r)
	if ended {
		return readErr, writeErr
	}
	return w.pipeline(ctx, r)
}

// copyFirst is copyFrom for the first bytes, and tells whether they were all.
func (w *writer) copyFirst(ctx context.Context, r io.Reader) (ended bool, readErr, writeErr error) {
	b := smallBuffers.Get().(*smallBuffer)
	defer smallBuffers.Put(b)
	for start := w.offset; w.offset-start < pipelineFrom; {
		n, ended, err := fill(ctx, r, b[:])
		if werr := w.write(b[:n]); werr != nil {
			return true, nil, werr
		}
		if ended {
			return true, err, nil
		}
	}
	return false, nil, nil
}

// filled is a buffer on its way to the file.
type filled struct {
	buffer *largeBuffer
	n      int
}

// pipeline is copyFrom for the rest of a long body: this goroutine reads, another writes.
func (w *writer) pipeline(ctx context.Context, r io.Reader) (readErr, writeErr error) {
	const count = 2
	free := make(chan *largeBuffer, count)
	for range count {
		b := largeBuffers.Get().(*largeBuffer)
		defer largeBuffers.Put(b)
		free <- b
	}
	full := make(chan filled, count)
	failed := make(chan struct{}) // closed by the writing goroutine at its first error
	var writing sync.WaitGroup
	writing.Go(func() {
		for f := range full {
			if writeErr == nil {
				if writeErr = w.write(f.buffer[:f.n]); writeErr != nil {
					close(failed)
				}
			}
			free <- f.buffer
		}
	})
	// Also when r panics: the buffers go back only when nobody writes from them any more.
	finish := sync.OnceFunc(func() {
		close(full)
		writing.Wait()
	})
	defer finish()
	readErr = feed(ctx, r, free, full, failed)
	finish()
	return readErr, writeErr
}

// feed fills free buffers from r until it ends, or nobody writes any more.
func feed(ctx context.Context, r io.Reader, free <-chan *largeBuffer, full chan<- filled, failed <-chan struct{}) error {
	for {
		select {
		case <-failed:
			return nil
		case b := <-free:
			n, ended, err := fill(ctx, r, b[:])
			full <- filled{b, n}
			if ended {
				return err
			}
		}
	}
}

// write puts b behind the last byte and starts write-back now and then.
func (w *writer) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if w.cut != nil {
		if err := w.cut(); err != nil {
			return err
		}
		w.cut = nil
	}
	n, err := w.file.WriteAt(b, w.offset)
	w.offset += int64(n)
	if err != nil {
		return err
	}
	if w.offset-w.flushed >= flushEvery {
		startWriteback(w.file, w.flushed, w.offset-w.flushed)
		w.flushed = w.offset
	}
	return nil
}

// fill reads until b is full, and returns how much is in it. If r has ended before that, or failed, or the
// context has, it tells so; err is nil at a proper end.
func fill(ctx context.Context, r io.Reader, b []byte) (n int, ended bool, err error) {
	idle := 0
	for n < len(b) {
		if err := ctx.Err(); err != nil {
			return n, true, err
		}
		m, err := r.Read(b[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, true, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, true, io.ErrNoProgress
		}
	}
	return n, false, nil
}
