package metadb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// session runs statements, in a transaction or outside. Their text is in the marks of [dialect]; their
// errors are those that classify gives.
type session interface {
	// query calls row for each row of the result. row must not use the session.
	query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error
	// exec tells how many rows were changed.
	exec(ctx context.Context, text string, args ...any) (int64, error)
}

// queries implements registry.Queries. Within a transaction it holds the repositories it finds.
type queries struct {
	s    session
	inTx bool
}

// tx implements registry.Tx.
type tx struct{ queries }

func newTx(s session) tx { return tx{queries{s: s, inTx: true}} }

// rowScan reads one row into v.
type rowScan[T any] func(rows *sql.Rows, v *T) error

// list gives all rows of a result.
func list[T any](ctx context.Context, s session, scan rowScan[T], text string, args ...any) ([]T, error) {
	var all []T
	err := s.query(ctx, text, func(rows *sql.Rows) error {
		var v T
		if err := scan(rows, &v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	}, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// one gives the first row of a result, or registry.ErrNoRow.
func one[T any](ctx context.Context, s session, scan rowScan[T], text string, args ...any) (T, error) {
	var v T
	found := false
	err := s.query(ctx, text, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		return scan(rows, &v)
	}, args...)
	switch {
	case err != nil:
		return *new(T), err
	case !found:
		return *new(T), registry.ErrNoRow
	}
	return v, nil
}

// scanOne is the rowScan of a single column that database/sql can scan by itself.
func scanOne[T any](rows *sql.Rows, v *T) error { return rows.Scan(v) }

// exists tells whether a result has a row.
func exists(ctx context.Context, s session, text string, args ...any) (bool, error) {
	found := false
	err := s.query(ctx, text, func(*sql.Rows) error {
		found = true
		return nil
	}, args...)
	return found, err
}

// micros is how a time is stored: 0 stands for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the opposite of micros.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// timeColumn scans what micros made.
type timeColumn struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T, not as a number", v)
	}
	*c.t = fromMicros(n)
	return nil
}

// jsonColumn scans JSON text into what v points to; empty text leaves it as it is.
type jsonColumn struct{ v any }

// Scan implements sql.Scanner.
func (c jsonColumn) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("JSON is stored as %T, not as text", v)
	}
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), c.v)
}

// nullText stores the empty string as NULL.
func nullText[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}

// nullBytes stores no bytes as NULL.
func nullBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
