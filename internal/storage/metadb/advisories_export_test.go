package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// What tests look up to see what imports and judgements have written.

// AdvisoriesOf gives what all sources say of a vulnerability, by the name that findings have: advisories, and KEV, EPSS and CVSS.
func (a Advisories) AdvisoriesOf(ctx context.Context, vulnerability string) ([]StoredAdvisory, error) {
	return list(ctx, a.db.engine, scanAdvisory, `
		SELECT a.id, a.source, a.body FROM `+counting+` WHERE a.vulnerability = $1 ORDER BY a.source, a.osv_id`, vulnerability)
}

// PackageName is a package as advisories know it.
type PackageName struct{ Ecosystem, Name string }

// ChangedPackages gives the packages of which a source says something else at a revision than at an earlier one, in order, after
// one.
func (a Advisories) ChangedPackages(ctx context.Context, source string, from, to int64, after PackageName, limit int) ([]PackageName, error) {
	return list(ctx, a.db.engine, func(rows *sql.Rows, p *PackageName) error { return rows.Scan(&p.Ecosystem, &p.Name) }, `
		SELECT DISTINCT p.ecosystem, p.name FROM advisories a JOIN advisory_packages p ON p.advisory_id = a.id
		WHERE a.source = $1 AND (a.from_rev > $2 AND a.from_rev <= $3 OR a.to_rev > $2 AND a.to_rev <= $3)
			AND (p.ecosystem, p.name) > ($4, $5)
		ORDER BY p.ecosystem, p.name LIMIT $6`, source, from, to, after.Ecosystem, after.Name, limit)
}

// PackageAdvisory is what an advisory that counts says of a package.
type PackageAdvisory struct {
	AdvisoryID int64
	Affected   advisory.Affected
}

// PackageAdvisories gives all that is said of a package by advisories that count, withdrawn ones too.
func (a Advisories) PackageAdvisories(ctx context.Context, p PackageName) ([]PackageAdvisory, error) {
	scan := func(rows *sql.Rows, r *PackageAdvisory) error {
		f := &r.Affected
		if err := rows.Scan(&r.AdvisoryID, jsonColumn{f}, &f.Release); err != nil {
			return err
		}
		f.Ecosystem, f.Name = p.Ecosystem, p.Name
		return nil
	}
	return list(ctx, a.db.engine, scan, `
		SELECT p.advisory_id, p.affected, p.release FROM `+counting+` JOIN advisory_packages p ON p.advisory_id = a.id
		WHERE p.ecosystem = $1 AND p.name = $2 ORDER BY p.advisory_id, p.seq`, p.Ecosystem, p.Name)
}

// CountsOf tells the counts of images, by their ids; those without an inventory are left out.
func (s Judging) CountsOf(ctx context.Context, imageIDs []int64) (map[int64]scan.Counts, error) {
	text, err := listText(imageIDs)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]scan.Counts, len(imageIDs))
	err = s.db.engine.query(ctx, `
		SELECT i.image_id, s.counts FROM image_inventories i JOIN package_sets s ON s.id = i.set_id
		WHERE i.image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var id int64
			var c scan.Counts
			if err := rows.Scan(&id, jsonColumn{&c}); err != nil {
				return err
			}
			all[id] = c
			return nil
		}, text)
	return all, err
}
