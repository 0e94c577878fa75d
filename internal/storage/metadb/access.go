package metadb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Access gives the principals and their policies.
func (db *DB) Access() access.Store { return accessStore{db} }

type accessStore struct{ db *DB }

// accessRows implements access.Queries and access.Tx.
type accessRows struct{ s session }

var _ access.Tx = accessRows{}

// Read implements access.Store.
func (a accessStore) Read() access.Queries { return accessRows{a.db.engine} }

// Update implements access.Store.
func (a accessStore) Update(ctx context.Context, f func(tx access.Tx) error) error {
	return a.db.engine.update(ctx, func(t tx) error {
		if _, err := exists(ctx, t.s, `SELECT id FROM access_turn FOR UPDATE`); err != nil {
			return err
		}
		return f(accessRows{t.s})
	})
}

// accessError gives an error the room's words.
func accessError(err error) error {
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return access.ErrNoRow
	case errors.Is(err, registry.ErrConflict):
		return access.ErrConflict
	}
	return err
}

// pathBegins is the condition that a path begins as a parameter says. It is not LIKE, for which letters have no case on
// SQLite.
func pathBegins(column, parameter string) string {
	return `substr(` + column + `, 1, length(CAST(` + parameter + ` AS TEXT))) = CAST(` + parameter + ` AS TEXT)`
}

const principalColumns = `p.id, p.kind, p.name, p.path, p.arn, p.description, p.trust, p.max_session, p.boundary, p.created_at, p.used_at, p.used_region`

func scanPrincipal(rows *sql.Rows, p *access.Principal) error {
	var seconds int64
	err := rows.Scan(&p.ID, &p.Kind, &p.Name, &p.Path, &p.ARN, &p.Description, &p.Trust, &seconds, &p.Boundary,
		timeColumn{&p.CreatedAt}, timeColumn{&p.UsedAt}, &p.UsedRegion)
	p.MaxSession = time.Duration(seconds) * time.Second
	return err
}

// Principal implements access.PrincipalQueries.
func (a accessRows) Principal(ctx context.Context, kind access.Kind, name string) (access.Principal, error) {
	p, err := one(ctx, a.s, scanPrincipal, `SELECT `+principalColumns+` FROM principals p WHERE p.kind = $1 AND p.folded = $2`,
		string(kind), strings.ToLower(name))
	return p, accessError(err)
}

// PrincipalByID implements access.PrincipalQueries.
func (a accessRows) PrincipalByID(ctx context.Context, id string) (access.Principal, error) {
	p, err := one(ctx, a.s, scanPrincipal, `SELECT `+principalColumns+` FROM principals p WHERE p.id = $1`, id)
	return p, accessError(err)
}

// Principals implements access.PrincipalQueries.
func (a accessRows) Principals(ctx context.Context, kind access.Kind, pathPrefix, after string, limit int) ([]access.Principal, error) {
	return list(ctx, a.s, scanPrincipal, `
		SELECT `+principalColumns+` FROM principals p
		WHERE p.kind = $1 AND p.folded > $2 AND `+pathBegins(`p.path`, `$3`)+` ORDER BY p.folded LIMIT $4`,
		string(kind), after, pathPrefix, limit)
}

// GroupsOf implements access.PrincipalQueries.
func (a accessRows) GroupsOf(ctx context.Context, userID string) ([]access.Principal, error) {
	return list(ctx, a.s, scanPrincipal, `
		SELECT `+principalColumns+` FROM memberships m JOIN principals p ON p.id = m.group_id WHERE m.user_id = $1 ORDER BY p.folded`, userID)
}

// Members implements access.PrincipalQueries.
func (a accessRows) Members(ctx context.Context, groupID string) ([]access.Principal, error) {
	return list(ctx, a.s, scanPrincipal, `
		SELECT `+principalColumns+` FROM memberships m JOIN principals p ON p.id = m.user_id WHERE m.group_id = $1 ORDER BY p.folded`, groupID)
}

// CountPrincipals implements access.PrincipalQueries.
func (a accessRows) CountPrincipals(ctx context.Context, kind access.Kind) (int, error) {
	return one(ctx, a.s, scanOne[int], `SELECT COUNT(*) FROM principals WHERE kind = $1`, string(kind))
}

// Grants implements access.PrincipalQueries.
func (a accessRows) Grants(ctx context.Context, id string) (access.Grants, error) {
	p, err := a.PrincipalByID(ctx, id)
	if err != nil {
		return access.Grants{}, err
	}
	g := access.Grants{Principal: p}
	if g.Tags, err = a.Tags(ctx, id); err != nil {
		return access.Grants{}, err
	}
	// What grants and what limits is of one moment, and so of one statement: the policies are never there without a
	// boundary that was put before them. The boundary counts as it is here, and not as it was in the principal's row above.
	g.Principal.Boundary = ""
	all, err := list(ctx, a.s, scanGranted, `
		WITH sources (id, name) AS (
			SELECT CAST($1 AS TEXT), '' UNION ALL
			SELECT p.id, p.name FROM memberships m JOIN principals p ON p.id = m.group_id WHERE m.user_id = $1)
		SELECT 0, '', i.name, s.name, i.document FROM sources s JOIN inline_policies i ON i.principal_id = s.id
		UNION ALL
		SELECT 0, t.policy_arn, '', s.name, COALESCE(v.document, '') FROM sources s JOIN attachments t ON t.principal_id = s.id
		LEFT JOIN managed_policies m ON m.arn = t.policy_arn
		LEFT JOIN managed_policy_versions v ON v.policy_arn = m.arn AND v.number = m.in_force
		UNION ALL
		SELECT 1, p.boundary, '', '', COALESCE(v.document, '') FROM principals p
		LEFT JOIN managed_policies m ON m.arn = p.boundary
		LEFT JOIN managed_policy_versions v ON v.policy_arn = m.arn AND v.number = m.in_force
		WHERE p.id = $1 AND p.boundary <> ''
		ORDER BY 1, 4, 2, 3`, id)
	for _, row := range all {
		if row.boundary {
			g.Principal.Boundary, g.BoundaryDocument = row.ARN, row.Document
			continue
		}
		g.Policies = append(g.Policies, row.GrantedPolicy)
	}
	return g, err
}

// grantedRow is a policy that grants, or the boundary.
type grantedRow struct {
	access.GrantedPolicy
	boundary bool
}

func scanGranted(rows *sql.Rows, r *grantedRow) error {
	var kind int
	err := rows.Scan(&kind, &r.ARN, &r.Inline, &r.Of, &r.Document)
	r.boundary = kind == 1
	return err
}

// InsertPrincipal implements access.PrincipalWrites.
func (a accessRows) InsertPrincipal(ctx context.Context, p access.Principal) error {
	n, err := a.s.exec(ctx, `
		INSERT INTO principals (id, kind, name, folded, path, arn, description, trust, max_session, boundary, created_at, used_at, used_region)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
		p.ID, string(p.Kind), p.Name, strings.ToLower(p.Name), p.Path, p.ARN, p.Description, p.Trust, int64(p.MaxSession/time.Second),
		p.Boundary, micros(p.CreatedAt), micros(p.UsedAt), p.UsedRegion)
	return conflictUnless(n, err)
}

// conflictUnless gives access.ErrConflict where no row was written.
func conflictUnless(rows int64, err error) error {
	if err == nil && rows == 0 {
		return access.ErrConflict
	}
	return accessError(err)
}

// UpdatePrincipal implements access.PrincipalWrites.
func (a accessRows) UpdatePrincipal(ctx context.Context, p access.Principal) error {
	taken, err := exists(ctx, a.s, `SELECT 1 FROM principals WHERE kind = $1 AND folded = $2 AND id <> $3`,
		string(p.Kind), strings.ToLower(p.Name), p.ID)
	if err != nil {
		return err
	}
	if taken {
		return access.ErrConflict
	}
	_, err = a.s.exec(ctx, `
		UPDATE principals SET name = $1, folded = $2, path = $3, arn = $4, description = $5, trust = $6, max_session = $7, boundary = $8
		WHERE id = $9`,
		p.Name, strings.ToLower(p.Name), p.Path, p.ARN, p.Description, p.Trust, int64(p.MaxSession/time.Second), p.Boundary, p.ID)
	return err
}

// DeletePrincipal implements access.PrincipalWrites.
func (a accessRows) DeletePrincipal(ctx context.Context, id string) error {
	for _, text := range []string{
		`DELETE FROM access_keys WHERE user_id = $1`,
		`DELETE FROM access_tags WHERE owner = $1`,
		`DELETE FROM memberships WHERE user_id = $1 OR group_id = $1`,
		`DELETE FROM inline_policies WHERE principal_id = $1`,
		`DELETE FROM attachments WHERE principal_id = $1`,
		`DELETE FROM principals WHERE id = $1`,
	} {
		if _, err := a.s.exec(ctx, text, id); err != nil {
			return err
		}
	}
	return nil
}

// AddMember implements access.PrincipalWrites.
func (a accessRows) AddMember(ctx context.Context, groupID, userID string) error {
	_, err := a.s.exec(ctx, `INSERT INTO memberships (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, groupID, userID)
	return err
}

// RemoveMember implements access.PrincipalWrites.
func (a accessRows) RemoveMember(ctx context.Context, groupID, userID string) (bool, error) {
	n, err := a.s.exec(ctx, `DELETE FROM memberships WHERE group_id = $1 AND user_id = $2`, groupID, userID)
	return n > 0, err
}

// RecordRoleUse implements access.PrincipalWrites.
func (a accessRows) RecordRoleUse(ctx context.Context, id string, at time.Time, region string) error {
	_, err := a.s.exec(ctx, `UPDATE principals SET used_at = $1, used_region = $2 WHERE id = $3 AND used_at < $1`, micros(at), region, id)
	return err
}

func scanKeyInfo(rows *sql.Rows, k *access.KeyInfo) error {
	return rows.Scan(&k.ID, &k.UserID, &k.UserName, &k.Root, &k.Active, timeColumn{&k.CreatedAt}, timeColumn{&k.Used.At}, &k.Used.Region, &k.Used.Service)
}

const keyInfos = `
	SELECT k.id, k.user_id, COALESCE(p.name, ''), k.root, k.active, k.created_at, k.used_at, k.used_region, k.used_service
	FROM access_keys k LEFT JOIN principals p ON p.id = k.user_id `

// UserKeys implements access.KeyQueries.
func (a accessRows) UserKeys(ctx context.Context, userID string) ([]access.KeyInfo, error) {
	return list(ctx, a.s, scanKeyInfo, keyInfos+`WHERE k.user_id = $1 ORDER BY k.created_at, k.id`, userID)
}

// KeyInfo implements access.KeyQueries.
func (a accessRows) KeyInfo(ctx context.Context, id string) (access.KeyInfo, error) {
	k, err := one(ctx, a.s, scanKeyInfo, keyInfos+`WHERE k.id = $1`, id)
	return k, accessError(err)
}

// InsertKey implements access.KeyWrites.
func (a accessRows) InsertKey(ctx context.Context, k identity.SealedKey) error {
	return accessError(insertAccessKey(ctx, a.s, k))
}

// SetKeyActive implements access.KeyWrites.
func (a accessRows) SetKeyActive(ctx context.Context, id string, active bool) error {
	_, err := a.s.exec(ctx, `UPDATE access_keys SET active = $1 WHERE id = $2`, active, id)
	return err
}

// DeleteKey implements access.KeyWrites.
func (a accessRows) DeleteKey(ctx context.Context, id string) error {
	_, err := a.s.exec(ctx, `DELETE FROM access_keys WHERE id = $1`, id)
	return err
}

// RecordKeyUse implements access.KeyWrites.
func (a accessRows) RecordKeyUse(ctx context.Context, id string, u access.Use) error {
	_, err := a.s.exec(ctx, `UPDATE access_keys SET used_at = $1, used_region = $2, used_service = $3 WHERE id = $4 AND used_at < $1`,
		micros(u.At), u.Region, u.Service, id)
	return err
}
