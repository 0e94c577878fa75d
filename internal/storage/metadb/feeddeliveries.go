package metadb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const receiverColumns = `name, number, paused_until, sent, missed, sent_at, failed_at, failure`

func scanReceiver(rows *sql.Rows, s *feed.State) error {
	return rows.Scan(&s.Name, &s.Number, timeColumn{&s.PausedUntil}, &s.Sent, &s.Missed, timeColumn{&s.SentAt}, timeColumn{&s.FailedAt}, &s.Failure)
}

// Claim implements feed.Deliveries. It looks before it writes: a receiver that has had everything costs no transaction.
func (f Feed) Claim(ctx context.Context, name, holder string, now, until time.Time) (state feed.State, taken bool, err error) {
	_, err = one(ctx, f.db.read.s, scanReceiver, `SELECT `+receiverColumns+` FROM feed_receivers WHERE name = $1`, name)
	switch {
	case errors.Is(err, registry.ErrNoRow):
		if err := f.addReceiver(ctx, name); err != nil {
			return feed.State{}, false, err
		}
	case err != nil:
		return feed.State{}, false, err
	}
	waiting, err := exists(ctx, f.db.read.s, `
		SELECT 1 FROM feed_receivers r JOIN feed_head h ON h.id = 1
		WHERE r.name = $1 AND r.paused_until <= $2 AND (r.held_until <= $2 OR r.holder = $3)
		AND (r.number < h.number OR EXISTS (SELECT 1 FROM feed_late l WHERE l.receiver = r.name AND l.due_at <= $2))`, name, micros(now), holder)
	if err != nil || !waiting {
		return feed.State{}, false, err
	}
	err = f.db.engine.update(ctx, func(t tx) (err error) {
		state, err = one(ctx, t.s, scanReceiver, `
			UPDATE feed_receivers SET holder = $1, held_until = $2 WHERE name = $3 AND (held_until <= $4 OR holder = $1)
			RETURNING `+receiverColumns, holder, micros(until), name, micros(now))
		return err
	})
	if errors.Is(err, registry.ErrNoRow) { // another was faster
		return feed.State{}, false, nil
	}
	return state, err == nil, err
}

// addReceiver begins where the feed ends.
func (f Feed) addReceiver(ctx context.Context, name string) error {
	return f.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			INSERT INTO feed_receivers (name, number, holder, held_until, paused_until, sent, missed, sent_at, failed_at, failure)
			SELECT CAST($1 AS TEXT), number, '', 0, 0, 0, 0, 0, 0, '' FROM feed_head WHERE id = 1
			ON CONFLICT (name) DO NOTHING`, name)
		return err
	})
}

// Save implements feed.Deliveries.
func (f Feed) Save(ctx context.Context, name, holder string, p feed.Progress) error {
	return f.db.engine.update(ctx, func(t tx) error {
		failedAt, sentAt := time.Time{}, time.Time{}
		if p.Failure != "" {
			failedAt = p.At
		}
		if p.Sent > 0 {
			sentAt = p.At
		}
		n, err := t.s.exec(ctx, `
			UPDATE feed_receivers SET
				number = CASE WHEN CAST($1 AS BIGINT) > number THEN $1 ELSE number END, held_until = $2,
				paused_until = CASE WHEN CAST($3 AS BIGINT) > 0 THEN $3 ELSE paused_until END,
				sent = sent + $4, missed = missed + $5,
				sent_at = CASE WHEN CAST($6 AS BIGINT) > 0 THEN $6 ELSE sent_at END,
				failed_at = CASE WHEN CAST($7 AS BIGINT) > 0 THEN $7 ELSE failed_at END,
				failure = CASE WHEN CAST($7 AS BIGINT) > 0 THEN CAST($8 AS TEXT) ELSE failure END
			WHERE name = $9 AND holder = $10`,
			p.Number, micros(p.HeldUntil), micros(p.PausedUntil), p.Sent, p.Missed, micros(sentAt), micros(failedAt), p.Failure, name, holder)
		if err != nil {
			return err
		}
		if n == 0 {
			return feed.ErrLost
		}
		return t.saveLate(ctx, name, p)
	})
}

func (t tx) saveLate(ctx context.Context, name string, p feed.Progress) error {
	if len(p.Caught) > 0 {
		text, err := jsonText(p.Caught)
		if err != nil {
			return err
		}
		if _, err := t.s.exec(ctx, `DELETE FROM feed_late WHERE receiver = $1 AND repository IN (SELECT value FROM texts($2))`, name, text); err != nil {
			return err
		}
	}
	for _, l := range p.Late {
		_, err := t.s.exec(ctx, `
			INSERT INTO feed_late (receiver, repository, number, attempts, due_at, failure) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (receiver, repository) DO UPDATE SET number = excluded.number, attempts = excluded.attempts, due_at = excluded.due_at,
				failure = excluded.failure`, name, l.Repository, l.Number, l.Attempts, micros(l.DueAt), l.Failure)
		if err != nil {
			return err
		}
	}
	for _, a := range p.SetAside {
		_, err := t.s.exec(ctx, `
			INSERT INTO feed_set_aside (receiver, number, repository, at, reason) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			name, a.Number, a.Repository, micros(a.At), a.Reason)
		if err != nil {
			return err
		}
	}
	return nil
}

// DropReceivers implements feed.Deliveries. It looks before it writes: there is seldom one.
func (f Feed) DropReceivers(ctx context.Context, unclaimedSince time.Time) error {
	const gone = `held_until < $1 AND number < (SELECT forgotten FROM feed_head WHERE id = 1)`
	there, err := exists(ctx, f.db.read.s, `SELECT 1 FROM feed_receivers WHERE `+gone, micros(unclaimedSince))
	if err != nil || !there {
		return err
	}
	return f.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `DELETE FROM feed_receivers WHERE `+gone, micros(unclaimedSince))
		return err
	})
}

const lateColumns = `repository, number, attempts, due_at, failure`

func scanLate(rows *sql.Rows, l *feed.Late) error {
	return rows.Scan(&l.Repository, &l.Number, &l.Attempts, timeColumn{&l.DueAt}, &l.Failure)
}

// Late implements feed.Deliveries.
func (f Feed) Late(ctx context.Context, name string, now time.Time, limit int) ([]feed.Late, error) {
	return list(ctx, f.db.read.s, scanLate, `
		SELECT `+lateColumns+` FROM feed_late WHERE receiver = $1 AND due_at <= $2 ORDER BY due_at, repository LIMIT $3`, name, micros(now), limit)
}

// LateAmong implements feed.Deliveries.
func (f Feed) LateAmong(ctx context.Context, name string, repositories []string) ([]string, error) {
	text, err := jsonText(repositories)
	if err != nil {
		return nil, err
	}
	return list(ctx, f.db.read.s, scanOne[string], `
		SELECT repository FROM feed_late WHERE receiver = $1 AND repository IN (SELECT value FROM texts($2))`, name, text)
}

// States implements feed.Deliveries.
func (f Feed) States(ctx context.Context, limit int) ([]feed.State, error) {
	states, err := list(ctx, f.db.read.s, scanReceiver, `SELECT `+receiverColumns+` FROM feed_receivers ORDER BY name`)
	if err != nil {
		return nil, err
	}
	for i := range states {
		s := &states[i]
		if s.LateCount, err = one(ctx, f.db.read.s, scanOne[int64], `SELECT COUNT(*) FROM feed_late WHERE receiver = $1`, s.Name); err != nil {
			return nil, err
		}
		if s.Aside, err = one(ctx, f.db.read.s, scanOne[int64], `SELECT COUNT(*) FROM feed_set_aside WHERE receiver = $1`, s.Name); err != nil {
			return nil, err
		}
		s.Late, err = list(ctx, f.db.read.s, scanLate, `
			SELECT `+lateColumns+` FROM feed_late WHERE receiver = $1 ORDER BY due_at, repository LIMIT $2`, s.Name, limit)
		if err != nil {
			return nil, err
		}
		if len(s.Late) > 0 {
			s.Due = s.Late[0].DueAt
		}
		s.SetAside, err = list(ctx, f.db.read.s, func(rows *sql.Rows, a *feed.Aside) error {
			return rows.Scan(&a.Number, &a.Repository, timeColumn{&a.At}, &a.Reason)
		}, `SELECT number, repository, at, reason FROM feed_set_aside WHERE receiver = $1 ORDER BY number DESC LIMIT $2`, s.Name, limit)
		if err != nil {
			return nil, err
		}
	}
	return states, nil
}
