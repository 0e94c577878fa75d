package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// mendedRow is a row of advisory_mends as it travels in a list.
type mendedRow struct {
	Advisory int64  `json:"a"`
	CVE      string `json:"c"`
}

func insertMends(ctx context.Context, t tx, rows []mendedRow) error {
	if len(rows) == 0 {
		return nil
	}
	all, err := jsonText(rows)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO advisory_mends (cve, advisory_id) SELECT value ->> 'c', CAST(value ->> 'a' AS BIGINT) FROM objects($1) WHERE true ON CONFLICT DO NOTHING`, all)
	return err
}

// Mended implements scan.AdvisoryReads.
func (s ScanReports) Mended(ctx context.Context, ids []int64) (map[int64][]string, error) {
	wanted, err := listText(ids)
	if err != nil {
		return nil, err
	}
	all := map[int64][]string{}
	err = s.db.engine.query(ctx, `
		SELECT advisory_id, cve FROM advisory_mends WHERE advisory_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY advisory_id, cve`,
		func(rows *sql.Rows) error {
			var id int64
			var cve string
			err := rows.Scan(&id, &cve)
			all[id] = append(all[id], cve)
			return err
		}, wanted)
	return all, err
}

// MendedScores implements scan.ScoreStore. CROSS JOIN is what makes SQLite begin with the errata.
func (s Judging) MendedScores(ctx context.Context, advisories []int64) ([]scan.MendedScore, error) {
	wanted, err := listText(advisories)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, func(rows *sql.Rows, v *scan.MendedScore) error {
		return rows.Scan(&v.Advisory, &v.Vulnerability, &v.Source, &v.Body, &v.From, &v.To)
	}, `
		SELECT m.advisory_id, a.vulnerability, a.source, a.body, a.from_rev, a.to_rev
		FROM (SELECT advisory_id, cve FROM advisory_mends WHERE advisory_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))) m
		CROSS JOIN advisories a WHERE a.vulnerability = m.cve AND (a.score > 0 OR a.source = 'kev') ORDER BY m.advisory_id, a.vulnerability`, wanted)
}
