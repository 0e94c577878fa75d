package telemetry

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// storage counts what is asked of the database and of the blob store.
type storage struct {
	read, update, wait             prometheus.Observer
	databaseErrors, blobErrors     *prometheus.CounterVec
	blobs                          map[string]prometheus.Observer
	blobBytes                      prometheus.Counter
	databaseDuration, blobDuration *prometheus.HistogramVec
}

// Words of labels.
const (
	readOperation   = "read"
	updateOperation = "update"
	unavailable     = "unavailable"
	full            = "full"
	lost            = "lost"
	notFound        = "not_found"
	failed          = "failed"
)

func newStorage(t *Telemetry) storage {
	s := storage{
		databaseDuration: t.histogram("berth_database_operation_duration_seconds",
			"How long the database took: read is a statement outside of transactions, update a transaction with its wait and its commit.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}, "operation"),
		databaseErrors: t.counter("berth_database_errors_total", "Reads and updates that the database failed, by reason: unavailable, full.", "operation", "reason"),
		blobDuration: t.histogram("berth_blob_operation_duration_seconds",
			"How long the blob store took. Of append, what the client took to send is not counted; open is until the first byte can be read.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30}, "operation"),
		blobErrors: t.counter("berth_blob_errors_total",
			"What the blob store failed, by reason: full, unavailable, lost (an upload's bytes), not_found (an object that should be there), failed.", "operation", "reason"),
		blobBytes: t.counter("berth_blob_written_bytes_total", "Bytes that were written to the blob store.").WithLabelValues(),
		blobs:     map[string]prometheus.Observer{},
	}
	s.read, s.update = s.databaseDuration.WithLabelValues(readOperation), s.databaseDuration.WithLabelValues(updateOperation)
	s.wait = t.histogram("berth_database_update_wait_seconds", "How long updates waited until they had the database: for SQLite's one writer, or a connection.",
		[]float64{.0001, .001, .01, .1, 1, 10}).WithLabelValues()
	for _, operation := range []string{readOperation, updateOperation} {
		for _, reason := range []string{unavailable, full} {
			s.databaseErrors.WithLabelValues(operation, reason)
		}
	}
	for _, operation := range []string{"append", "complete", "abort", "open", "size", "delete", "walk", "discard", "presign"} {
		s.blobs[operation] = s.blobDuration.WithLabelValues(operation)
	}
	return s
}

// Database is what metadb tells of itself.
func (t *Telemetry) Database() Database { return Database{t} }

// Database implements metadb.Observer.
type Database struct{ t *Telemetry }

// Read implements metadb.Observer. Reads have no span: they are many, and short.
func (d Database) Read(context.Context) func(error) {
	begin := d.t.config.Now()
	return func(err error) {
		d.t.storage.read.Observe(d.t.since(begin))
		d.failed(readOperation, err)
	}
}

// Update implements metadb.Observer.
func (d Database) Update(ctx context.Context) (_ context.Context, began func(), done func(error)) {
	begin := d.t.config.Now()
	ctx, span := d.t.child(ctx, "database update")
	began = func() {
		d.t.storage.wait.Observe(d.t.since(begin))
		if span != nil {
			span.AddEvent("began")
		}
	}
	done = func(err error) {
		d.t.storage.update.Observe(d.t.since(begin))
		d.failed(updateOperation, err)
		end(span, err)
	}
	return ctx, began, done
}

// failed counts what is the database's own fault; most errors of updates are refusals.
func (d Database) failed(operation string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, fault.StorageFull):
		d.t.storage.databaseErrors.WithLabelValues(operation, full).Inc()
	case errors.Is(err, fault.Unavailable):
		d.t.storage.databaseErrors.WithLabelValues(operation, unavailable).Inc()
	}
}

// Blobs wraps a blob store. What it gives hands out links, and lists what it holds, where s does.
func (t *Telemetry) Blobs(s blob.Store) blob.Store {
	b := blobs{s, t}
	walker, walks := s.(blob.Walker)
	presigner, presigns := s.(blob.Presigner)
	switch {
	case walks && presigns:
		return struct {
			blobs
			blobWalker
			blobPresigner
		}{b, blobWalker{walker, t}, blobPresigner{presigner, t}}
	case walks:
		return struct {
			blobs
			blobWalker
		}{b, blobWalker{walker, t}}
	case presigns:
		return struct {
			blobs
			blobPresigner
		}{b, blobPresigner{presigner, t}}
	default:
		return b
	}
}

// blobs is a blob store that is counted.
type blobs struct {
	store blob.Store
	t     *Telemetry
}

// begin counts an operation until the function that it gives is called.
func (t *Telemetry) blob(ctx context.Context, operation string) (context.Context, func(error)) {
	begin := t.config.Now()
	ctx, span := t.child(ctx, "blob "+operation)
	return ctx, func(err error) {
		t.storage.blobs[operation].Observe(t.since(begin))
		t.blobFailed(operation, err)
		end(span, err)
	}
}

func (t *Telemetry) blobFailed(operation string, err error) {
	reason := failed
	switch {
	case err == nil, errors.Is(err, blob.ErrBusy), errors.Is(err, context.Canceled):
		return
	case errors.Is(err, blob.ErrNotFound):
		if operation != "open" { // others ask whether it is there
			return
		}
		reason = notFound
	case errors.Is(err, blob.ErrFull):
		reason = full
	case errors.Is(err, blob.ErrUnavailable):
		reason = unavailable
	case errors.Is(err, blob.ErrLost):
		reason = lost
	}
	t.storage.blobErrors.WithLabelValues(operation, reason).Inc()
}

// source is what a client sends: how long that took, and whether it broke off, is not the store's.
type source struct {
	io.Reader
	now    func() time.Time
	took   time.Duration
	failed error
}

func (s *source) Read(p []byte) (int, error) {
	begin := s.now()
	n, err := s.Reader.Read(p)
	s.took += s.now().Sub(begin)
	if err != nil && !errors.Is(err, io.EOF) {
		s.failed = err
	}
	return n, err
}

// Append implements blob.Store.
func (b blobs) Append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	begin := b.t.config.Now()
	ctx, span := b.t.child(ctx, "blob append")
	from := &source{Reader: r, now: b.t.config.Now}
	next, err := b.store.Append(ctx, u, from)
	b.t.storage.blobs["append"].Observe(b.t.since(begin) - from.took.Seconds())
	b.t.storage.blobBytes.Add(float64(max(next.Size-u.Size, 0)))
	if from.failed == nil {
		b.t.blobFailed("append", err)
	}
	end(span, err)
	return next, err
}

// Complete implements blob.Store.
func (b blobs) Complete(ctx context.Context, u blob.Upload) error {
	ctx, done := b.t.blob(ctx, "complete")
	err := b.store.Complete(ctx, u)
	done(err)
	return err
}

// Abort implements blob.Store.
func (b blobs) Abort(ctx context.Context, u blob.Upload) error {
	ctx, done := b.t.blob(ctx, "abort")
	err := b.store.Abort(ctx, u)
	done(err)
	return err
}

// Open implements blob.Store. The reader is the store's own: a file stays one, which the kernel can send by itself.
func (b blobs) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	_, done := b.t.blob(ctx, "open") // the reader may outlive a span
	r, err := b.store.Open(ctx, key, offset, length)
	done(err)
	return r, err
}

// Size implements blob.Store.
func (b blobs) Size(ctx context.Context, key blob.Key) (int64, error) {
	ctx, done := b.t.blob(ctx, "size")
	n, err := b.store.Size(ctx, key)
	done(err)
	return n, err
}

// Delete implements blob.Store.
func (b blobs) Delete(ctx context.Context, key blob.Key) error {
	ctx, done := b.t.blob(ctx, "delete")
	err := b.store.Delete(ctx, key)
	done(err)
	return err
}

type blobWalker struct {
	walker blob.Walker
	t      *Telemetry
}

// Walk implements blob.Walker.
func (b blobWalker) Walk(ctx context.Context, after string, limit int) (found []blob.Found, next string, err error) {
	ctx, done := b.t.blob(ctx, "walk")
	found, next, err = b.walker.Walk(ctx, after, limit)
	done(err)
	return found, next, err
}

// Discard implements blob.Walker.
func (b blobWalker) Discard(ctx context.Context, f blob.Found) error {
	ctx, done := b.t.blob(ctx, "discard")
	err := b.walker.Discard(ctx, f)
	done(err)
	return err
}

type blobPresigner struct {
	presigner blob.Presigner
	t         *Telemetry
}

// PresignGet implements blob.Presigner.
func (b blobPresigner) PresignGet(ctx context.Context, key blob.Key, ttl time.Duration) (string, error) {
	ctx, done := b.t.blob(ctx, "presign")
	link, err := b.presigner.PresignGet(ctx, key, ttl)
	done(err)
	return link, err
}
