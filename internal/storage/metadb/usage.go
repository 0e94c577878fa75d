package metadb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Usage gives what is counted.
func (db *DB) Usage() Usage { return Usage{db} }

// Usage implements the ports of package usage.
//
// What is added to a metric goes to the minute's row and to the hour's, both in the transaction that counts. RollUp moves hours that have
// ended into packs of a week, and adds them to packs of days: it adds, and so nothing that comes late needs to be looked for, and no order
// of clocks is relied on. An hour is always its point in the pack and its row together.
type Usage struct{ db *DB }

var (
	_ usage.Store  = Usage{}
	_ usage.Upkeep = Usage{}
)

// metricHash names a metric in the database.
func metricHash(m usage.Metric) (string, error) {
	names := []string{m.Namespace, m.Name}
	for _, d := range m.Dimensions {
		names = append(names, d.Name, d.Value)
	}
	text, err := jsonText(names)
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:]), err
}

// seriesKey is what usage_series are unique by.
type seriesKey struct{ metric, unit string }

// keyedDatum is a datum with the key of its series.
type keyedDatum struct {
	seriesKey
	usage.Datum
}

// keyed finds the keys of datums.
func keyed(datums []usage.Datum) ([]keyedDatum, error) {
	all := make([]keyedDatum, len(datums))
	for i, d := range datums {
		hash, err := metricHash(d.Metric)
		if err != nil {
			return nil, err
		}
		all[i] = keyedDatum{seriesKey{hash, d.Unit}, d}
	}
	return all, nil
}

// usageRow is what a batch adds to one series in one minute or hour, and how it travels to a statement.
type usageRow struct {
	ID     int64   `json:"i"`
	At     int64   `json:"t"`
	Count  float64 `json:"n"`
	Sum    float64 `json:"s"`
	Least  float64 `json:"l"`
	Most   float64 `json:"m"`
	series seriesKey
}

// errNotMine rolls a batch back whose round is somebody else's.
var errNotMine = errors.New("somebody else has taken it on")

// Count implements usage.Store.
func (u Usage) Count(ctx context.Context, b usage.Batch) (bool, error) {
	err := u.db.engine.update(ctx, func(t tx) error {
		fresh, err := t.markCounted(ctx, b)
		if err != nil {
			return err
		}
		datums, err := keyed(fresh)
		if err != nil || len(datums) == 0 {
			return err
		}
		ids, made, err := t.usageSeries(ctx, datums)
		if err != nil {
			return err
		}
		if made && b.MaxSeries > 0 {
			if err := t.roomForSeries(ctx, b.MaxSeries); err != nil {
				return err
			}
		}
		if err := t.addUsage(ctx, "usage_minutes", gather(datums, usage.Minute), ids); err != nil {
			return err
		}
		return t.addUsage(ctx, "usage_hours", gather(datums, usage.Hour), ids)
	})
	if errors.Is(err, errNotMine) {
		return false, nil
	}
	return err == nil, err
}

// markCounted marks what is counted, and gives the values of what was not marked before.
func (t tx) markCounted(ctx context.Context, b usage.Batch) ([]usage.Datum, error) {
	if b.Round != nil {
		if err := t.endStep(ctx, *b.Round); err != nil {
			return nil, err
		}
	}
	if len(b.Events) == 0 {
		return b.Datums, nil
	}
	datums := slices.Clone(b.Datums)
	of := map[int64][]usage.Datum{}
	for _, e := range b.Events {
		of[e.ID] = e.Datums
	}
	ids, err := jsonText(slices.Sorted(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	err = t.s.query(ctx, `
		INSERT INTO usage_events (event_id, at) SELECT CAST(value AS BIGINT), CAST($2 AS BIGINT) FROM texts($1) WHERE true
		ON CONFLICT (event_id) DO NOTHING RETURNING event_id`, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		datums = append(datums, of[id]...)
		return err
	}, ids, micros(b.At))
	return datums, err
}

// gather adds up what falls to the same series and time, since one statement must not write a row twice.
func gather(datums []keyedDatum, grain time.Duration) []usageRow {
	type place struct {
		seriesKey
		at int64
	}
	sums := map[place]usage.Point{}
	for _, d := range datums {
		at := micros(d.At)
		k := place{d.seriesKey, at - at%grain.Microseconds()}
		p := sums[k]
		p.Add(d.Point)
		sums[k] = p
	}
	rows := make([]usageRow, 0, len(sums))
	for k, p := range sums {
		rows = append(rows, usageRow{At: k.at, Count: p.Count, Sum: p.Sum, Least: p.Min, Most: p.Max, series: k.seriesKey})
	}
	return rows
}

// addUsage adds to rows, in one order everywhere, so that batches wait for each other and do not lock each other out.
func (t tx) addUsage(ctx context.Context, table string, rows []usageRow, ids map[seriesKey]int64) error {
	for i := range rows {
		rows[i].ID = ids[rows[i].series]
	}
	slices.SortFunc(rows, func(a, b usageRow) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.At, b.At)) })
	text, err := jsonText(rows)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO `+table+` (series_id, at, samples, total, least, most)
		SELECT CAST(value ->> 'i' AS BIGINT), CAST(value ->> 't' AS BIGINT), CAST(value ->> 'n' AS DOUBLE PRECISION), CAST(value ->> 's' AS DOUBLE PRECISION),
			CAST(value ->> 'l' AS DOUBLE PRECISION), CAST(value ->> 'm' AS DOUBLE PRECISION)
		FROM objects($1) WHERE true
		ON CONFLICT (series_id, at) DO UPDATE SET samples = `+table+`.samples + excluded.samples, total = `+table+`.total + excluded.total,
			least = CASE WHEN excluded.least < `+table+`.least THEN excluded.least ELSE `+table+`.least END,
			most = CASE WHEN excluded.most > `+table+`.most THEN excluded.most ELSE `+table+`.most END`, text)
	return err
}

// freshness is how far a series' last_at may be behind its newest point, so that not every batch writes it.
const freshness = 15 * time.Minute

// newSeries is a row of usage_series on its way to a statement.
type newSeries struct {
	Metric     string   `json:"h"`
	Unit       string   `json:"u"`
	Namespace  string   `json:"s"`
	Name       string   `json:"n"`
	Dimensions []string `json:"-"` // names and values by turns
	Text       string   `json:"d"` // the same, as the column has them
	LastAt     int64    `json:"t"`
}

func (n newSeries) key() seriesKey { return seriesKey{n.Metric, n.Unit} }

// roomForSeries refuses more series of clients than there may be. It counts in the index by namespace, and passes the server's own by.
func (t tx) roomForSeries(ctx context.Context, most int) error {
	n, err := one(ctx, t.s, scanOne[int], `
		SELECT (SELECT COUNT(*) FROM usage_series WHERE namespace < 'AWS/') +
			(SELECT COUNT(*) FROM usage_series WHERE namespace >= 'AWS0' AND namespace < 'Berth') +
			(SELECT COUNT(*) FROM usage_series WHERE namespace > 'Berth')`)
	if err == nil && n > most {
		err = usage.ErrTooManySeries
	}
	return err
}

// usageSeries gives the ids of the series of a batch, and makes those that are not there: made says that there are some. It holds them:
// nobody removes them meanwhile.
func (t tx) usageSeries(ctx context.Context, datums []keyedDatum) (ids map[seriesKey]int64, made bool, err error) {
	wanted, err := seriesOf(datums)
	if err != nil || len(wanted) == 0 {
		return nil, false, err
	}
	hashes := make([]string, 0, len(wanted))
	for k := range wanted {
		hashes = append(hashes, k.metric)
	}
	list, err := jsonText(hashes)
	if err != nil {
		return nil, false, err
	}
	ids = map[seriesKey]int64{}
	fresh := map[seriesKey]bool{}
	err = t.s.query(ctx, `SELECT id, metric, unit, last_at FROM usage_series WHERE metric IN (SELECT value FROM texts($1)) FOR KEY SHARE`, func(rows *sql.Rows) error {
		var id, last int64
		var k seriesKey
		if err := rows.Scan(&id, &k.metric, &k.unit, &last); err != nil {
			return err
		}
		if n, ok := wanted[k]; ok {
			ids[k] = id
			fresh[k] = n.LastAt < last+freshness.Microseconds()
		}
		return nil
	}, list)
	if err != nil {
		return nil, false, err
	}
	var stale []newSeries
	for k, n := range wanted {
		if !fresh[k] {
			stale = append(stale, n)
		}
	}
	if len(stale) == 0 {
		return ids, false, nil
	}
	made = len(ids) < len(wanted)
	return ids, made, t.putSeries(ctx, stale, ids)
}

// seriesOf gives the series of datums, each with its newest time.
func seriesOf(datums []keyedDatum) (map[seriesKey]newSeries, error) {
	all := map[seriesKey]newSeries{}
	for _, d := range datums {
		n := newSeries{Metric: d.metric, Unit: d.unit, Namespace: d.Metric.Namespace, Name: d.Metric.Name, Dimensions: []string{}, LastAt: micros(d.At)}
		if old, ok := all[d.seriesKey]; ok {
			old.LastAt = max(old.LastAt, n.LastAt)
			all[d.seriesKey] = old
			continue
		}
		for _, dim := range d.Metric.Dimensions {
			n.Dimensions = append(n.Dimensions, dim.Name, dim.Value)
		}
		text, err := jsonText(n.Dimensions)
		if err != nil {
			return nil, err
		}
		n.Text = text
		all[d.seriesKey] = n
	}
	return all, nil
}

// putSeries writes rows of usage_series that are new or whose time is old, and notes the ids.
func (t tx) putSeries(ctx context.Context, stale []newSeries, ids map[seriesKey]int64) error {
	slices.SortFunc(stale, func(a, b newSeries) int { return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Unit, b.Unit)) })
	text, err := jsonText(stale)
	if err != nil {
		return err
	}
	created := map[seriesKey]bool{}
	for _, n := range stale {
		_, known := ids[n.key()]
		created[n.key()] = !known
	}
	err = t.s.query(ctx, `
		INSERT INTO usage_series (metric, unit, namespace, name, dimensions, last_at)
		SELECT value ->> 'h', value ->> 'u', value ->> 's', value ->> 'n', value ->> 'd', CAST(value ->> 't' AS BIGINT) FROM objects($1) WHERE true
		ON CONFLICT (metric, unit) DO UPDATE SET last_at = CASE WHEN excluded.last_at > usage_series.last_at THEN excluded.last_at ELSE usage_series.last_at END
		RETURNING id, metric, unit`, func(rows *sql.Rows) error {
		var id int64
		var k seriesKey
		if err := rows.Scan(&id, &k.metric, &k.unit); err != nil {
			return err
		}
		ids[k] = id
		return nil
	}, text)
	if err != nil {
		return err
	}
	type row struct {
		ID    int64  `json:"i"`
		Name  string `json:"n"`
		Value string `json:"v"`
	}
	var dimensions []row
	for _, n := range stale {
		for i := 0; created[n.key()] && i < len(n.Dimensions); i += 2 {
			dimensions = append(dimensions, row{ids[n.key()], n.Dimensions[i], n.Dimensions[i+1]})
		}
	}
	if len(dimensions) == 0 {
		return nil
	}
	if text, err = jsonText(dimensions); err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO usage_dimensions (series_id, name, value) SELECT CAST(value ->> 'i' AS BIGINT), value ->> 'n', value ->> 'v' FROM objects($1) WHERE true
		ON CONFLICT (series_id, name) DO NOTHING`, text)
	return err
}
