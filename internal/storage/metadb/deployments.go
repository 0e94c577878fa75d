package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Annotated implements registry.DeploymentQueries.
func (q queries) Annotated(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Image, error) {
	digests, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	scan := func(rows *sql.Rows, i *registry.Image) error {
		return rows.Scan(append(imageFields(i), jsonColumn{&i.Annotations})...)
	}
	return list(ctx, q.s, scan, `
		SELECT `+imageRow+`, m.annotations FROM images i JOIN manifests m ON m.image_id = i.id
		WHERE i.repository_id = $1 AND i.digest IN (SELECT value FROM texts($2)) ORDER BY i.id`, repositoryID, digests)
}

// HasReferrers implements registry.DeploymentQueries.
func (q queries) HasReferrers(ctx context.Context, repositoryID int64, subjects []oci.Digest, artifactType string) (bool, error) {
	digests, err := jsonText(subjects)
	if err != nil {
		return false, err
	}
	return exists(ctx, q.s, `
		SELECT 1 FROM images i WHERE i.repository_id = $1 AND i.subject IN (SELECT value FROM texts($2)) AND i.artifact_type = $3 LIMIT 1`,
		repositoryID, digests, artifactType)
}
