package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/notify"
)

// Notices gives the notices that are to be delivered, and what became of them.
func (db *DB) Notices() Notices { return Notices{db} }

// Notices implements notify.Rows.
type Notices struct{ db *DB }

var _ notify.Rows = Notices{}

const deliveryColumns = `id, event_id, target, notice, state, created_at, due_at, attempts, ended_at, problem`

func scanDelivery(rows *sql.Rows, d *notify.Delivery) error {
	return rows.Scan(&d.ID, &d.EventID, &d.Target, jsonColumn{&d.Notice}, &d.State, timeColumn{&d.CreatedAt}, timeColumn{&d.DueAt},
		&d.Attempts, timeColumn{&d.EndedAt}, &d.Problem)
}

// PlanDeliveries implements notify.Rows.
func (s Notices) PlanDeliveries(ctx context.Context, deliveries []notify.Delivery) error {
	return s.db.engine.update(ctx, func(t tx) error {
		for _, d := range deliveries {
			notice, err := jsonText(d.Notice)
			if err != nil {
				return err
			}
			_, err = t.s.exec(ctx, `
				INSERT INTO deliveries (event_id, target, notice, state, created_at, due_at, attempts, ended_at, problem)
				VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8) ON CONFLICT (event_id, target) DO NOTHING`,
				d.EventID, d.Target, notice, string(d.State), micros(d.CreatedAt), micros(d.DueAt), micros(d.EndedAt), d.Problem)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ClaimDelivery implements notify.Rows. It looks before it writes, so that nothing to do costs no transaction.
func (s Notices) ClaimDelivery(ctx context.Context, target string, now, again, latest time.Time) (notify.Delivery, bool, error) {
	const due = `target = $1 AND state = 'pending' AND (due_at <= $2 OR due_at > $3)`
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM deliveries WHERE `+due+` LIMIT 1`, target, micros(now), micros(latest))
	if err != nil || !waiting {
		return notify.Delivery{}, false, err
	}
	var claimed []notify.Delivery
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		claimed, err = list(ctx, t.s, scanDelivery, `
			UPDATE deliveries SET due_at = $4 WHERE id = (
				SELECT id FROM deliveries WHERE `+due+` ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
			AND `+due+` RETURNING `+deliveryColumns, target, micros(now), micros(latest), micros(again))
		return err
	})
	if err != nil || len(claimed) == 0 {
		return notify.Delivery{}, false, err
	}
	return claimed[0], true, nil
}

// SettleDelivery implements notify.Rows.
func (s Notices) SettleDelivery(ctx context.Context, d notify.Delivery) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			UPDATE deliveries SET state = $1, due_at = $2, attempts = $3, ended_at = $4, problem = $5 WHERE id = $6 AND state = 'pending'`,
			string(d.State), micros(d.DueAt), d.Attempts, micros(d.EndedAt), d.Problem, d.ID)
		return err
	})
}

// OverdueDeliveries implements notify.Rows.
func (s Notices) OverdueDeliveries(ctx context.Context, before time.Time, limit int) ([]notify.Delivery, error) {
	return list(ctx, s.db.read.s, scanDelivery, `
		SELECT `+deliveryColumns+` FROM deliveries WHERE state = 'pending' AND created_at < $1 ORDER BY created_at, id LIMIT $2`, micros(before), limit)
}

// Deliveries implements notify.Rows.
func (s Notices) Deliveries(ctx context.Context, target string, state notify.State, under int64, limit int) ([]notify.Delivery, error) {
	where, args := `id < $1`, []any{cmp.Or(under, int64(math.MaxInt64)), limit}
	switch {
	case target != "" && state != "":
		where, args = where+` AND target = $3 AND state = $4`, append(args, target, string(state))
	case target != "":
		where, args = where+` AND target = $3`, append(args, target)
	case state != "":
		where, args = where+` AND state = $3`, append(args, string(state))
	}
	return list(ctx, s.db.read.s, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE `+where+` ORDER BY id DESC LIMIT $2`, args...)
}

// PruneDeliveries implements notify.Rows.
func (s Notices) PruneDeliveries(ctx context.Context, before time.Time, limit int) (int64, error) {
	const old = `state <> 'pending' AND ended_at < $1`
	some, err := exists(ctx, s.db.read.s, `SELECT 1 FROM deliveries WHERE `+old+` LIMIT 1`, micros(before))
	if err != nil || !some {
		return 0, err
	}
	var n int64
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		n, err = t.s.exec(ctx, `DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE `+old+` ORDER BY ended_at LIMIT $2)`, micros(before), limit)
		return err
	})
	return n, err
}
