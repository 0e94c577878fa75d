package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// nameRow is a match.Name as it travels in a list.
type nameRow struct {
	Ecosystem string `json:"e"`
	Source    string `json:"s"`
}

func nameRows(names []match.Name) (string, error) {
	rows := make([]nameRow, len(names))
	for i, n := range names {
		rows[i] = nameRow(n)
	}
	return listText(rows)
}

const entryColumns = `
	ap.ecosystem, ap.name, ap.release, ap.advisory_id, ap.seq, ap.affected, a.source, a.from_rev, a.to_rev, a.vulnerability, a.body`

func scanEntry(rows *sql.Rows, e *scan.StoredEntry) error {
	return rows.Scan(&e.Ecosystem, &e.Name.Source, &e.Release, &e.Advisory, &e.Seq, &e.Affected, &e.Source, &e.From, &e.To, &e.Vulnerability, &e.Body)
}

// Entries implements scan.EntryStore.
func (s Judging) Entries(ctx context.Context, names []match.Name) ([]scan.StoredEntry, error) {
	text, err := nameRows(names)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, scanEntry, `
		SELECT `+entryColumns+`
		FROM (SELECT value FROM objects($1)) o CROSS JOIN advisory_packages ap JOIN advisories a ON a.id = ap.advisory_id
		WHERE ap.ecosystem = o.value ->> 'e' AND ap.name = o.value ->> 's' ORDER BY ap.ecosystem, ap.name, ap.advisory_id, ap.seq`, text)
}

// EntriesAfter implements scan.EntryStore.
func (s Judging) EntriesAfter(ctx context.Context, after scan.EntryKey, limit int) ([]scan.StoredEntry, error) {
	return list(ctx, s.db.engine, scanEntry, `
		SELECT `+entryColumns+`
		FROM (SELECT * FROM advisory_packages WHERE (ecosystem, name, advisory_id, seq) > ($1, $2, $3, $4)
			ORDER BY ecosystem, name, advisory_id, seq LIMIT $5) ap
		CROSS JOIN advisories a WHERE a.id = ap.advisory_id ORDER BY ap.ecosystem, ap.name, ap.advisory_id, ap.seq`,
		after.Ecosystem, after.Source, after.Advisory, after.Seq, limit)
}

// Scores implements scan.ScoreStore.
func (s Judging) Scores(ctx context.Context, vulnerabilities []string) ([]scan.Score, error) {
	text, err := listText(vulnerabilities)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, func(rows *sql.Rows, v *scan.Score) error {
		return rows.Scan(&v.Vulnerability, &v.Source, &v.Body, &v.From, &v.To)
	}, `
		SELECT vulnerability, source, body, from_rev, to_rev FROM advisories
		WHERE vulnerability IN (SELECT value FROM texts($1)) AND (score > 0 OR source = 'kev')`, text)
}

// Changed implements scan.EntryStore.
func (s Judging) Changed(ctx context.Context, source string, from, to int64, after string, limit int) ([]string, error) {
	return list(ctx, s.db.engine, scanOne[string], `
		SELECT vulnerability FROM advisories WHERE source = $1 AND from_rev > $2 AND from_rev <= $3 AND vulnerability > $4
		UNION
		SELECT vulnerability FROM advisories WHERE source = $1 AND to_rev > $2 AND to_rev <= $3 AND vulnerability > $4
		ORDER BY vulnerability LIMIT $5`, source, from, to, after, limit)
}

// NamesOf implements scan.EntryStore.
func (s Judging) NamesOf(ctx context.Context, vulnerabilities []string) ([]match.Name, error) {
	text, err := listText(vulnerabilities)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, func(rows *sql.Rows, n *match.Name) error { return rows.Scan(&n.Ecosystem, &n.Source) }, `
		SELECT DISTINCT ap.ecosystem, ap.name FROM advisories a JOIN advisory_packages ap ON ap.advisory_id = a.id
		WHERE a.vulnerability IN (SELECT value FROM texts($1))
		UNION SELECT ap.ecosystem, ap.name FROM advisory_mends m JOIN advisory_packages ap ON ap.advisory_id = m.advisory_id
		WHERE m.cve IN (SELECT value FROM texts($1))`, text)
}

// VulnerabilitiesOf implements scan.EntryStore.
func (s Judging) VulnerabilitiesOf(ctx context.Context, ids []int64) (map[int64]string, error) {
	text, err := listText(ids)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]string, len(ids))
	err = s.db.engine.query(ctx, `SELECT id, vulnerability FROM advisories WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var id int64
			var v string
			err := rows.Scan(&id, &v)
			all[id] = v
			return err
		}, text)
	return all, err
}
