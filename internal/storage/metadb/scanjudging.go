package metadb

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

var _ scan.Stores = Judging{}

// Claim implements scan.JudgeStore.
func (s Judging) Claim(ctx context.Context, holder string, now, until time.Time) (ok bool, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `UPDATE scan_judgement SET holder = $1, lease_until = $2 WHERE id = 1 AND lease_until <= $3`, holder, micros(until), micros(now))
		ok = n > 0
		return err
	})
	return ok, err
}

// Release implements scan.JudgeStore.
func (s Judging) Release(ctx context.Context, holder string) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `UPDATE scan_judgement SET holder = '', lease_until = 0 WHERE id = 1 AND holder = $1`, holder)
		return err
	})
}

// hold keeps everybody else from judging and saving until the transaction ends, if its caller is who judges.
func (t tx) hold(ctx context.Context, holder string) (scan.Judgement, error) {
	j, err := one(ctx, t.s, scanJudgement, `SELECT `+judgementColumns+` FROM scan_judgement WHERE id = 1 AND holder = $1 FOR UPDATE`, holder)
	if errors.Is(err, registry.ErrNoRow) {
		err = scan.ErrNotHolder
	}
	return j, err
}

// Begin implements scan.JudgeStore.
func (s Judging) Begin(ctx context.Context, holder string) (j scan.Judgement, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		if j, err = t.hold(ctx, holder); err != nil || j.Phase != scan.Idle {
			return err
		}
		all, err := revisions(ctx, t.s)
		if err != nil {
			return err
		}
		targets, behind := map[string]int64{}, false
		for source, r := range all {
			targets[source] = r.Current
			behind = behind || r.Current > r.Judged
		}
		if !behind {
			return nil
		}
		text, err := jsonText(targets)
		if err != nil {
			return err
		}
		j, err = one(ctx, t.s, scanJudgement, `
			UPDATE scan_judgement SET epoch = epoch + 1, began = epoch + 1, phase = 'match', targets = $1, upto = 0, counted = 0 WHERE id = 1 RETURNING `+judgementColumns, text)
		return err
	})
	return j, err
}

// WriteMatches implements scan.JudgeStore.
func (s Judging) WriteMatches(ctx context.Context, holder string, until time.Time, changed []scan.MatchChange) error {
	var before, after []matchesRow
	var none []int64
	for _, c := range changed {
		before = append(before, matchesRow{c.Package, hex.EncodeToString(c.Before)})
		if len(c.After) == 0 {
			none = append(none, c.Package)
			continue
		}
		after = append(after, matchesRow{c.Package, hex.EncodeToString(c.After)})
	}
	return s.db.engine.update(ctx, func(t tx) error {
		if err := t.renew(ctx, holder, until); err != nil {
			return err
		}
		for _, w := range []struct {
			text string
			n    int
			list any
		}{
			{`INSERT INTO scan_journal (package_id, matches) SELECT CAST(value ->> 'i' AS BIGINT), unhex(value ->> 'm') FROM objects($1)
				WHERE true ON CONFLICT (package_id) DO NOTHING`, len(before), before},
			{`INSERT INTO package_matches (package_id, matches) SELECT CAST(value ->> 'i' AS BIGINT), unhex(value ->> 'm') FROM objects($1)
				WHERE true ON CONFLICT (package_id) DO UPDATE SET matches = excluded.matches`, len(after), after},
			{`DELETE FROM package_matches WHERE package_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, len(none), none},
		} {
			if w.n == 0 {
				continue
			}
			text, err := jsonText(w.list)
			if err != nil {
				return err
			}
			if _, err := t.s.exec(ctx, w.text, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// renew makes the lease of who judges longer.
func (t tx) renew(ctx context.Context, holder string, until time.Time) error {
	n, err := t.s.exec(ctx, `UPDATE scan_judgement SET lease_until = $2 WHERE id = 1 AND holder = $1`, holder, micros(until))
	if err == nil && n == 0 {
		err = scan.ErrNotHolder
	}
	return err
}

// BeginCounting implements scan.JudgeStore.
func (s Judging) BeginCounting(ctx context.Context, holder string) (j scan.Judgement, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		if _, err := t.hold(ctx, holder); err != nil {
			return err
		}
		j, err = one(ctx, t.s, scanJudgement, `
			UPDATE scan_judgement SET epoch = epoch + 1, phase = 'sets', counted = 0, upto = (SELECT COALESCE(MAX(id), 0) FROM package_sets)
			WHERE id = 1 RETURNING `+judgementColumns)
		return err
	})
	return j, err
}

// appendText appends JSON as what stands between the quotes of a string.
func appendText(b []byte, text string) []byte {
	for {
		i := strings.IndexAny(text, `"\`)
		if i < 0 {
			return append(b, text...)
		}
		b = append(append(b, text[:i]...), '\\', text[i])
		text = text[i+1:]
	}
}

// setRows writes counted sets, and what is told of them, as lists: by hand, since there may be a hundred thousand.
func setRows(sets []scan.SetChange) (counted, told string, err error) {
	rows, tell := append(make([]byte, 0, 512*len(sets)), '['), []byte{'['}
	item := func(b []byte, id int64) []byte {
		if len(b) > 1 {
			b = append(b, ',')
		}
		return strconv.AppendInt(append(b, `{"i":`...), id, 10)
	}
	for _, c := range sets {
		rows = hex.AppendEncode(append(item(rows, c.ID), `,"v":"`...), c.Vulnerable)
		rows = append(appendText(append(rows, `","c":"`...), c.Counts), `"}`...)
		if c.Changes == nil {
			continue
		}
		changes, err := jsonText(c.Changes)
		if err != nil {
			return "", "", err
		}
		tell = append(appendText(append(item(tell, c.ID), `,"h":"`...), changes), `"}`...)
	}
	return string(append(rows, ']')), string(append(tell, ']')), nil
}

// WriteSets implements scan.JudgeStore.
func (s Judging) WriteSets(ctx context.Context, holder string, until, now time.Time, counted int64, sets []scan.SetChange) error {
	text, tell, err := setRows(sets)
	if err != nil {
		return err
	}
	return s.db.engine.update(ctx, func(t tx) error {
		if err := t.renew(ctx, holder, until); err != nil {
			return err
		}
		_, err := t.s.exec(ctx, `
			WITH counted AS (SELECT CAST(value ->> 'i' AS BIGINT) AS set_id, unhex(value ->> 'v') AS hit, value ->> 'c' AS counts FROM objects($1))
			UPDATE package_sets SET vulnerable = c.hit, counts = c.counts, judged_at = $2 FROM counted c WHERE id = c.set_id`, text, micros(now))
		if err != nil {
			return err
		}
		if tell != "[]" {
			_, err := t.s.exec(ctx, `
				INSERT INTO finding_changes (set_id, at, changes, epoch, last_image)
				SELECT CAST(value ->> 'i' AS BIGINT), CAST($2 AS BIGINT), value ->> 'h', (SELECT began FROM scan_judgement WHERE id = 1), 0
				FROM objects($1)`, tell, micros(now))
			if err != nil {
				return err
			}
		}
		_, err = t.s.exec(ctx, `UPDATE scan_judgement SET counted = $1 WHERE id = 1`, counted)
		return err
	})
}

// End implements scan.JudgeStore.
func (s Judging) End(ctx context.Context, holder string, now time.Time) error {
	const batch = 5000
	for n := int64(batch); n == batch; {
		err := s.db.engine.update(ctx, func(t tx) (err error) {
			if _, err = t.hold(ctx, holder); err != nil {
				return err
			}
			n, err = t.s.exec(ctx, `DELETE FROM scan_journal WHERE package_id IN (SELECT package_id FROM scan_journal ORDER BY package_id LIMIT $1)`, batch)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.db.engine.update(ctx, func(t tx) error {
		j, err := t.hold(ctx, holder)
		if err != nil {
			return err
		}
		for source, revision := range j.Targets {
			_, err := t.s.exec(ctx, `UPDATE advisory_sources SET judged_rev = $2 WHERE source = $1 AND judged_rev < $2`, source, revision)
			if err != nil {
				return err
			}
		}
		_, err = t.s.exec(ctx, `UPDATE scan_judgement SET phase = '', targets = '', ended_at = $1 WHERE id = 1`, micros(now))
		return err
	})
}

// PackagesNamed implements scan.JudgeReads.
func (s Judging) PackagesNamed(ctx context.Context, names []match.Name) ([]scan.Package, error) {
	text, err := nameRows(names)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, scanPackage, `
		SELECT `+packageColumns+`, m.matches
		FROM (SELECT value FROM objects($1)) o CROSS JOIN packages p LEFT JOIN package_matches m ON m.package_id = p.id
		WHERE p.ecosystem = o.value ->> 'e' AND p.source = o.value ->> 's'
		ORDER BY p.ecosystem, p.source, p.release, p.source_version, p.id`, text)
}

// PackagesAfter implements scan.JudgeReads.
func (s Judging) PackagesAfter(ctx context.Context, after scan.Package, limit int) ([]scan.Package, error) {
	return list(ctx, s.db.engine, scanPackage, `
		SELECT `+packageColumns+`, m.matches FROM packages p LEFT JOIN package_matches m ON m.package_id = p.id
		WHERE (p.ecosystem, p.source, p.release, p.source_version, p.name, p.version, p.arch, p.type) > ($1, $2, $3, $4, $5, $6, $7, $8)
		ORDER BY p.ecosystem, p.source, p.release, p.source_version, p.name, p.version, p.arch, p.type LIMIT $9`,
		after.Ecosystem, after.Source, after.Release, after.SourceVersion, after.Name, after.Version, after.Arch, string(after.Type), limit)
}

// scanHit reads of a package what a match.Table needs.
func scanHit(rows *sql.Rows, p *scan.Package) error {
	return rows.Scan(&p.ID, &p.Ecosystem, &p.Source, &p.Type, &p.Packed)
}

// Matched implements scan.JudgeReads.
func (s Judging) Matched(ctx context.Context, after int64, limit int) ([]scan.Package, error) {
	return list(ctx, s.db.engine, scanHit, `
		SELECT p.id, p.ecosystem, p.source, p.type, m.matches FROM package_matches m JOIN packages p ON p.id = m.package_id
		WHERE m.package_id > $1 ORDER BY m.package_id LIMIT $2`, after, limit)
}

// Journal implements scan.JudgeReads.
func (s Judging) Journal(ctx context.Context, after int64, limit int) ([]scan.Package, error) {
	return list(ctx, s.db.engine, scanHit, `
		SELECT p.id, p.ecosystem, p.source, p.type, j.matches FROM scan_journal j JOIN packages p ON p.id = j.package_id
		WHERE j.package_id > $1 ORDER BY j.package_id LIMIT $2`, after, limit)
}

// SetsAfter implements scan.JudgeReads.
func (s Judging) SetsAfter(ctx context.Context, after, upto int64, limit int) ([]scan.Set, error) {
	return list(ctx, s.db.engine, func(rows *sql.Rows, v *scan.Set) error {
		return rows.Scan(&v.ID, &v.Members, &v.Vulnerable, &v.Encoded)
	}, `
		SELECT id, members, vulnerable, counts FROM package_sets WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3`, after, upto, limit)
}
