package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// ScanReports gives what is read of scans to tell people.
func (db *DB) ScanReports() ScanReports { return ScanReports{db.Advisories(), db} }

// ScanReports implements scan.AdvisoryReads and scan.ScanReads.
type ScanReports struct {
	Advisories
	db *DB
}

var (
	_ scan.AdvisoryReads = ScanReports{}
	_ scan.ScanReads     = ScanReports{}
)

// Heads implements scan.AdvisoryReads.
func (s ScanReports) Heads(ctx context.Context, ids []int64) (map[int64]scan.Head, error) {
	all := make(map[int64]scan.Head, len(ids))
	wanted, err := listText(ids)
	if err != nil {
		return nil, err
	}
	err = s.db.engine.query(ctx, `
		SELECT id, osv_id, vulnerability FROM advisories WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var id int64
			var h scan.Head
			err := rows.Scan(&id, &h.OSVID, &h.Vulnerability)
			all[id] = h
			return err
		}, wanted)
	return all, err
}

// Bodies implements scan.AdvisoryReads.
func (s ScanReports) Bodies(ctx context.Context, ids []int64) (map[int64]advisory.Advisory, error) {
	list, err := s.AdvisoriesByID(ctx, ids)
	all := make(map[int64]advisory.Advisory, len(list))
	for _, a := range list {
		all[a.ID] = a.Advisory
	}
	return all, err
}

// AffectedBy implements scan.AdvisoryReads.
func (s ScanReports) AffectedBy(ctx context.Context, ids []int64) (map[int64][]advisory.Affected, error) {
	all := make(map[int64][]advisory.Affected, len(ids))
	wanted, err := listText(ids)
	if err != nil {
		return nil, err
	}
	err = s.db.engine.query(ctx, `
		SELECT advisory_id, ecosystem, name, release, affected FROM advisory_packages
		WHERE advisory_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY advisory_id, seq`,
		func(rows *sql.Rows) error {
			var id int64
			var a advisory.Affected
			if err := rows.Scan(&id, &a.Ecosystem, &a.Name, &a.Release, jsonColumn{&a}); err != nil {
				return err
			}
			all[id] = append(all[id], a)
			return nil
		}, wanted)
	return all, err
}

// Others implements scan.AdvisoryReads.
func (s ScanReports) Others(ctx context.Context, vulnerabilities, sources []string) ([]scan.Other, error) {
	names, err := listText(vulnerabilities)
	if err != nil {
		return nil, err
	}
	from, err := listText(sources)
	if err != nil {
		return nil, err
	}
	read := func(rows *sql.Rows, o *scan.Other) error {
		var body []byte
		if err := rows.Scan(&o.Source, &o.Vulnerability, &body); err != nil {
			return err
		}
		var err error
		o.Advisory, err = advisory.Decode(body)
		return err
	}
	return list(ctx, s.db.engine, read, `
		SELECT a.source, a.vulnerability, a.body FROM `+counting+`
		WHERE a.vulnerability IN (SELECT value FROM texts($1)) AND a.source IN (SELECT value FROM texts($2)) ORDER BY a.source, a.id`, names, from)
}

// SummaryRows implements scan.ScanReads.
func (s ScanReports) SummaryRows(ctx context.Context, kind registry.ScanKind, imageIDs []int64) (map[int64]scan.SummaryRow, error) {
	all := make(map[int64]scan.SummaryRow, len(imageIDs))
	wanted, err := listText(imageIDs)
	if err != nil {
		return nil, err
	}
	err = s.db.engine.query(ctx, `
		SELECT s.image_id, s.kind, s.status, s.description, s.requested_at, s.changed_at, COALESCE(i.set_id, 0), COALESCE(i.problem, ''), COALESCE(p.os, ''), COALESCE(p.counts, ''), COALESCE(i.claimed, ''),
			CASE WHEN j.ended_at > COALESCE(p.judged_at, 0) THEN j.ended_at ELSE COALESCE(p.judged_at, 0) END
		FROM scans s LEFT JOIN image_inventories i ON i.image_id = s.image_id LEFT JOIN package_sets p ON p.id = i.set_id
		JOIN scan_judgement j ON j.id = 1
		WHERE s.image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND s.kind = $2`,
		func(rows *sql.Rows) error {
			var r scan.SummaryRow
			err := rows.Scan(&r.Scan.ImageID, &r.Scan.Kind, &r.Scan.Status, &r.Scan.Description, timeColumn{&r.Scan.RequestedAt}, timeColumn{&r.Scan.ChangedAt},
				&r.SetID, &r.Problem, jsonColumn{&r.OS}, jsonColumn{&r.Counts}, jsonColumn{&r.Claimed}, timeColumn{&r.JudgedAt})
			r.Known = r.SetID != 0
			all[r.Scan.ImageID] = r
			return err
		}, wanted, string(kind))
	return all, err
}

// SetEcosystems implements scan.ScanReads.
func (s ScanReports) SetEcosystems(ctx context.Context, setIDs []int64) (map[int64]scan.SetEcosystems, error) {
	all := make(map[int64]scan.SetEcosystems, len(setIDs))
	for _, id := range setIDs {
		members, err := one(ctx, s.db.engine, scanOne[[]byte], `SELECT members FROM package_sets WHERE id = $1`, id)
		if err != nil {
			return nil, err
		}
		var packages []int64
		some := false
		err = match.EachMember(members, func(m match.Member) {
			some = true
			if n := len(packages); !m.Owned && (n == 0 || packages[n-1] != m.Package) {
				packages = append(packages, m.Package)
			}
		})
		if err != nil {
			return nil, err
		}
		wanted, err := listText(packages)
		if err != nil {
			return nil, err
		}
		names, err := list(ctx, s.db.engine, scanOne[string], `
			SELECT DISTINCT ecosystem FROM packages WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY ecosystem`, wanted)
		if err != nil {
			return nil, err
		}
		unlisted := len(names) > 0 && names[0] == ""
		if unlisted {
			names = names[1:]
		}
		all[id] = scan.SetEcosystems{Names: names, Packages: some, Unlisted: unlisted}
	}
	return all, nil
}

// ImagesByID implements scan.ScanReads.
func (s ScanReports) ImagesByID(ctx context.Context, ids []int64) ([]scan.Located, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	wanted, err := listText(ids)
	if err != nil {
		return nil, err
	}
	read := func(rows *sql.Rows, l *scan.Located) error {
		var tags string
		columns := append([]any{&l.Repository.ID, &l.Repository.Name}, imageFields(&l.Image)...)
		err := rows.Scan(append(columns, &tags)...)
		l.Image.Tags = splitTags(tags)
		return err
	}
	return list(ctx, s.db.engine, read, `
		SELECT r.id, r.name, `+imageColumns+` FROM images i JOIN repositories r ON r.id = i.repository_id
		WHERE i.id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY i.id`, wanted)
}

// Releases implements scan.ScanReads. It looks through all that is said of the ecosystem.
func (s ScanReports) Releases(ctx context.Context, ecosystem string) ([]string, error) {
	return list(ctx, s.db.engine, scanOne[string], `SELECT DISTINCT release FROM advisory_packages WHERE ecosystem = $1`, ecosystem)
}

// Named implements scan.ScanReads. What has been replaced still counts for packages until the next judgement.
func (s ScanReports) Named(ctx context.Context, vulnerability string) ([]scan.NamedAdvisory, error) {
	return list(ctx, s.db.engine, func(rows *sql.Rows, a *scan.NamedAdvisory) error { return rows.Scan(&a.ID, &a.Vulnerability) }, `
		SELECT id, vulnerability FROM advisories WHERE vulnerability = $1
		UNION SELECT a.id, a.vulnerability FROM advisory_mends m JOIN advisories a ON a.id = m.advisory_id WHERE m.cve = $1
		UNION SELECT a.id, a.vulnerability FROM advisory_sources s JOIN advisories a ON a.source = s.source AND a.osv_id = $1
		ORDER BY id`, vulnerability)
}
