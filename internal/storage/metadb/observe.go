package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Observer is told of what is asked of the database. Its methods return at once.
type Observer interface {
	// Read is called before a statement outside of transactions, and what it gives after it.
	Read(ctx context.Context) (done func(error))
	// Update is called before a transaction. The context that it gives is the transaction's; began is called when the transaction has
	// the database, done when its outcome is known. One that runs again after a conflict begins once.
	Update(ctx context.Context) (_ context.Context, began func(), done func(error))
}

// Observe has an observer told of everything from now on. It is called before the database is used.
func (db *DB) Observe(o Observer) {
	db.engine = observed{db.engine, o}
	db.read.s = db.engine
}

// observed is an engine that tells.
type observed struct {
	engine
	observer Observer
}

func (e observed) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	done := e.observer.Read(ctx)
	err := e.engine.query(ctx, text, row, args...)
	done(err)
	return err
}

func (e observed) update(ctx context.Context, f func(tx) error) error {
	ctx, began, done := e.observer.Update(ctx)
	first := true
	err := e.engine.update(ctx, func(t tx) error {
		if first {
			first = false
			began()
		}
		return f(t)
	})
	done(err)
	return err
}

// Load is how busy the connections are.
type Load struct {
	Most, Busy int           // connections: that there may be, and that are at work. Of SQLite: its readers
	Waits      int64         // how often somebody waited for one; 0 where that is not counted
	Waited     time.Duration // for how long, in sum
}

// Load tells how busy the connections are at this moment.
func (db *DB) Load() Load { return db.engine.load() }

func (e *sqliteEngine) load() Load {
	return Load{Most: sqliteReaders, Busy: sqliteReaders - len(e.free)}
}

func (e *postgresEngine) load() Load {
	s := e.db.Stats()
	return Load{Most: s.MaxOpenConnections, Busy: s.InUse, Waits: s.WaitCount, Waited: s.WaitDuration}
}

// Size gives the bytes that the database takes.
func (db *DB) Size(ctx context.Context) (int64, error) {
	return one(ctx, db.read.s, scanOne[int64], db.engine.sizeText())
}

func (e *sqliteEngine) sizeText() string {
	return `SELECT c.page_count * s.page_size FROM pragma_page_count() AS c, pragma_page_size() AS s`
}

func (e *postgresEngine) sizeText() string { return `SELECT pg_database_size(current_database())` }

// Holding is how much there is of what is kept.
type Holding struct{ Repositories, Images, Blobs, BlobBytes int64 }

// Holding counts what is kept. It looks at every image and blob.
func (db *DB) Holding(ctx context.Context) (Holding, error) {
	scan := func(rows *sql.Rows, h *Holding) error {
		return rows.Scan(&h.Repositories, &h.Images, &h.Blobs, &h.BlobBytes)
	}
	return one(ctx, db.read.s, scan, `SELECT (SELECT COUNT(*) FROM repositories), (SELECT COUNT(*) FROM images),
		COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs`)
}

// Queue is what waits for one kind of work.
type Queue struct {
	Name   string
	Depth  int64
	Oldest time.Time // when what waits longest was asked for, or, where nobody notes that, came to be due; zero where nothing waits
}

// queues count what waits, by name. Of the outbox it is the time that the oldest event happened, and asked for apart.
const queues = `
	SELECT 'replication', COUNT(*), COALESCE(MIN(due_at), 0) FROM replications WHERE due_at > 0 UNION ALL
	SELECT 'signing', COUNT(*), COALESCE(MIN(due_at), 0) FROM signings WHERE state = 'pending' UNION ALL
	SELECT 'scans', COUNT(*), COALESCE(MIN(requested_at), 0) FROM scans WHERE due_at > 0 UNION ALL
	SELECT 'lifecycle previews', COUNT(*), COALESCE(MIN(started_at), 0) FROM lifecycle_previews WHERE status = 'IN_PROGRESS' UNION ALL
	SELECT 'advisories', COUNT(*), COALESCE(MIN(requested_at), 0) FROM advisory_imports WHERE due_at > 0 UNION ALL
	SELECT 'outbox', COUNT(*), 0 FROM events`

// Queues tells what waits for work in the background.
func (db *DB) Queues(ctx context.Context) ([]Queue, error) {
	scan := func(rows *sql.Rows, q *Queue) error { return rows.Scan(&q.Name, &q.Depth, timeColumn{&q.Oldest}) }
	all, err := list(ctx, db.read.s, scan, queues)
	if err != nil {
		return nil, err
	}
	first, err := db.oldestEvent(ctx)
	for i := range all {
		if all[i].Name == "outbox" && all[i].Depth > 0 {
			all[i].Oldest = first
		}
	}
	return all, err
}

// oldestEvent tells when what waits longest in the outbox happened. When it is due says less: each attempt moves that.
func (db *DB) oldestEvent(ctx context.Context) (time.Time, error) {
	var e struct{ At time.Time }
	err := db.read.s.query(ctx, `SELECT body FROM events ORDER BY id LIMIT 1`, func(rows *sql.Rows) error { return rows.Scan(jsonColumn{&e}) })
	return e.At, err
}

// ScanStates counts the newest scans of images, by their status.
func (db *DB) ScanStates(ctx context.Context) (map[registry.ScanStatus]int64, error) {
	all := map[registry.ScanStatus]int64{}
	err := db.read.s.query(ctx, `SELECT status, COUNT(*) FROM scans GROUP BY status`, func(rows *sql.Rows) error {
		var status registry.ScanStatus
		var n int64
		err := rows.Scan(&status, &n)
		all[status] = n
		return err
	})
	return all, err
}
