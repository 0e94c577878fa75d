package metadb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// classify gives a statement's error the meaning that callers can act on: registry.ErrConflict for a
// broken constraint, fault.StorageFull, fault.Unavailable. The context's errors and all others stay.
func classify(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return classifySQLite(e, err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyPostgres(e, err)
	}
	if connectionLost(err) {
		return unavailable(err)
	}
	return err
}

func classifySQLite(e *sqlite.Error, err error) error {
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", registry.ErrConflict, err)
	}
	switch e.Code() & 0xff { // the primary result code
	case sqlite3.SQLITE_FULL:
		return full(err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL:
		return unavailable(err)
	}
	return err
}

// breaksTransaction tells errors after which SQLite may have rolled back the whole transaction, not just
// the statement (https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction").
func breaksTransaction(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_ABORT:
		return true
	}
	return false
}

func classifyPostgres(e *pgconn.PgError, err error) error {
	switch {
	case e.Code == "23505", e.Code == "23503": // unique_violation, foreign_key_violation
		return fmt.Errorf("%w: %w", registry.ErrConflict, err)
	case e.Code == "53100": // disk_full
		return full(err)
	case e.Code == "22021": // character_not_in_repertoire, which SQLite would take
		return fault.Wrap(fault.InvalidParameter, err, "a text has a character that cannot be stored")
	case strings.HasPrefix(e.Code, "08"), // connection exceptions
		strings.HasPrefix(e.Code, "53"),   // insufficient resources
		strings.HasPrefix(e.Code, "57P0"), // shut down, starting up
		strings.HasPrefix(e.Code, "58"),   // system errors
		e.Code == "25006",                 // read_only_sql_transaction: a standby
		conflictsInPostgres(err):
		return unavailable(err)
	}
	return err
}

// conflictsInPostgres tells serialization failures and deadlocks, after which trying again helps.
func conflictsInPostgres(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

func connectionLost(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, lost := range []error{driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// connectionDropped tells a connection that was there and has gone, from one that could not be made.
func connectionDropped(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "57P01" || e.Code == "57P02" // admin_shutdown, crash_shutdown
	}
	return connectionLost(err)
}

func full(err error) error {
	return fault.Wrap(fault.StorageFull, err, "the registry's metadata database has no room left: nothing was stored")
}

func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the registry's metadata database does not answer: try again")
}

// isBusy tells whether another process has an SQLite file in hand.
func isBusy(err error) bool {
	busy, ok := errors.AsType[*sqlite.Error](err)
	return ok && busy.Code()&0xff == sqlite3.SQLITE_BUSY //nolint:mnd // the rest says why (https://www.sqlite.org/rescode.html)
}
