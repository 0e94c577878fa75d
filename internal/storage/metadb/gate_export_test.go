package metadb

import (
	"context"
	"database/sql"
)

// Gate is called with a statement's text before it runs, and around each update: see SetGate. Its error takes the
// statement's place.
type Gate func(ctx context.Context, at string) error

// The places of a Gate that are no statement.
const (
	GateBegin     = "BEGIN"
	GateCommit    = "COMMIT"
	GateCommitted = "after COMMIT"
)

// SetGate has all that the database does go through a gate: each read; the beginning of each update, before the function
// runs; its end, when it is durable and nobody knows yet; and, inside, the statements of an update and the moment before
// its commit. On SQLite whoever waits inside keeps all other writers waiting.
func SetGate(db *DB, inside bool, gate Gate) {
	db.engine = gated{db.engine, gate, inside}
	db.read = queries{s: db.engine}
}

type gated struct {
	engine
	gate   Gate
	inside bool
}

func (e gated) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	return gatedSession{e.engine, e.gate}.query(ctx, text, row, args...)
}

func (e gated) update(ctx context.Context, f func(tx) error) error {
	if err := e.gate(ctx, GateBegin); err != nil {
		return err
	}
	err := e.engine.update(ctx, func(t tx) error {
		if !e.inside {
			return f(t)
		}
		t.s = gatedSession{t.s, e.gate}
		if err := f(t); err != nil {
			return err
		}
		return e.gate(ctx, GateCommit)
	})
	if err != nil {
		return err
	}
	return e.gate(ctx, GateCommitted)
}

type gatedSession struct {
	session
	gate Gate
}

func (s gatedSession) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	if err := s.gate(ctx, text); err != nil {
		return err
	}
	return s.session.query(ctx, text, row, args...)
}

func (s gatedSession) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if err := s.gate(ctx, text); err != nil {
		return 0, err
	}
	return s.session.exec(ctx, text, args...)
}

// Rows reads what a test wants to see of the tables.
func Rows(ctx context.Context, db *DB, text string, row func(*sql.Rows) error) error {
	return db.engine.query(ctx, text, row)
}
