package metadb

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// Judging gives what a scan.Judge reads and writes.
func (db *DB) Judging() Judging { return Judging{db} }

// Judging implements scan.Stores, scan.InventoryReads and scan.LayerStore.
type Judging struct{ db *DB }

var (
	_ scan.PackageStore   = Judging{}
	_ scan.EntryStore     = Judging{}
	_ scan.InventoryReads = Judging{}
	_ scan.LayerStore     = Judging{}
)

const judgementColumns = `epoch, phase, targets, began, upto, counted, ended_at`

func scanJudgement(rows *sql.Rows, j *scan.Judgement) error {
	return rows.Scan(&j.Epoch, &j.Phase, jsonColumn{&j.Targets}, &j.Began, &j.Upto, &j.Counted, timeColumn{&j.EndedAt})
}

// Judgement implements scan.PackageStore.
func (s Judging) Judgement(ctx context.Context) (scan.Judgement, error) {
	return one(ctx, s.db.engine, scanJudgement, `SELECT `+judgementColumns+` FROM scan_judgement WHERE id = 1`)
}

// sameEpoch holds the judgement as it is until the transaction ends.
func (t tx) sameEpoch(ctx context.Context, epoch int64) error {
	now, err := one(ctx, t.s, scanOne[int64], `SELECT epoch FROM scan_judgement WHERE id = 1 FOR SHARE`)
	if err == nil && now != epoch {
		err = scan.ErrJudged
	}
	return err
}

// listText makes the parameter for texts and objects of a list that may have nothing in it.
func listText[T any](all []T) (string, error) {
	if len(all) == 0 {
		return "[]", nil
	}
	return jsonText(all)
}

// installedRow is a package as it travels in a list.
type installedRow struct {
	N         int    `json:"n"`
	Ecosystem string `json:"e"`
	Release   string `json:"r"`
	Source    string `json:"s"`
	SourceV   string `json:"sv"`
	Name      string `json:"p"`
	Version   string `json:"v"`
	Arch      string `json:"a"`
	Type      string `json:"t"`
	Matches   string `json:"m,omitempty"`
}

func installedRows(ps []scan.Package) (string, error) {
	rows := make([]installedRow, len(ps))
	for i, p := range ps {
		rows[i] = installedRow{
			N: i, Ecosystem: p.Ecosystem, Release: p.Release, Source: p.Source, SourceV: p.SourceVersion, Name: p.Name, Version: p.Version,
			Arch: p.Arch, Type: string(p.Type), Matches: hex.EncodeToString(p.Packed),
		}
	}
	return listText(rows)
}

// FindPackages implements scan.PackageStore.
func (s Judging) FindPackages(ctx context.Context, ps []scan.Package) ([]int64, error) {
	text, err := installedRows(ps)
	if err != nil {
		return nil, err
	}
	return findPackages(ctx, s.db.engine, text, len(ps))
}

// findPackages looks each up by the index of what is unique: CROSS JOIN is what makes SQLite begin with the list.
func findPackages(ctx context.Context, in session, rows string, n int) ([]int64, error) {
	ids := make([]int64, n)
	err := in.query(ctx, `
		SELECT CAST(o.value ->> 'n' AS BIGINT), p.id
		FROM (SELECT value FROM objects($1)) o CROSS JOIN packages p
		WHERE p.ecosystem = o.value ->> 'e' AND p.source = o.value ->> 's' AND p.release = o.value ->> 'r' AND p.source_version = o.value ->> 'sv'
		AND p.name = o.value ->> 'p' AND p.version = o.value ->> 'v' AND p.arch = o.value ->> 'a' AND p.type = o.value ->> 't'`,
		func(rows *sql.Rows) error {
			var i int
			var id int64
			if err := rows.Scan(&i, &id); err != nil {
				return err
			}
			ids[i] = id
			return nil
		}, rows)
	return ids, err
}

// AddPackages implements scan.PackageStore. Lists are in order, so that two that add the same do not wait for each other in a circle.
func (s Judging) AddPackages(ctx context.Context, epoch int64, ps []scan.Package) (ids []int64, err error) {
	text, err := installedRows(ps)
	if err != nil {
		return nil, err
	}
	err = s.db.engine.update(ctx, func(t tx) error {
		if err := t.sameEpoch(ctx, epoch); err != nil {
			return err
		}
		_, err := t.s.exec(ctx, `
			INSERT INTO packages (ecosystem, release, source, source_version, name, version, arch, type)
			SELECT value ->> 'e', value ->> 'r', value ->> 's', value ->> 'sv', value ->> 'p', value ->> 'v', value ->> 'a', value ->> 't'
			FROM objects($1) WHERE true ON CONFLICT DO NOTHING`, text)
		if err != nil {
			return err
		}
		if ids, err = findPackages(ctx, t.s, text, len(ps)); err != nil {
			return err
		}
		return t.addMatches(ctx, ps, ids)
	})
	return ids, err
}

// matchesRow is what is known of a package as it travels in a list.
type matchesRow struct {
	ID      int64  `json:"i"`
	Matches string `json:"m"`
}

// addMatches adds those of packages that have none. Another replica that has added the same package at the same epoch has matched it
// by revisions that were there before its next judgement too.
func (t tx) addMatches(ctx context.Context, ps []scan.Package, ids []int64) error {
	var rows []matchesRow
	for i, p := range ps {
		if ids[i] == 0 {
			return fmt.Errorf("package %s %s is not there although it was added", p.Name, p.Version)
		}
		if len(p.Packed) > 0 {
			rows = append(rows, matchesRow{ids[i], hex.EncodeToString(p.Packed)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	text, err := listText(rows)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO package_matches (package_id, matches) SELECT CAST(value ->> 'i' AS BIGINT), unhex(value ->> 'm') FROM objects($1)
		WHERE true ON CONFLICT (package_id) DO NOTHING`, text)
	return err
}

const packageColumns = `p.id, p.ecosystem, p.release, p.source, p.source_version, p.name, p.version, p.arch, p.type`

func scanPackage(rows *sql.Rows, p *scan.Package) error {
	return rows.Scan(&p.ID, &p.Ecosystem, &p.Release, &p.Source, &p.SourceVersion, &p.Name, &p.Version, &p.Arch, &p.Type, &p.Packed)
}

// PackagesByID implements scan.PackageStore and scan.InventoryReads.
func (s Judging) PackagesByID(ctx context.Context, ids []int64) ([]scan.Package, error) {
	text, err := listText(ids)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, scanPackage, `
		SELECT `+packageColumns+`, m.matches FROM packages p LEFT JOIN package_matches m ON m.package_id = p.id
		WHERE p.id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY p.id`, text)
}

// SetCounted implements scan.PackageStore.
func (s Judging) SetCounted(ctx context.Context, digest string) (bool, error) {
	return exists(ctx, s.db.engine, `SELECT 1 FROM package_sets WHERE digest = $1`, digest)
}

// PutInventory implements scan.PackageStore. An image of which the same is read again keeps its epoch: it is still to be told what a
// judgement has changed.
func (s Judging) PutInventory(ctx context.Context, epoch int64, i scan.Inventory) error {
	os, err := jsonText(i.Set.OS)
	if err != nil {
		return err
	}
	layers, made := make([]int64, len(i.Layers)), make([]string, len(i.Layers))
	for n, l := range i.Layers {
		layers[n], made[n] = l.ID, l.CreatedBy
	}
	madeBy, err := jsonText(made)
	if err != nil {
		return err
	}
	claimed := ""
	if len(i.Claimed) > 0 {
		if claimed, err = jsonText(i.Claimed); err != nil {
			return err
		}
	}
	return s.db.engine.update(ctx, func(t tx) error {
		if err := t.sameEpoch(ctx, epoch); err != nil {
			return err
		}
		if err := t.holdLayers(ctx, layers); err != nil {
			return err
		}
		set, err := one(ctx, t.s, scanOne[int64], `SELECT id FROM package_sets WHERE digest = $1`, i.Set.Digest)
		if errors.Is(err, registry.ErrNoRow) {
			_, err = t.s.exec(ctx, `
				INSERT INTO package_sets (digest, os, members, vulnerable, counts, judged_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (digest) DO NOTHING`,
				i.Set.Digest, os, i.Set.Members, notNil(i.Set.Vulnerable), i.Set.Counts.Encode(), micros(i.Set.JudgedAt))
			if err != nil {
				return err
			}
			set, err = one(ctx, t.s, scanOne[int64], `SELECT id FROM package_sets WHERE digest = $1`, i.Set.Digest)
		}
		if err != nil {
			return err
		}
		n, err := t.s.exec(ctx, `
			INSERT INTO image_inventories (image_id, set_id, chain_id, layers, made_by, problem, scanned_at, epoch, claimed, revision)
			SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), $4, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS BIGINT), CAST($9 AS TEXT), CAST($10 AS BIGINT) FROM images WHERE id = $1
			ON CONFLICT (image_id) DO UPDATE SET set_id = excluded.set_id, chain_id = excluded.chain_id, layers = excluded.layers,
				made_by = excluded.made_by, problem = excluded.problem, scanned_at = excluded.scanned_at, claimed = excluded.claimed, revision = excluded.revision,
				epoch = CASE WHEN image_inventories.set_id = excluded.set_id AND image_inventories.layers = excluded.layers
					THEN image_inventories.epoch ELSE excluded.epoch END`,
			i.ImageID, set, i.ChainID, packLayers(layers), madeBy, i.Problem, micros(i.ScannedAt), epoch, claimed, i.Revision)
		if err == nil && n == 0 {
			err = registry.ErrNoRow
		}
		return err
	})
}

// notNil stores no bytes as bytes, of which there are none.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// holdLayers makes sure that layers are there and stay until the transaction ends.
func (t tx) holdLayers(ctx context.Context, ids []int64) error {
	text, err := listText(ids)
	if err != nil {
		return err
	}
	held, err := list(ctx, t.s, scanOne[int64], `
		SELECT id FROM scan_layers WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) FOR KEY SHARE`, text)
	if err != nil {
		return err
	}
	there := map[int64]bool{}
	for _, id := range held {
		there[id] = true
	}
	for _, id := range ids {
		if id != 0 && !there[id] {
			return scan.ErrLayerGone
		}
	}
	return nil
}

// packLayers packs the ids of an image's layers, lowest first. A layer may be there more than once, and ids are in any order; 0 is a
// layer of which nothing is stored.
func packLayers(ids []int64) []byte {
	members := make([]match.Member, 0, len(ids))
	for i, id := range ids {
		if id != 0 {
			members = append(members, match.Member{Package: id, Layer: i})
		}
	}
	return match.PackMembers(members)
}

func unpackLayers(b []byte) (ids []int64, err error) {
	err = match.EachMember(b, func(m match.Member) {
		for len(ids) <= m.Layer {
			ids = append(ids, 0)
		}
		ids[m.Layer] = m.Package
	})
	return ids, err
}

// Inventory implements scan.InventoryReads.
func (s Judging) Inventory(ctx context.Context, imageID int64) (scan.Inventory, error) {
	var layers []byte
	var made []string
	i, err := one(ctx, s.db.engine, func(rows *sql.Rows, i *scan.Inventory) error {
		return rows.Scan(&i.ImageID, &i.ChainID, &layers, jsonColumn{&made}, &i.Problem, timeColumn{&i.ScannedAt}, &i.Set.ID, &i.Set.Digest, jsonColumn{&i.Set.OS},
			&i.Set.Members, &i.Set.Vulnerable, jsonColumn{&i.Set.Counts}, timeColumn{&i.Set.JudgedAt}, timeColumn{&i.JudgedAt})
	}, `
		SELECT i.image_id, i.chain_id, i.layers, i.made_by, i.problem, i.scanned_at, s.id, s.digest, s.os, s.members, s.vulnerable, s.counts, s.judged_at,
			CASE WHEN j.ended_at > s.judged_at THEN j.ended_at ELSE s.judged_at END
		FROM image_inventories i JOIN package_sets s ON s.id = i.set_id JOIN scan_judgement j ON j.id = 1 WHERE i.image_id = $1`, imageID)
	if err != nil {
		return scan.Inventory{}, err
	}
	ids, err := unpackLayers(layers)
	if err != nil {
		return scan.Inventory{}, err
	}
	text, err := listText(ids)
	if err != nil {
		return scan.Inventory{}, err
	}
	known := map[int64]scan.StoredLayer{}
	err = s.db.engine.query(ctx, `
		SELECT id, diff_id, revision, problem, scanned_at FROM scan_layers WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var l scan.StoredLayer
			err := rows.Scan(&l.ID, &l.DiffID, &l.Revision, &l.Problem, timeColumn{&l.ScannedAt})
			known[l.ID] = l
			return err
		}, text)
	for n, id := range ids {
		l := known[id]
		if l.ID != 0 && n < len(made) {
			l.CreatedBy = made[n]
		}
		i.Layers = append(i.Layers, l)
	}
	return i, err
}

// Revisions implements scan.EntryStore.
func (s Judging) Revisions(ctx context.Context) (map[string]scan.Revision, error) {
	return revisions(ctx, s.db.engine)
}

func revisions(ctx context.Context, in session) (map[string]scan.Revision, error) {
	all := map[string]scan.Revision{}
	err := in.query(ctx, `SELECT source, revision, judged_rev FROM advisory_sources`, func(rows *sql.Rows) error {
		var source string
		var r scan.Revision
		err := rows.Scan(&source, &r.Current, &r.Judged)
		all[source] = r
		return err
	})
	return all, err
}
