package metadb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Points implements usage.Store.
func (u Usage) Points(ctx context.Context, sel usage.Selection, each func(metric int, points []usage.Point) error) error {
	of, ids, err := u.selected(ctx, sel.Metrics)
	if err != nil || len(ids) == 0 {
		return err
	}
	give := func(id int64, points []usage.Point) error {
		if len(points) == 0 {
			return nil
		}
		for _, metric := range of[id] {
			if err := each(metric, points); err != nil {
				return err
			}
		}
		return nil
	}
	list, err := jsonText(ids)
	if err != nil {
		return err
	}
	if sel.Grain == usage.Minute {
		return u.minutes(ctx, sel, list, give)
	}
	return u.packed(ctx, sel, list, give)
}

// selected gives the series of metrics, and for each the places of the metrics that ask for it: one that is asked for twice is given
// twice, and not read twice.
func (u Usage) selected(ctx context.Context, metrics []usage.Metric) (of map[int64][]int, ids []int64, err error) {
	asked := map[string][]int{}
	hashes := make([]string, 0, len(metrics))
	for i, m := range metrics {
		hash, err := metricHash(m)
		if err != nil {
			return nil, nil, err
		}
		if asked[hash] = append(asked[hash], i); len(asked[hash]) == 1 {
			hashes = append(hashes, hash)
		}
	}
	list, err := jsonText(hashes)
	if err != nil {
		return nil, nil, err
	}
	of = map[int64][]int{}
	err = u.db.engine.query(ctx, `SELECT id, metric, unit FROM usage_series WHERE metric IN (SELECT value FROM texts($1)) ORDER BY id`, func(rows *sql.Rows) error {
		var id int64
		var k seriesKey
		if err := rows.Scan(&id, &k.metric, &k.unit); err != nil {
			return err
		}
		for _, i := range asked[k.metric] {
			if unit := metrics[i].Unit; unit == "" || unit == k.unit {
				of[id] = append(of[id], i)
			}
		}
		if len(of[id]) > 0 {
			ids = append(ids, id)
		}
		return nil
	}, list)
	return of, ids, err
}

// gathered is how many points of one series are handed on at once.
const gathered = 256

// minutes gives the rows of minutes.
func (u Usage) minutes(ctx context.Context, sel usage.Selection, ids string, give func(int64, []usage.Point) error) error {
	var series int64
	var points []usage.Point
	err := u.db.engine.query(ctx, `
		SELECT series_id, at, samples, total, least, most FROM usage_minutes
		WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND at >= $2 AND at < $3 ORDER BY series_id, at`, func(rows *sql.Rows) error {
		var id, at int64
		var p usage.Point
		if err := rows.Scan(&id, &at, &p.Count, &p.Sum, &p.Min, &p.Max); err != nil {
			return err
		}
		p.At = time.UnixMicro(at).UTC()
		if id != series || len(points) == gathered {
			if err := give(series, points); err != nil {
				return err
			}
			series, points = id, points[:0]
		}
		points = append(points, p)
		return nil
	}, ids, micros(sel.From), micros(sel.To))
	if err != nil {
		return err
	}
	return give(series, points)
}

// packed gives the points of packs, and what was not put into them yet: both in one statement, so that nothing moves from the one to the
// other between.
func (u Usage) packed(ctx context.Context, sel usage.Selection, ids string, give func(int64, []usage.Point) error) error {
	points := make([]usage.Point, 0, gathered)
	var body sql.RawBytes
	return u.db.engine.query(ctx, `
		SELECT series_id, begins_at AS at, points, 0.0 AS samples, 0.0 AS total, 0.0 AS least, 0.0 AS most FROM usage_packs
		WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND grain = $2 AND begins_at >= $3 AND begins_at < $4
		UNION ALL
		SELECT series_id, at, unhex(''), samples, total, least, most FROM usage_hours
		WHERE series_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND at >= $5 AND at < $4`, func(rows *sql.Rows) (err error) {
		var id, at int64
		var p usage.Point
		if err := rows.Scan(&id, &at, &body, &p.Count, &p.Sum, &p.Min, &p.Max); err != nil {
			return err
		}
		if p.Count > 0 {
			p.At = time.UnixMicro(at - at%sel.Grain.Microseconds()).UTC()
			return give(id, append(points[:0], p))
		}
		if points, err = unpackPoints(points[:0], body, sel.Grain, at); err != nil {
			return fmt.Errorf("series %d: %w", id, err)
		}
		return give(id, withinTimes(points, sel.From, sel.To))
	}, ids, int64(sel.Grain.Seconds()), packStart(micros(sel.From), sel.Grain), micros(sel.To), micros(sel.From))
}

// withinTimes cuts points, which are in order, to those in [from, to).
func withinTimes(points []usage.Point, from, to time.Time) []usage.Point {
	for len(points) > 0 && points[0].At.Before(from) {
		points = points[1:]
	}
	for len(points) > 0 && !points[len(points)-1].At.Before(to) {
		points = points[:len(points)-1]
	}
	return points
}

// Metrics implements usage.Store. A metric that has points in several units is there once.
func (u Usage) Metrics(ctx context.Context, l usage.Listing) ([]usage.Listed, error) {
	var text strings.Builder
	text.WriteString(`SELECT s.id, s.namespace, s.name, s.dimensions, s.unit, s.last_at FROM usage_series s WHERE s.id > $1 AND s.last_at >= $2
		AND NOT EXISTS (SELECT 1 FROM usage_series o WHERE o.metric = s.metric AND o.id < s.id AND o.last_at >= $2)`)
	args := []any{l.AfterID, micros(l.ActiveSince)}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if l.Namespace != "" {
		text.WriteString(` AND s.namespace = ` + arg(l.Namespace))
	}
	if l.Name != "" {
		text.WriteString(` AND s.name = ` + arg(l.Name))
	}
	others := []string{`d.series_id = s.id`}
	for _, d := range l.Dimensions {
		name := arg(d.Name)
		condition := []string{`d.series_id = s.id`, `d.name = ` + name}
		if d.Value != "" {
			condition = append(condition, `d.value = `+arg(d.Value))
		}
		text.WriteString(` AND EXISTS (SELECT 1 FROM usage_dimensions d WHERE ` + strings.Join(condition, " AND ") + `)`)
		others = append(others, `d.name <> `+name)
	}
	if l.Exactly {
		text.WriteString(` AND NOT EXISTS (SELECT 1 FROM usage_dimensions d WHERE ` + strings.Join(others, ` AND `) + `)`)
	}
	text.WriteString(` ORDER BY s.id LIMIT ` + arg(l.Limit))
	return list(ctx, u.db.engine, scanListed, text.String(), args...)
}

func scanListed(rows *sql.Rows, l *usage.Listed) error {
	var names string
	err := rows.Scan(&l.ID, &l.Metric.Namespace, &l.Metric.Name, &names, &l.Metric.Unit, timeColumn{&l.LastAt})
	if err != nil {
		return err
	}
	var flat []string
	if err := json.Unmarshal([]byte(names), &flat); err != nil {
		return err
	}
	for i := 0; i+1 < len(flat); i += 2 {
		l.Metric.Dimensions = append(l.Metric.Dimensions, usage.Dimension{Name: flat[i], Value: flat[i+1]})
	}
	return nil
}
