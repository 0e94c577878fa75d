// Package blob is the port to where bytes rest: objects under keys, and uploads that can go on later.
//
// A [Store] knows nothing of digests. The registry hashes bytes while they pass and records in the
// metadata database which key holds which digest; so an upload is written once, under the key that it
// keeps for ever, and finishing it renames and copies nothing, on a disk or in a bucket
// (docs/adr/0003-blobs-are-found-by-row.md). Package blobtest is the suite that every store passes.
package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

// Key names one object in a store: 32 lower-case hexadecimal digits, random, never used twice.
type Key string

// The ways a store fails that a caller can act on. Anything else is an unexpected error of the medium.
var (
	// ErrNotFound: there is no object, or no upload, under the key.
	ErrNotFound = errors.New("blob not found")
	// ErrBusy: another Append to the same upload is running, here or in another process.
	ErrBusy = errors.New("upload is being written")
	// ErrFull: the medium has no room left.
	ErrFull = errors.New("blob store is full")
	// ErrUnavailable: the medium does not answer, or answers with an error of its own that may pass.
	ErrUnavailable = errors.New("blob store is unavailable")
	// ErrLost: the medium no longer has all the bytes that the upload should have.
	ErrLost = errors.New("upload has lost bytes")
)

// Upload is what must be remembered of bytes that are still arriving. It is a plain value: the registry
// stores it between requests, so that any process can continue.
type Upload struct {
	Key   Key
	Size  int64  // bytes that are durable
	State []byte // the store's own notes (a bucket's multipart upload, its parts …); opaque to everyone else
}

// Store keeps objects and uploads. All methods may be called at the same time from many goroutines.
//
// Errors wrap one of the package's sentinels where one fits, and the context's error when it ended.
type Store interface {
	// Append adds what r delivers after the first u.Size bytes, dropping anything an interrupted Append
	// left behind them, and returns the upload as it then stands. What it returns is durable.
	//
	// When r fails midway Append makes durable what it had read, and returns that upload along with an
	// error that wraps r's. When the store itself fails, the upload returned is u, unchanged, and still
	// good for another try. An Upload whose Size is 0 and whose State is empty is new.
	// Of two calls for one upload at the same time the second answers ErrBusy.
	Append(ctx context.Context, u Upload, r io.Reader) (Upload, error)

	// Complete turns the upload into an object of u.Size bytes under u.Key, durable when it returns.
	// It may be called again for an upload that is complete already. An upload that never got a byte
	// becomes an empty object.
	Complete(ctx context.Context, u Upload) error

	// Abort forgets the upload and its bytes. An upload that is not there is no error.
	Abort(ctx context.Context, u Upload) error

	// Open reads length bytes of the object from offset; a negative length means to the end.
	// The caller closes the reader. On a disk the reader is an *os.File positioned at offset, which does
	// not stop after length: the caller limits it (and the kernel can then send it without copying).
	Open(ctx context.Context, key Key, offset, length int64) (io.ReadCloser, error)

	// Size gives the object's size in bytes.
	Size(ctx context.Context, key Key) (int64, error)

	// Delete removes the object. One that is not there is no error.
	Delete(ctx context.Context, key Key) error
}

// Presigner is the extra ability of a store whose objects clients may fetch directly.
type Presigner interface {
	// PresignGet gives a URL from which anyone can GET the object, with Range, until ttl has passed.
	PresignGet(ctx context.Context, key Key, ttl time.Duration) (string, error)
}

// Found is one thing that a store holds: an object, an upload, a piece of one, or something that somebody else
// put there.
type Found struct {
	Name string // what Discard takes; one thing's alone in the store
	Key  Key    // the object or upload that it belongs to; empty where it is nothing of the store's own
	// Part tells that it is a piece of an upload (a bucket's unfinished multipart upload, or the bytes behind its last
	// part): never what Open reads. An upload that the store keeps as it keeps an object is no Part.
	Part bool
	Size int64 // bytes; 0 where the store does not say (a multipart upload)
	// At is when it was last written or completed, or, of a multipart upload and in some buckets of the object that it
	// became, begun; by the medium's clock, cut to microseconds. Some media count in whole seconds, and bytes may be on
	// their way for as long as one Append takes: whoever discards what has no row leaves alone what is younger than that.
	At time.Time
}

// Walker lists what a store holds, so that what nothing refers to can be found: the bytes of a push that crashed, of
// an attempt that was lost. Both stores of Berth are one.
type Walker interface {
	// Walk lists things in the store's own order from the place that an earlier call gave ("" is the beginning), about
	// limit of them, and gives the place to go on from ("" is the end). A page may have a few more or less, and none
	// with more to come. A place holds for good, also in another process. What is there from the beginning of a walk
	// to its end is listed; what comes or goes meanwhile may be, and what changes its kind (an upload that is
	// completed) may be twice. Whoever misses something asks Size before believing it.
	Walk(ctx context.Context, after string, limit int) (found []Found, next string, err error)

	// Discard removes one thing that Walk found. What was written or completed later than f.At, or is being written, it
	// leaves alone, and answers ErrBusy. One that is gone is no error. What has no Key is refused.
	Discard(ctx context.Context, f Found) error
}
