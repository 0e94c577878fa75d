package metadb

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Advisories gives what is known of vulnerable packages.
func (db *DB) Advisories() Advisories { return Advisories{db} }

// Advisories implements advisory.Store.
type Advisories struct{ db *DB }

var _ advisory.Store = Advisories{}

// forever is the to_rev of an advisory that has not been replaced.
const forever = math.MaxInt64

// counting joins advisories a with their source s, those that count only. The signs keep databases from the indexes by revision,
// which nearly all rows of a source are alike in.
const counting = ` advisories a JOIN advisory_sources s ON s.source = a.source AND +a.from_rev <= s.revision AND s.revision < +a.to_rev `

const sourceColumns = ` source, revision, origin, advisories, modified_at, imported_at, checked_at, validator, judged_rev `

func scanSource(rows *sql.Rows, s *advisory.Source) error {
	return rows.Scan(&s.Name, &s.Revision, &s.Origin, &s.Advisories, timeColumn{&s.ModifiedAt}, timeColumn{&s.ImportedAt},
		timeColumn{&s.CheckedAt}, &s.Validator, &s.JudgedRev)
}

// AdvisorySources implements advisory.Store.
func (a Advisories) AdvisorySources(ctx context.Context) ([]advisory.Source, error) {
	return list(ctx, a.db.engine, scanSource, `SELECT `+sourceColumns+` FROM advisory_sources WHERE revision > 0 ORDER BY source`)
}

// BeginAdvisories implements advisory.Store.
func (a Advisories) BeginAdvisories(ctx context.Context, source string, now, until time.Time) (advisory.Claim, error) {
	var c advisory.Claim
	err := a.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			INSERT INTO advisory_sources (source, revision, origin, advisories, modified_at, imported_at, checked_at, validator, judged_rev,
				import_rev, import_until)
			VALUES ($1, 0, '', 0, 0, 0, 0, '', 0, 0, 0) ON CONFLICT (source) DO NOTHING`, source)
		if err != nil {
			return err
		}
		claims, err := list(ctx, t.s, func(rows *sql.Rows, c *advisory.Claim) error {
			s := &c.Source
			return rows.Scan(&s.Name, &s.Revision, &s.Origin, &s.Advisories, timeColumn{&s.ModifiedAt}, timeColumn{&s.ImportedAt},
				timeColumn{&s.CheckedAt}, &s.Validator, &s.JudgedRev, &c.Revision)
		}, `
			UPDATE advisory_sources SET import_rev = import_rev + 1, import_until = $1 WHERE source = $2 AND import_until <= $3
			RETURNING `+sourceColumns+`, import_rev`, micros(until), source, micros(now))
		if err != nil {
			return err
		}
		if len(claims) == 0 {
			return advisory.ErrBusy
		}
		c = claims[0]
		return nil
	})
	return c, err
}

type idAndHash struct{ id, hash string }

// AdvisoryHashes implements advisory.Store.
func (a Advisories) AdvisoryHashes(ctx context.Context, source string, ids []string, after string, limit int) (map[string]string, error) {
	scan := func(rows *sql.Rows, r *idAndHash) error { return rows.Scan(&r.id, &r.hash) }
	var all []idAndHash
	var err error
	if len(ids) > 0 {
		var wanted string
		if wanted, err = jsonText(ids); err != nil {
			return nil, err
		}
		all, err = list(ctx, a.db.engine, scan, `
			SELECT a.osv_id, a.hash FROM `+counting+` WHERE a.source = $1 AND a.osv_id IN (SELECT value FROM texts($2))`, source, wanted)
	} else {
		all, err = list(ctx, a.db.engine, scan, `
			SELECT a.osv_id, a.hash FROM `+counting+` WHERE a.source = $1 AND a.osv_id > $2 ORDER BY a.osv_id LIMIT $3`, source, after, limit)
	}
	if err != nil {
		return nil, err
	}
	hashes := make(map[string]string, len(all))
	for _, r := range all {
		hashes[r.id] = r.hash
	}
	return hashes, nil
}

// PutAdvisories implements advisory.Store.
func (a Advisories) PutAdvisories(ctx context.Context, c advisory.Claim, b advisory.Batch, until time.Time) error {
	return a.db.engine.update(ctx, func(t tx) error {
		if err := holdClaim(ctx, t, c, until); err != nil {
			return err
		}
		ends := b.Ends
		for _, r := range b.Rows {
			ends = append(ends, r.Advisory.ID)
		}
		if len(ends) > 0 {
			ids, err := jsonText(ends)
			if err != nil {
				return err
			}
			_, err = t.s.exec(ctx, `
				UPDATE advisories SET to_rev = $1 WHERE source = $2 AND osv_id IN (SELECT value FROM texts($3)) AND to_rev = $4`,
				c.Revision, c.Source.Name, ids, int64(forever))
			if err != nil {
				return err
			}
		}
		return insertAdvisories(ctx, t, c, b.Rows)
	})
}

// holdClaim renews a claim, and holds its row until the transaction ends.
func holdClaim(ctx context.Context, t tx, c advisory.Claim, until time.Time) error {
	n, err := t.s.exec(ctx, `
		UPDATE advisory_sources SET import_until = $1 WHERE source = $2 AND import_rev = $3 AND import_until > 0`,
		micros(until), c.Source.Name, c.Revision)
	if err == nil && n == 0 {
		err = advisory.ErrLost
	}
	return err
}

// affectedRow is a row of advisory_packages, as objects reads it.
type affectedRow struct {
	Ecosystem string `json:"e"`
	Name      string `json:"n"`
	Advisory  int64  `json:"a"`
	Seq       int    `json:"s"`
	Release   string `json:"r"`
	Affected  string `json:"f"`
}

func insertAdvisories(ctx context.Context, t tx, c advisory.Claim, rows []advisory.Row) error {
	var packages []affectedRow
	var mends []mendedRow
	for _, r := range rows {
		id, err := one(ctx, t.s, func(rows *sql.Rows, id *int64) error { return rows.Scan(id) }, `
			INSERT INTO advisories (source, osv_id, from_rev, to_rev, hash, vulnerability, severity, score, modified_at, body)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id`,
			c.Source.Name, r.Advisory.ID, c.Revision, int64(forever), r.Hash, r.Advisory.Vulnerability(), string(r.Rating.Severity),
			int64(math.Round(r.Rating.Score*10)), micros(r.Advisory.Modified), r.Body)
		if err != nil {
			return err
		}
		for _, cve := range r.Advisory.Mends() {
			mends = append(mends, mendedRow{id, cve})
		}
		for seq, f := range r.Advisory.Affected {
			affected, err := jsonText(f)
			if err != nil {
				return err
			}
			packages = append(packages, affectedRow{f.Ecosystem, f.Name, id, seq, f.Release, affected})
		}
	}
	if len(packages) == 0 {
		return nil
	}
	if err := insertMends(ctx, t, mends); err != nil {
		return err
	}
	all, err := jsonText(packages)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO advisory_packages (ecosystem, name, advisory_id, seq, release, affected)
		SELECT value ->> 'e', value ->> 'n', CAST(value ->> 'a' AS BIGINT), CAST(value ->> 's' AS BIGINT), value ->> 'r', value ->> 'f'
		FROM objects($1)`, all)
	return err
}

// EndAdvisories implements advisory.Store.
func (a Advisories) EndAdvisories(ctx context.Context, c advisory.Claim, s advisory.Source) error {
	return a.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `
			UPDATE advisory_sources SET import_until = 0, revision = $1, origin = $2, modified_at = $3, imported_at = $4, checked_at = $5, validator = $6,
				advisories = CASE WHEN revision = $1 THEN advisories
					ELSE (SELECT count(*) FROM advisories a WHERE a.source = $7 AND a.from_rev <= $1 AND $1 < a.to_rev) END
			WHERE source = $7 AND import_rev = $8 AND import_until > 0`,
			s.Revision, s.Origin, micros(s.ModifiedAt), micros(s.ImportedAt), micros(s.CheckedAt), s.Validator, c.Source.Name, c.Revision)
		if err == nil && n == 0 {
			err = advisory.ErrLost
		}
		return err
	})
}

// PruneAdvisories implements advisory.Store. An import that ended in the middle has left rows from, and to, a revision that is
// above the source's, and below the last that was given away: whoever has the last one may still be at it.
func (a Advisories) PruneAdvisories(ctx context.Context, source string, limit int) (int64, error) {
	var n int64
	err := a.db.engine.update(ctx, func(t tx) error {
		deleted, err := t.s.exec(ctx, `
			DELETE FROM advisories WHERE id IN (
				SELECT a.id FROM advisories a JOIN advisory_sources s ON s.source = a.source
				WHERE a.source = $1 AND (a.from_rev > s.revision AND a.from_rev < s.import_rev
					OR a.to_rev <= s.revision AND a.to_rev <= s.judged_rev)
				LIMIT $2)`, source, limit)
		if err != nil {
			return err
		}
		kept, err := t.s.exec(ctx, `
			UPDATE advisories SET to_rev = $3 WHERE id IN (
				SELECT a.id FROM advisories a JOIN advisory_sources s ON s.source = a.source
				WHERE a.source = $1 AND a.to_rev > s.revision AND a.to_rev < s.import_rev LIMIT $2)`, source, limit, int64(forever))
		n = deleted + kept
		return err
	})
	return n, err
}
