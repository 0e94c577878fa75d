package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// ResourceAccess implements registry.AccessQueries, in one statement: it is on the way of every request. The setting is the
// one that registry.Policy gives.
func (q queries) ResourceAccess(ctx context.Context, repository string) (registry.ResourceAccess, error) {
	var a registry.ResourceAccess
	err := q.s.query(ctx, `
		SELECT 'registry', '', body FROM settings WHERE name = 'policy'
		UNION ALL
		SELECT 'repository', '', p.body FROM repositories r JOIN repository_policies p ON p.repository_id = r.id WHERE r.name = $1
		UNION ALL
		SELECT 'tag', t.key, t.value FROM repositories r JOIN repository_tags t ON t.repository_id = r.id WHERE r.name = $1`,
		func(rows *sql.Rows) error {
			var what, key, value string
			if err := rows.Scan(&what, &key, &value); err != nil {
				return err
			}
			switch what {
			case "registry":
				a.RegistryPolicy = value
			case "repository":
				a.RepositoryPolicy = value
			default:
				a.Tags = append(a.Tags, registry.ResourceTag{Key: key, Value: value})
			}
			return nil
		}, repository)
	if err != nil {
		return registry.ResourceAccess{}, err // not half of what there is
	}
	return a, nil
}

// OpenPolicies implements registry.AccessQueries.
func (q queries) OpenPolicies(ctx context.Context) (bool, error) {
	return exists(ctx, q.s, `SELECT 1 FROM repository_policies WHERE open LIMIT 1`)
}

// ImageNames implements registry.AccessQueries.
func (q queries) ImageNames(ctx context.Context, repository string, d oci.Digest) ([]string, error) {
	return list(ctx, q.s, scanOne[string], `
		WITH RECURSIVE family (repository_id, id, digest) AS (
			SELECT i.repository_id, i.id, i.digest FROM repositories r JOIN images i ON i.repository_id = r.id
			WHERE r.name = $1 AND i.digest = $2
			UNION
			SELECT i.repository_id, i.id, i.digest FROM family f
			JOIN image_children c ON c.repository_id = f.repository_id AND c.digest = f.digest
			JOIN images i ON i.id = c.image_id
		)
		SELECT DISTINCT t.name FROM family f JOIN tags t ON t.repository_id = f.repository_id AND t.image_id = f.id ORDER BY t.name`, repository, string(d))
}
