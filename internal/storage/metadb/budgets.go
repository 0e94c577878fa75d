package metadb

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
)

// Budgets gives what is remembered of bills and budgets.
func (db *DB) Budgets() Budgets { return Budgets{db} }

// Budgets implements cost.Store.
type Budgets struct{ db *DB }

var _ cost.Store = Budgets{}

// ClaimReckoning implements cost.Store. It looks before it writes, so that nothing to do costs no transaction.
func (b Budgets) ClaimReckoning(ctx context.Context, now, next time.Time) (bool, error) {
	due, err := exists(ctx, b.db.read.s, `SELECT 1 FROM reckonings WHERE id = 1 AND (due_at <= $1 OR due_at > $2)`, micros(now), micros(next))
	if err != nil || !due {
		return false, err
	}
	mine := false
	err = b.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `UPDATE reckonings SET due_at = $1 WHERE id = 1 AND (due_at <= $2 OR due_at > $1)`, micros(next), micros(now))
		mine = n > 0
		return err
	})
	return mine, err
}

// TellOfBudget implements cost.Store.
func (b Budgets) TellOfBudget(ctx context.Context, budget, month, threshold string, at time.Time, e event.Event) (bool, error) {
	told := false
	err := b.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `
			INSERT INTO budgets_told (budget, month, threshold, told_at) VALUES ($1, $2, $3, $4) ON CONFLICT (budget, month, threshold) DO NOTHING`,
			budget, month, threshold, micros(at))
		if told = n > 0; err != nil || !told || len(e.Notice.Targets) == 0 {
			return err
		}
		return t.RecordEvents(ctx, []event.Event{e})
	})
	return told, err
}
