package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// RecordEvents implements registry.EventWrites.
func (t tx) RecordEvents(ctx context.Context, events []event.Event) error {
	for _, e := range events {
		e.ID, e.Attempts = 0, 0 // the row's own columns
		body, err := jsonText(e)
		if err != nil {
			return err
		}
		if _, err := t.s.exec(ctx, `INSERT INTO events (due_at, attempts, body) VALUES ($1, 0, $2)`, micros(e.At), body); err != nil {
			return err
		}
	}
	return nil
}

// Outbox gives the events that wait to be handed on.
func (db *DB) Outbox() event.Outbox { return outbox{db} }

type outbox struct{ db *DB }

// Claim implements event.Outbox. What it gives is in the feed: see feedEvents. It looks before it writes, so that an outbox with nothing in it costs no
// transaction. PostgreSQL may evaluate what follows IN more than once and take more than limit, which does no harm.
func (o outbox) Claim(ctx context.Context, now, again time.Time, limit int) ([]event.Event, error) {
	waiting, err := exists(ctx, o.db.read.s, `SELECT 1 FROM events WHERE due_at <= $1 LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return nil, err
	}
	scan := func(rows *sql.Rows, e *event.Event) error {
		var id int64
		var attempts int
		if err := rows.Scan(&id, &attempts, jsonColumn{e}); err != nil {
			return err
		}
		e.ID, e.Attempts = id, attempts
		return nil
	}
	var events []event.Event
	err = o.db.engine.update(ctx, func(t tx) (err error) {
		if err := t.feedEvents(ctx); err != nil {
			return err
		}
		events, err = list(ctx, t.s, scan, `
			UPDATE events SET due_at = $1 WHERE id IN (
				SELECT id FROM events WHERE due_at <= $2 AND fed = 1 ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
			AND due_at <= $2 RETURNING id, attempts, body`, micros(again), micros(now), limit)
		return err
	})
	slices.SortFunc(events, func(a, b event.Event) int { return cmp.Compare(a.ID, b.ID) })
	return events, err
}

// Done implements event.Outbox.
func (o outbox) Done(ctx context.Context, ids []int64) error {
	list, err := jsonText(ids)
	if err != nil {
		return err
	}
	return o.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `DELETE FROM events WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, list)
		return err
	})
}

// Retry implements event.Outbox.
func (o outbox) Retry(ctx context.Context, id int64, at time.Time) error {
	return o.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `UPDATE events SET due_at = $1, attempts = attempts + 1 WHERE id = $2`, micros(at), id)
		return err
	})
}

// Setting implements registry.SettingQueries.
func (q queries) Setting(ctx context.Context, name registry.SettingName) (string, error) {
	return one(ctx, q.s, scanOne[string], `SELECT body FROM settings WHERE name = $1`, string(name))
}

// PutSetting implements registry.SettingWrites.
func (t tx) PutSetting(ctx context.Context, name registry.SettingName, body string, at time.Time) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO settings (name, body, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at`, string(name), body, micros(at))
	return err
}

// DeleteSetting implements registry.SettingWrites.
func (t tx) DeleteSetting(ctx context.Context, name registry.SettingName) (bool, error) {
	n, err := t.s.exec(ctx, `DELETE FROM settings WHERE name = $1`, string(name))
	return n > 0, err
}
