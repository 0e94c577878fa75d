package metadb

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
)

// Feed gives the events that are kept for others, and who of them is how far.
func (db *DB) Feed() Feed { return Feed{db} }

// Feed implements feed.Store and feed.Deliveries.
type Feed struct{ db *DB }

var (
	_ feed.Store      = Feed{}
	_ feed.Deliveries = Feed{}
)

// feedAtOnce bounds how many events get their numbers in a transaction.
const feedAtOnce = 1000

// fedRow is an event on its way into the feed.
type fedRow struct {
	Number     int64
	ID         int64
	At         int64
	Kind       event.Kind
	Repository string
	Body       string
}

// feedEvents gives numbers to events that have none. The lock on the head is held to the commit, so that whoever sees a number sees all
// lower ones; what is read after it is there in the order of its causes, since an event is recorded by a transaction that has seen them
// committed. It looks for events before it takes the lock.
func (t tx) feedEvents(ctx context.Context) error {
	there, err := exists(ctx, t.s, `SELECT 1 FROM events WHERE fed = 0 LIMIT 1`)
	if err != nil || !there {
		return err
	}
	last, err := one(ctx, t.s, scanOne[int64], `SELECT number FROM feed_head WHERE id = 1 FOR UPDATE`)
	if err != nil {
		return err
	}
	all, err := list(ctx, t.s, func(rows *sql.Rows, r *fedRow) error { return rows.Scan(&r.ID, &r.Body) }, `
		SELECT id, body FROM events WHERE fed = 0 ORDER BY id LIMIT $1`, feedAtOnce)
	if err != nil || len(all) == 0 {
		return err
	}
	var ids []int64
	var outward []fedRow
	for _, r := range all {
		var e event.Event
		if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
			return err
		}
		ids = append(ids, r.ID)
		if e.Kind.Outward() {
			last++
			r.Number, r.At, r.Kind, r.Repository = last, micros(e.At), e.Kind, e.Repository
			outward = append(outward, r)
		}
	}
	text, err := jsonText(ids)
	if err != nil {
		return err
	}
	if _, err := t.s.exec(ctx, `UPDATE events SET fed = 1 WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, text); err != nil {
		return err
	}
	return t.putFeed(ctx, last, outward)
}

// putFeed adds entries and moves the head.
func (t tx) putFeed(ctx context.Context, last int64, rows []fedRow) error {
	if len(rows) == 0 {
		return nil
	}
	text, err := jsonText(rows)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO feed (number, event_id, at, kind, repository, body)
		SELECT CAST(value ->> 'Number' AS BIGINT), CAST(value ->> 'ID' AS BIGINT), CAST(value ->> 'At' AS BIGINT), value ->> 'Kind',
			value ->> 'Repository', value ->> 'Body'
		FROM objects($1)`, text)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `UPDATE feed_head SET number = $1 WHERE id = 1`, last)
	return err
}

// Head implements feed.Store.
func (f Feed) Head(ctx context.Context) (feed.Head, error) { return head(ctx, f.db.read.s) }

func head(ctx context.Context, s session) (feed.Head, error) {
	return one(ctx, s, func(rows *sql.Rows, h *feed.Head) error { return rows.Scan(&h.Number, &h.Forgotten) },
		`SELECT number, forgotten FROM feed_head WHERE id = 1`)
}

func scanFed(rows *sql.Rows, e *feed.Entry) error {
	var number, id int64
	if err := rows.Scan(&number, &id, jsonColumn{&e.Event}); err != nil {
		return err
	}
	e.Number, e.ID = number, id
	return nil
}

// After implements feed.Store.
func (f Feed) After(ctx context.Context, after int64, limit int) ([]feed.Entry, error) {
	return list(ctx, f.db.read.s, scanFed, `SELECT number, event_id, body FROM feed WHERE number > $1 ORDER BY number LIMIT $2`, after, limit)
}

// OfRepository implements feed.Store and feed.Deliveries.
func (f Feed) OfRepository(ctx context.Context, repository string, after, to int64, limit int) ([]feed.Entry, error) {
	return list(ctx, f.db.read.s, scanFed, `
		SELECT number, event_id, body FROM feed WHERE repository = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4`,
		repository, after, to, limit)
}

// Forget implements feed.Store. Times are not quite in the order of numbers, so what goes is what stands before the first entry that stays.
func (f Feed) Forget(ctx context.Context, before time.Time, keep int64, limit int) (int64, error) {
	h, err := f.Head(ctx)
	if err != nil {
		return 0, err
	}
	// The first that stays by its age, of those that may go at once.
	to, err := one(ctx, f.db.read.s, scanOne[int64], `
		SELECT COALESCE(MIN(number), $2 + 1) - 1 FROM feed WHERE number > $1 AND number <= $2 AND at >= $3`,
		h.Forgotten, min(h.Number, h.Forgotten+int64(limit)), micros(before))
	if err != nil {
		return 0, err
	}
	to = max(to, min(h.Number-keep, h.Forgotten+int64(limit)))
	if to <= h.Forgotten {
		return 0, nil
	}
	return to - h.Forgotten, f.db.engine.update(ctx, func(t tx) error {
		// Raised and never lowered: another replica may have come first.
		if _, err := t.s.exec(ctx, `UPDATE feed_head SET forgotten = $1 WHERE id = 1 AND forgotten < $1`, to); err != nil {
			return err
		}
		if _, err := t.s.exec(ctx, `DELETE FROM feed_set_aside WHERE number <= $1`, to); err != nil {
			return err
		}
		_, err := t.s.exec(ctx, `DELETE FROM feed WHERE number <= $1`, to)
		return err
	})
}
