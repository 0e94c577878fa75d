package metadb

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Audit gives what the audit log is searched in.
func (db *DB) Audit() Audit { return Audit{db} }

// Audit implements audit.Store.
type Audit struct{ db *DB }

var _ audit.Store = Audit{}

// treeColumn scans the hashes of a log's tree.
type treeColumn struct{ t *audit.Tree }

// Scan implements sql.Scanner.
func (c treeColumn) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("a tree is stored as %T", v)
	}
	return c.t.UnmarshalBinary(b)
}

func scanAuditLog(rows *sql.Rows, l *audit.Log) error {
	return rows.Scan(&l.ID, treeColumn{&l.Tree}, &l.Checkpoint, timeColumn{&l.At})
}

// Log implements audit.Store.
func (a Audit) Log(ctx context.Context, id string) (audit.Log, error) {
	l, err := one(ctx, a.db.engine, scanAuditLog, `SELECT id, tree, checkpoint, at FROM audit_logs WHERE id = $1`, id)
	if errors.Is(err, registry.ErrNoRow) {
		return audit.Log{ID: id}, nil
	}
	return l, err
}

// Logs implements audit.Store.
func (a Audit) Logs(ctx context.Context) ([]audit.Log, error) {
	return list(ctx, a.db.engine, scanAuditLog, `SELECT id, tree, checkpoint, at FROM audit_logs ORDER BY id`)
}

// Checkpoints implements audit.Store.
func (a Audit) Checkpoints(ctx context.Context, log string) ([]string, error) {
	return list(ctx, a.db.engine, scanOne[string], `SELECT note FROM audit_checkpoints WHERE log_id = $1 ORDER BY size`, log)
}

// Commit implements audit.Store.
func (a Audit) Commit(ctx context.Context, b audit.Batch) ([]int64, error) {
	var ids []int64
	err := a.db.engine.update(ctx, func(t tx) error {
		ids = ids[:0]
		if err := t.moveAuditLog(ctx, b); err != nil {
			return err
		}
		for _, block := range b.Blocks {
			id, err := t.putAuditBlock(ctx, block)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return t.RecordEvents(ctx, b.Events)
	})
	return ids, err
}

// moveAuditLog says how far the log is read, if it was read as far as the batch takes it to be.
func (t tx) moveAuditLog(ctx context.Context, b audit.Batch) error {
	tree, err := b.Log.Tree.MarshalBinary()
	if err != nil {
		return err
	}
	text := `UPDATE audit_logs SET size = $2, tree = $3, checkpoint = $4, at = $5 WHERE id = $1 AND size = $6`
	args := []any{b.Log.ID, b.Log.Tree.Next, tree, b.Log.Checkpoint, micros(b.Log.At)}
	if b.From == 0 {
		text = `INSERT INTO audit_logs (id, size, tree, checkpoint, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`
	} else {
		args = append(args, b.From)
	}
	n, err := t.s.exec(ctx, text, args...)
	if err == nil && n == 0 {
		err = audit.ErrChanged
	}
	if err != nil || !b.KeepCheckpoint {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO audit_checkpoints (log_id, size, note, at) VALUES ($1, $2, $3, $4) ON CONFLICT (log_id, size) DO NOTHING`,
		b.Log.ID, b.Log.Tree.Next, b.Log.Checkpoint, micros(b.Log.At))
	return err
}

// putAuditBlock stores a block, or what it has become, and what it is found by.
func (t tx) putAuditBlock(ctx context.Context, b audit.Block) (int64, error) {
	id := b.ID
	var err error
	if id == 0 {
		id, err = one(ctx, t.s, scanOne[int64], `
			INSERT INTO audit_blocks (log_id, first, records, from_at, until_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			b.Log, b.First, b.Records, micros(b.From), micros(b.Until))
	} else {
		_, err = t.s.exec(ctx, `UPDATE audit_blocks SET records = $2, from_at = $3, until_at = $4 WHERE id = $1`,
			id, b.Records, micros(b.From), micros(b.Until))
	}
	if err != nil {
		return 0, err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO audit_block_bodies (block_id, requests, terms, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (block_id) DO UPDATE SET requests = excluded.requests, terms = excluded.terms, data = excluded.data`,
		id, b.Requests, packTerms(b.Terms), b.Data)
	if err != nil || len(b.NewTerms) == 0 {
		return id, err
	}
	terms, err := termsText(b.NewTerms)
	if err != nil {
		return 0, err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO audit_terms (term, block_id) SELECT CAST(value AS BIGINT), CAST($2 AS BIGINT) FROM texts($1) WHERE true
		ON CONFLICT (term, block_id) DO NOTHING`, terms, id)
	return id, err
}

// termsText lists terms as the strings of a JSON list.
func termsText(terms []int64) (string, error) {
	texts := make([]string, len(terms))
	for i, term := range terms {
		texts[i] = fmt.Sprint(term)
	}
	return jsonText(texts)
}

func packTerms(terms []int64) []byte {
	b := make([]byte, 0, 8*len(terms))
	for _, t := range terms {
		b = binary.BigEndian.AppendUint64(b, uint64(t)) //nolint:gosec // the same bits
	}
	return b
}

func unpackTerms(b []byte) []int64 {
	terms := make([]int64, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		terms = append(terms, int64(binary.BigEndian.Uint64(b))) //nolint:gosec // the same bits
	}
	return terms
}

// Blocks implements audit.Store. There is a block for a thousand records: going through those of a time, the latest first, and asking of each
// whether it has the terms takes less than it does to list the blocks of the most common term.
func (a Audit) Blocks(ctx context.Context, q audit.BlockQuery) ([]audit.Block, error) {
	if q.Log != "" {
		scan := func(rows *sql.Rows, b *audit.Block) error {
			return rows.Scan(&b.ID, &b.Log, &b.First, &b.Records, timeColumn{&b.From}, timeColumn{&b.Until})
		}
		return list(ctx, a.db.engine, scan, `
			SELECT id, log_id, first, records, from_at, until_at FROM audit_blocks WHERE log_id = $1 AND first >= $2 ORDER BY first LIMIT $3`,
			q.Log, q.FromRecord, q.Limit)
	}
	var args []any
	place := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	columns, from := "b.id, b.log_id, b.first, b.records, b.from_at, b.until_at", "audit_blocks b"
	conditions := []string{"true"}
	if q.Requests {
		columns += ", d.requests"
		from += " JOIN audit_block_bodies d ON d.block_id = b.id"
	}
	if !q.Since.IsZero() {
		conditions = append(conditions, "b.until_at >= "+place(micros(q.Since)))
	}
	if !q.Until.IsZero() {
		conditions = append(conditions, "b.from_at < "+place(micros(q.Until)))
	}
	if q.AfterID != 0 {
		conditions = append(conditions, "(b.until_at, b.id) < ("+place(micros(q.AfterUntil))+", "+place(q.AfterID)+")")
	}
	for _, term := range q.Terms {
		conditions = append(conditions, "EXISTS (SELECT 1 FROM audit_terms t WHERE t.term = "+place(term)+" AND t.block_id = b.id)")
	}
	scan := func(rows *sql.Rows, b *audit.Block) error {
		into := []any{&b.ID, &b.Log, &b.First, &b.Records, timeColumn{&b.From}, timeColumn{&b.Until}}
		if q.Requests {
			into = append(into, &b.Requests)
		}
		return rows.Scan(into...)
	}
	text := "SELECT " + columns + " FROM " + from + " WHERE " + strings.Join(conditions, " AND ") + " ORDER BY b.until_at DESC, b.id DESC LIMIT " + place(q.Limit)
	return list(ctx, a.db.engine, scan, text, args...)
}

// Block implements audit.Store.
func (a Audit) Block(ctx context.Context, id int64) (audit.Block, error) {
	scan := func(rows *sql.Rows, b *audit.Block) error {
		return rows.Scan(&b.ID, &b.Log, &b.First, &b.Records, timeColumn{&b.From}, timeColumn{&b.Until}, &b.Data)
	}
	b, err := one(ctx, a.db.engine, scan, `
		SELECT b.id, b.log_id, b.first, b.records, b.from_at, b.until_at, d.data
		FROM audit_blocks b JOIN audit_block_bodies d ON d.block_id = b.id WHERE b.id = $1`, id)
	if errors.Is(err, registry.ErrNoRow) {
		return audit.Block{}, nil
	}
	return b, err
}

// DropBlocks implements audit.Store. A block's own terms are looked up in order, and no index by blocks is kept for it.
func (a Audit) DropBlocks(ctx context.Context, before time.Time, limit int) (int, error) {
	type old struct {
		id    int64
		terms []byte
	}
	scan := func(rows *sql.Rows, o *old) error { return rows.Scan(&o.id, &o.terms) }
	blocks, err := list(ctx, a.db.engine, scan, `
		SELECT b.id, d.terms FROM audit_blocks b JOIN audit_block_bodies d ON d.block_id = b.id
		WHERE b.until_at < $1 ORDER BY b.until_at, b.id LIMIT $2`, micros(before), limit)
	for n, o := range blocks {
		terms, err := termsText(unpackTerms(o.terms))
		if err != nil {
			return n, err
		}
		err = a.db.engine.update(ctx, func(t tx) error {
			if _, err := t.s.exec(ctx, `
				DELETE FROM audit_terms WHERE block_id = $1 AND term IN (SELECT CAST(value AS BIGINT) FROM texts($2))`, o.id, terms); err != nil {
				return err
			}
			_, err := t.s.exec(ctx, `DELETE FROM audit_blocks WHERE id = $1`, o.id)
			return err
		})
		if err != nil {
			return n, err
		}
	}
	return len(blocks), err
}
