package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

// Alarms gives the alarms and their history.
func (db *DB) Alarms() Alarms { return Alarms{db} }

// Alarms implements alarm.Rows.
type Alarms struct{ db *DB }

var _ alarm.Rows = Alarms{}

const alarmColumns = `body, tags, state, reason, reason_data, configured_at, updated_at, transitioned_at, revision`

func scanAlarm(rows *sql.Rows, a *alarm.Alarm) error {
	return rows.Scan(jsonColumn{&a.Configuration}, jsonColumn{&a.Tags}, &a.State, &a.Reason, &a.ReasonData,
		timeColumn{&a.ConfiguredAt}, timeColumn{&a.UpdatedAt}, timeColumn{&a.TransitionedAt}, &a.Revision)
}

// Alarm implements alarm.Rows.
func (s Alarms) Alarm(ctx context.Context, name string) (alarm.Alarm, error) {
	return one(ctx, s.db.read.s, scanAlarm, `SELECT `+alarmColumns+` FROM alarms WHERE name = $1`, name)
}

// Alarms implements alarm.Rows.
func (s Alarms) Alarms(ctx context.Context, after string, limit int) ([]alarm.Alarm, error) {
	return list(ctx, s.db.read.s, scanAlarm, `SELECT `+alarmColumns+` FROM alarms WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
}

// alarmDue is what is due at $1, or further off than it ever is put, and a minute.
const alarmDue = `(due_at <= $1 OR due_at > $1 + every + 60000000)`

// ClaimAlarms implements alarm.Rows. It looks before it writes, so that nothing to do costs no transaction.
func (s Alarms) ClaimAlarms(ctx context.Context, now, last time.Time, limit int) ([]alarm.Alarm, error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM alarms WHERE `+alarmDue+` LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return nil, err
	}
	var claimed []alarm.Alarm
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		claimed, err = list(ctx, t.s, scanAlarm, `
			UPDATE alarms SET due_at = $2 + every WHERE name IN (
				SELECT name FROM alarms WHERE `+alarmDue+` ORDER BY due_at, name LIMIT $3 FOR UPDATE SKIP LOCKED)
			AND `+alarmDue+` RETURNING `+alarmColumns, micros(now), micros(last), limit)
		return err
	})
	slices.SortFunc(claimed, func(a, b alarm.Alarm) int { return cmp.Compare(a.Name, b.Name) })
	return claimed, err
}

func scanAlarmEntry(rows *sql.Rows, e *alarm.Entry) error {
	return rows.Scan(&e.ID, &e.Name, timeColumn{&e.At}, &e.Kind, &e.Summary, &e.Data)
}

// History implements alarm.Rows.
func (s Alarms) History(ctx context.Context, q alarm.HistoryRows) ([]alarm.Entry, error) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	if !q.From.IsZero() {
		from = micros(q.From)
	}
	if !q.To.IsZero() {
		to = micros(q.To)
	}
	where, args := `at >= $1 AND at < $2 AND id < $3`, []any{from, to, cmp.Or(q.Beyond, int64(math.MaxInt64)), q.Limit}
	order := `ORDER BY id DESC LIMIT $4`
	if q.Rising {
		where, order, args[2] = `at >= $1 AND at < $2 AND id > $3`, `ORDER BY id LIMIT $4`, q.Beyond
	}
	text := `SELECT id, name, at, kind, summary, data FROM alarm_history WHERE ` + where
	switch {
	case q.Name != "" && q.Kind != "":
		text, args = text+` AND name = $5 AND kind = $6 `, append(args, q.Name, string(q.Kind))
	case q.Name != "":
		text, args = text+` AND name = $5 `, append(args, q.Name)
	case q.Kind != "":
		text, args = text+` AND kind = $5 `, append(args, string(q.Kind))
	}
	return list(ctx, s.db.read.s, scanAlarmEntry, text+" "+order, args...)
}

// PruneHistory implements alarm.Rows.
func (s Alarms) PruneHistory(ctx context.Context, before time.Time, limit int) (int64, error) {
	old, err := exists(ctx, s.db.read.s, `SELECT 1 FROM alarm_history WHERE at < $1 LIMIT 1`, micros(before))
	if err != nil || !old {
		return 0, err
	}
	var n int64
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		n, err = t.s.exec(ctx, `DELETE FROM alarm_history WHERE id IN (SELECT id FROM alarm_history WHERE at < $1 ORDER BY at LIMIT $2)`, micros(before), limit)
		return err
	})
	return n, err
}

// Update implements alarm.Rows.
func (s Alarms) Update(ctx context.Context, f func(alarm.Tx) error) error {
	return s.db.engine.update(ctx, func(t tx) error { return f(alarmTx{t}) })
}

// alarmTx implements alarm.Tx.
type alarmTx struct{ tx }

// LockAlarm implements alarm.Tx.
func (t alarmTx) LockAlarm(ctx context.Context, name string) (alarm.Alarm, error) {
	return one(ctx, t.s, scanAlarm, `SELECT `+alarmColumns+` FROM alarms WHERE name = $1 FOR UPDATE`, name)
}

// CountAlarms implements alarm.Tx.
func (t alarmTx) CountAlarms(ctx context.Context) (int, error) {
	return one(ctx, t.s, scanOne[int], `SELECT COUNT(*) FROM alarms`)
}

// PutAlarm implements alarm.Tx.
func (t alarmTx) PutAlarm(ctx context.Context, a alarm.Alarm, due time.Time) error {
	body, err := jsonText(a.Configuration)
	if err != nil {
		return err
	}
	tags, err := jsonText(a.Tags)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO alarms (name, body, tags, state, reason, reason_data, configured_at, updated_at, transitioned_at, revision, every, due_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (name) DO UPDATE SET body = excluded.body, tags = excluded.tags, state = excluded.state, reason = excluded.reason,
			reason_data = excluded.reason_data, configured_at = excluded.configured_at, updated_at = excluded.updated_at,
			transitioned_at = excluded.transitioned_at, revision = excluded.revision, every = excluded.every,
			due_at = CASE WHEN excluded.due_at = 0 THEN alarms.due_at ELSE excluded.due_at END`,
		a.Name, body, tags, string(a.State), a.Reason, a.ReasonData, micros(a.ConfiguredAt), micros(a.UpdatedAt), micros(a.TransitionedAt),
		a.Revision+1, a.Every().Microseconds(), micros(due))
	return err
}

// DeleteAlarm implements alarm.Tx.
func (t alarmTx) DeleteAlarm(ctx context.Context, name string) error {
	_, err := t.s.exec(ctx, `DELETE FROM alarms WHERE name = $1`, name)
	return err
}

// AddHistory implements alarm.Tx.
func (t alarmTx) AddHistory(ctx context.Context, entries []alarm.Entry) error {
	for _, e := range entries {
		_, err := t.s.exec(ctx, `INSERT INTO alarm_history (name, at, kind, summary, data) VALUES ($1, $2, $3, $4, $5)`,
			e.Name, micros(e.At), string(e.Kind), e.Summary, e.Data)
		if err != nil {
			return err
		}
	}
	return nil
}
