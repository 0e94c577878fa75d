package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// packKey names a pack of a series.
type packKey struct {
	series int64
	grain  time.Duration
	begins int64
}

// RollUp implements usage.Upkeep. The series are locked: two replicas that pack late hours of one would each write a pack without the
// other's.
func (u Usage) RollUp(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	waiting, err := exists(ctx, u.db.read.s, `SELECT 1 FROM usage_hours WHERE at < $1 LIMIT 1`, micros(before))
	if err != nil || !waiting {
		return false, err
	}
	err = u.db.engine.update(ctx, func(t tx) error {
		more = false
		series, err := list(ctx, t.s, scanOne[int64], `
			SELECT id FROM usage_series WHERE id IN (SELECT series_id FROM usage_hours WHERE at < $1 ORDER BY at, series_id LIMIT $2)
			ORDER BY id FOR NO KEY UPDATE`, micros(before), limit)
		if err != nil || len(series) == 0 {
			return err
		}
		more = true
		added, err := t.takeHours(ctx, series, before)
		if err != nil {
			return err
		}
		return t.pack(ctx, added)
	})
	return more, err
}

// takeHours removes the rows of hours that have ended, and gives what is to be added to which pack.
func (t tx) takeHours(ctx context.Context, series []int64, before time.Time) (map[packKey][]usage.Point, error) {
	ids, err := jsonText(series)
	if err != nil {
		return nil, err
	}
	added := map[packKey][]usage.Point{}
	err = t.s.query(ctx, `
		DELETE FROM usage_hours WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND at < $2
		RETURNING series_id, at, samples, total, least, most`, func(rows *sql.Rows) error {
		var id, at int64
		var p usage.Point
		if err := rows.Scan(&id, &at, &p.Count, &p.Sum, &p.Min, &p.Max); err != nil {
			return err
		}
		for _, grain := range []time.Duration{usage.Hour, usage.Day} {
			p.At = time.UnixMicro(at - at%grain.Microseconds()).UTC()
			k := packKey{id, grain, packStart(at, grain)}
			added[k] = append(added[k], p)
		}
		return nil
	}, ids, micros(before))
	return added, err
}

// pack adds points to packs.
func (t tx) pack(ctx context.Context, added map[packKey][]usage.Point) error {
	for k, points := range added {
		slices.SortFunc(points, func(a, b usage.Point) int { return a.At.Compare(b.At) })
		seconds := int64(k.grain.Seconds())
		body, err := one(ctx, t.s, scanOne[[]byte], `SELECT points FROM usage_packs WHERE series_id = $1 AND grain = $2 AND begins_at = $3`, k.series, seconds, k.begins)
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			return err
		}
		packed, err := unpackPoints(nil, body, k.grain, k.begins)
		if err != nil {
			return fmt.Errorf("series %d: %w", k.series, err)
		}
		_, err = t.s.exec(ctx, `
			INSERT INTO usage_packs (series_id, grain, begins_at, points) VALUES ($1, $2, $3, $4)
			ON CONFLICT (series_id, grain, begins_at) DO UPDATE SET points = excluded.points`,
			k.series, seconds, k.begins, packPoints(mergePoints(packed, points), k.grain, k.begins))
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget implements usage.Upkeep. Packs go when all of them is too old.
func (u Usage) Forget(ctx context.Context, old usage.Cutoffs, place string, limit int) (next string, err error) {
	after := int64(0)
	if place != "" {
		if after, err = strconv.ParseInt(place, 10, 64); err != nil {
			return "", err
		}
	}
	series, err := list(ctx, u.db.engine, scanOne[int64], `SELECT id FROM usage_series WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil || len(series) == 0 {
		return "", err
	}
	if len(series) == limit {
		next = strconv.FormatInt(series[limit-1], 10)
	}
	ids, err := jsonText(series)
	if err != nil {
		return "", err
	}
	gone := func(grain time.Duration, before time.Time) int64 {
		return micros(before) - packWidth(grain).Microseconds()
	}
	return next, u.db.engine.update(ctx, func(t tx) error {
		for _, d := range []struct {
			text string
			args []any
		}{
			{`DELETE FROM usage_minutes WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND at < $2`, []any{micros(old.Minutes)}},
			{`DELETE FROM usage_packs WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND grain = $2 AND begins_at <= $3`, []any{int64(usage.Hour.Seconds()), gone(usage.Hour, old.Hours)}},
			{`DELETE FROM usage_packs WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND grain = $2 AND begins_at <= $3`, []any{int64(usage.Day.Seconds()), gone(usage.Day, old.Days)}},
			{`DELETE FROM usage_series WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND last_at < $2
				AND NOT EXISTS (SELECT 1 FROM usage_minutes p WHERE p.series_id = usage_series.id)
				AND NOT EXISTS (SELECT 1 FROM usage_hours p WHERE p.series_id = usage_series.id)
				AND NOT EXISTS (SELECT 1 FROM usage_packs p WHERE p.series_id = usage_series.id)`, []any{micros(old.Minutes)}},
		} {
			if _, err := t.s.exec(ctx, d.text, append([]any{ids}, d.args...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetEvents implements usage.Upkeep.
func (u Usage) ForgetEvents(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	const gone = `SELECT e.event_id FROM usage_events e WHERE e.at < $1 AND NOT EXISTS (SELECT 1 FROM events o WHERE o.id = e.event_id) ORDER BY e.event_id LIMIT $2`
	waiting, err := exists(ctx, u.db.read.s, gone, micros(before), 1)
	if err != nil || !waiting {
		return false, err
	}
	var n int64
	err = u.db.engine.update(ctx, func(t tx) (err error) {
		n, err = t.s.exec(ctx, `DELETE FROM usage_events WHERE event_id IN (`+gone+`)`, micros(before), limit)
		return err
	})
	return n >= int64(limit), err
}

func scanStep(rows *sql.Rows, s *usage.Step) error {
	return rows.Scan(timeColumn{&s.Began}, &s.Place, timeColumn{&s.DueAt})
}

// ClaimRound implements usage.Upkeep.
func (u Usage) ClaimRound(ctx context.Context, name string, now, again time.Time, every time.Duration) (usage.Step, bool, error) {
	const due = ` name = $1 AND (due_at <= $2 OR due_at > $3)`
	far := micros(now.Add(2 * every)) //nolint:mnd // further than any time that was stored by this clock
	step, err := one(ctx, u.db.engine, scanStep, `SELECT began_at, place, due_at FROM usage_rounds WHERE name = $1`, name)
	first := errors.Is(err, registry.ErrNoRow)
	switch {
	case err != nil && !first:
		return usage.Step{}, false, err
	case !first && step.DueAt.After(now) && micros(step.DueAt) <= far:
		return usage.Step{}, false, nil
	}
	found := false
	err = u.db.engine.update(ctx, func(t tx) error {
		found = false
		_, err := t.s.exec(ctx, `INSERT INTO usage_rounds (name, began_at, place, due_at) VALUES ($1, 0, '', $2) ON CONFLICT (name) DO NOTHING`, name, micros(now))
		if err != nil {
			return err
		}
		step, err = one(ctx, t.s, scanStep, `
			UPDATE usage_rounds SET due_at = $4, began_at = CASE WHEN place = '' THEN $2 ELSE began_at END WHERE`+due+`
			RETURNING began_at, place, due_at`, name, micros(now), far, micros(again))
		if errors.Is(err, registry.ErrNoRow) {
			return nil
		}
		found = err == nil
		return err
	})
	step.Name = name
	return step, found, err
}

// EndStep implements usage.Upkeep.
func (u Usage) EndStep(ctx context.Context, s usage.Step) error {
	err := u.db.engine.update(ctx, func(t tx) error { return t.endStep(ctx, s) })
	if errors.Is(err, errNotMine) {
		return nil
	}
	return err
}

// endStep moves a round on, unless somebody else has.
func (t tx) endStep(ctx context.Context, s usage.Step) error {
	n, err := t.s.exec(ctx, `UPDATE usage_rounds SET place = $1, due_at = $2 WHERE name = $3 AND began_at = $4 AND place = $5`,
		s.Next, micros(s.DueAt), s.Name, micros(s.Began), s.Place)
	if err == nil && n == 0 {
		err = errNotMine
	}
	return err
}
