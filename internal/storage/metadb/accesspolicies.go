package metadb

import (
	"context"
	"database/sql"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/access"
)

// InlinePolicies implements access.PolicyQueries.
func (a accessRows) InlinePolicies(ctx context.Context, principalID string) ([]access.InlinePolicy, error) {
	scan := func(rows *sql.Rows, p *access.InlinePolicy) error { return rows.Scan(&p.Name, &p.Document) }
	return list(ctx, a.s, scan, `SELECT name, document FROM inline_policies WHERE principal_id = $1 ORDER BY name`, principalID)
}

// Attachments implements access.PolicyQueries.
func (a accessRows) Attachments(ctx context.Context, principalID string) ([]string, error) {
	return list(ctx, a.s, scanOne[string], `SELECT policy_arn FROM attachments WHERE principal_id = $1 ORDER BY policy_arn`, principalID)
}

// AttachedTo implements access.PolicyQueries.
func (a accessRows) AttachedTo(ctx context.Context, policyARN string) ([]access.Principal, error) {
	return list(ctx, a.s, scanPrincipal, `
		SELECT `+principalColumns+` FROM attachments t JOIN principals p ON p.id = t.principal_id
		WHERE t.policy_arn = $1 ORDER BY p.kind, p.folded`, policyARN)
}

// BoundaryOf implements access.PolicyQueries.
func (a accessRows) BoundaryOf(ctx context.Context, policyARN string) ([]access.Principal, error) {
	return list(ctx, a.s, scanPrincipal, `
		SELECT `+principalColumns+` FROM principals p WHERE p.boundary = $1 AND p.boundary <> '' ORDER BY p.kind, p.folded`, policyARN)
}

func scanManagedPolicy(rows *sql.Rows, p *access.ManagedPolicy) error {
	return rows.Scan(&p.ARN, &p.ID, &p.Name, &p.Path, &p.Description, &p.InForce, &p.LastVersion, timeColumn{&p.CreatedAt}, timeColumn{&p.UpdatedAt})
}

const managedPolicies = `SELECT arn, id, name, path, description, in_force, last_version, created_at, updated_at FROM managed_policies `

// ManagedPolicy implements access.PolicyQueries.
func (a accessRows) ManagedPolicy(ctx context.Context, arn string) (access.ManagedPolicy, error) {
	p, err := one(ctx, a.s, scanManagedPolicy, managedPolicies+`WHERE arn = $1`, arn)
	return p, accessError(err)
}

// ManagedPolicies implements access.PolicyQueries.
func (a accessRows) ManagedPolicies(ctx context.Context, pathPrefix, after string, limit int) ([]access.ManagedPolicy, error) {
	return list(ctx, a.s, scanManagedPolicy, managedPolicies+`WHERE folded > $1 AND `+pathBegins(`path`, `$2`)+` ORDER BY folded LIMIT $3`,
		after, pathPrefix, limit)
}

// PolicyVersions implements access.PolicyQueries.
func (a accessRows) PolicyVersions(ctx context.Context, arn string) ([]access.PolicyVersion, error) {
	scan := func(rows *sql.Rows, v *access.PolicyVersion) error {
		return rows.Scan(&v.Number, &v.Document, timeColumn{&v.CreatedAt})
	}
	return list(ctx, a.s, scan, `SELECT number, document, created_at FROM managed_policy_versions WHERE policy_arn = $1 ORDER BY number DESC`, arn)
}

// PutInlinePolicy implements access.PolicyWrites.
func (a accessRows) PutInlinePolicy(ctx context.Context, principalID string, p access.InlinePolicy) error {
	_, err := a.s.exec(ctx, `
		INSERT INTO inline_policies (principal_id, name, document) VALUES ($1, $2, $3)
		ON CONFLICT (principal_id, name) DO UPDATE SET document = excluded.document`, principalID, p.Name, p.Document)
	return err
}

// DeleteInlinePolicy implements access.PolicyWrites.
func (a accessRows) DeleteInlinePolicy(ctx context.Context, principalID, name string) (bool, error) {
	n, err := a.s.exec(ctx, `DELETE FROM inline_policies WHERE principal_id = $1 AND name = $2`, principalID, name)
	return n > 0, err
}

// Attach implements access.PolicyWrites.
func (a accessRows) Attach(ctx context.Context, principalID, policyARN string) error {
	_, err := a.s.exec(ctx, `INSERT INTO attachments (principal_id, policy_arn) VALUES ($1, $2) ON CONFLICT DO NOTHING`, principalID, policyARN)
	return err
}

// Detach implements access.PolicyWrites.
func (a accessRows) Detach(ctx context.Context, principalID, policyARN string) (bool, error) {
	n, err := a.s.exec(ctx, `DELETE FROM attachments WHERE principal_id = $1 AND policy_arn = $2`, principalID, policyARN)
	return n > 0, err
}

// InsertManagedPolicy implements access.ManagedPolicyWrites.
func (a accessRows) InsertManagedPolicy(ctx context.Context, p access.ManagedPolicy) error {
	n, err := a.s.exec(ctx, `
		INSERT INTO managed_policies (arn, id, name, folded, path, description, in_force, last_version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		p.ARN, p.ID, p.Name, strings.ToLower(p.Name), p.Path, p.Description, p.InForce, p.LastVersion, micros(p.CreatedAt), micros(p.UpdatedAt))
	return conflictUnless(n, err)
}

// UpdateManagedPolicy implements access.ManagedPolicyWrites.
func (a accessRows) UpdateManagedPolicy(ctx context.Context, p access.ManagedPolicy) error {
	_, err := a.s.exec(ctx, `UPDATE managed_policies SET in_force = $1, last_version = $2, updated_at = $3 WHERE arn = $4`,
		p.InForce, p.LastVersion, micros(p.UpdatedAt), p.ARN)
	return err
}

// DeleteManagedPolicy implements access.ManagedPolicyWrites.
func (a accessRows) DeleteManagedPolicy(ctx context.Context, arn string) error {
	for _, text := range []string{
		`DELETE FROM access_tags WHERE owner = $1`,
		`DELETE FROM managed_policy_versions WHERE policy_arn = $1`,
		`DELETE FROM managed_policies WHERE arn = $1`,
	} {
		if _, err := a.s.exec(ctx, text, arn); err != nil {
			return err
		}
	}
	return nil
}

// InsertPolicyVersion implements access.ManagedPolicyWrites.
func (a accessRows) InsertPolicyVersion(ctx context.Context, arn string, v access.PolicyVersion) error {
	_, err := a.s.exec(ctx, `INSERT INTO managed_policy_versions (policy_arn, number, document, created_at) VALUES ($1, $2, $3, $4)`,
		arn, v.Number, v.Document, micros(v.CreatedAt))
	return err
}

// DeletePolicyVersion implements access.ManagedPolicyWrites.
func (a accessRows) DeletePolicyVersion(ctx context.Context, arn string, number int) (bool, error) {
	n, err := a.s.exec(ctx, `DELETE FROM managed_policy_versions WHERE policy_arn = $1 AND number = $2`, arn, number)
	return n > 0, err
}

func scanProvider(rows *sql.Rows, p *access.Provider) error {
	return rows.Scan(&p.ARN, &p.Issuer, jsonColumn{&p.ClientIDs}, jsonColumn{&p.Thumbprints}, timeColumn{&p.CreatedAt})
}

// Provider implements access.ProviderQueries.
func (a accessRows) Provider(ctx context.Context, arn string) (access.Provider, error) {
	p, err := one(ctx, a.s, scanProvider, `SELECT arn, issuer, client_ids, thumbprints, created_at FROM oidc_providers WHERE arn = $1`, arn)
	return p, accessError(err)
}

// Providers implements access.ProviderQueries.
func (a accessRows) Providers(ctx context.Context) ([]access.Provider, error) {
	return list(ctx, a.s, scanProvider, `SELECT arn, issuer, client_ids, thumbprints, created_at FROM oidc_providers ORDER BY arn`)
}

// InsertProvider implements access.ProviderWrites.
func (a accessRows) InsertProvider(ctx context.Context, p access.Provider) error {
	ids, thumbprints, err := providerLists(p)
	if err != nil {
		return err
	}
	n, err := a.s.exec(ctx, `
		INSERT INTO oidc_providers (arn, issuer, client_ids, thumbprints, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		p.ARN, p.Issuer, ids, thumbprints, micros(p.CreatedAt))
	return conflictUnless(n, err)
}

// UpdateProvider implements access.ProviderWrites.
func (a accessRows) UpdateProvider(ctx context.Context, p access.Provider) error {
	ids, thumbprints, err := providerLists(p)
	if err != nil {
		return err
	}
	_, err = a.s.exec(ctx, `UPDATE oidc_providers SET client_ids = $1, thumbprints = $2 WHERE arn = $3`, ids, thumbprints, p.ARN)
	return err
}

func providerLists(p access.Provider) (ids, thumbprints string, err error) {
	if ids, err = jsonText(p.ClientIDs); err != nil {
		return "", "", err
	}
	thumbprints, err = jsonText(p.Thumbprints)
	return ids, thumbprints, err
}

// DeleteProvider implements access.ProviderWrites.
func (a accessRows) DeleteProvider(ctx context.Context, arn string) error {
	if _, err := a.s.exec(ctx, `DELETE FROM access_tags WHERE owner = $1`, arn); err != nil {
		return err
	}
	_, err := a.s.exec(ctx, `DELETE FROM oidc_providers WHERE arn = $1`, arn)
	return err
}

// Tags implements access.TagQueries.
func (a accessRows) Tags(ctx context.Context, owner string) ([]access.Tag, error) {
	scan := func(rows *sql.Rows, t *access.Tag) error { return rows.Scan(&t.Key, &t.Value) }
	return list(ctx, a.s, scan, `SELECT key, value FROM access_tags WHERE owner = $1 ORDER BY folded`, owner)
}

// SetTags implements access.TagWrites.
func (a accessRows) SetTags(ctx context.Context, owner string, tags []access.Tag) error {
	if _, err := a.s.exec(ctx, `DELETE FROM access_tags WHERE owner = $1`, owner); err != nil {
		return err
	}
	for _, t := range tags {
		_, err := a.s.exec(ctx, `INSERT INTO access_tags (owner, folded, key, value) VALUES ($1, $2, $3, $4)`,
			owner, strings.ToLower(t.Key), t.Key, t.Value)
		if err != nil {
			return err
		}
	}
	return nil
}
