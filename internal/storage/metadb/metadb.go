// Package metadb keeps the registry's metadata in SQLite or PostgreSQL: repositories, images, tags, layers,
// uploads, access keys. It holds every line of SQL in Berth and no rule: what may happen is decided in
// package registry, inside the transactions that this package runs.
//
// Both databases run the same SQL text. The few places where they differ are marks in that text, which a
// [dialect] puts into the words of its database. Times are microseconds since 1970, and 0 is never.
//
// # Life of an update
//
// A caller hands Update a function. On PostgreSQL it runs in a READ COMMITTED transaction of its own, and
// again when the database names a conflict or a deadlock. Repository holds the repository's row (FOR KEY
// SHARE), LockRepository locks it (FOR UPDATE): whoever decides from what is in a repository takes turns.
// Every wait for the server has an end (see [limits]): a server that has gone without a word must not take
// its clients with it.
//
// On SQLite there is one writer, and waiting for the disk is most of what a small transaction costs. So
// the writer opens a transaction, lends its connection to the caller, then to every other caller who is
// waiting by then, each in a savepoint of its own, and commits them all at once: one fsync for as many
// pushes as came in while the last one was under way. A caller whose function fails (or panics) is rolled
// back to its savepoint, alone. Nobody waits for company: a lone update commits at once. Everybody hears
// the outcome after the commit, since even a refusal may rest on what a neighbour wrote just before.
//
// Reads take no transaction. Each sees all that was committed when it began, so whoever was told that an
// update is done can read it.
//
// # What a crash leaves
//
// Updates that were answered are in the database: in SQLite's write-ahead log, which was synced before the
// answer and is read back at the next start, or in PostgreSQL's. Updates that were not answered are there
// whole or not at all. An error from the commit itself (a disk that fails, a connection that breaks just
// then) leaves open which of the two; the caller sees fault.Unavailable or fault.StorageFull, and the
// registry's operations may all be tried again.
//
// Rows never name bytes that are not durable, because the registry writes rows last. The other way round,
// bytes without a row, is what a crash may leave behind.
package metadb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

var (
	_ registry.Store = (*DB)(nil)
	_ identity.Store = (*DB)(nil)
)

// DB is the metadata database. Its methods may be called from many goroutines.
type DB struct {
	engine engine
	read   queries
	stats  *counters
}

// engine is what the two databases do each in their own way.
type engine interface {
	session // outside a transaction
	update(ctx context.Context, f func(tx) error) error
	close() error
	load() Load
	sizeText() string // asks for the bytes that it takes
}

func newDB(e engine, stats *counters) *DB {
	return &DB{engine: e, read: queries{s: e}, stats: stats}
}

// Close ends the database's connections. It waits for updates and reads that are running; later ones fail.
func (db *DB) Close() error { return db.engine.close() }

// Ping reads a little, and so tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	_, err := db.read.HasImages(ctx, 0)
	return err
}

// Update implements registry.Store. Updates must not nest: f uses nothing but its transaction.
func (db *DB) Update(ctx context.Context, f func(registry.Tx) error) error {
	return db.engine.update(ctx, func(t tx) error { return f(t) })
}

// Read implements registry.Store.
func (db *DB) Read() registry.Queries { return db.read }

// Stats counts what has happened since the database was opened.
type Stats struct {
	Updates int64 // functions that ran and were committed
	Commits int64 // transactions that carried them
}

// Stats gives the counts so far. On SQLite, Updates/Commits tells how many updates share an fsync.
func (db *DB) Stats() Stats {
	return Stats{Updates: db.stats.updates.Load(), Commits: db.stats.commits.Load()}
}

type counters struct{ updates, commits atomic.Int64 }

func (c *counters) committed(updates int) {
	c.updates.Add(int64(updates))
	c.commits.Add(1)
}

var errClosed = errors.New("metadata database is closed")

// wentOn is the error of an update that reported success although one of its statements had failed. That
// statement voids the transaction on PostgreSQL, so it does everywhere.
func wentOn(failed error) error {
	return fmt.Errorf("update went on after a statement that failed: %w", failed)
}
