package metadb

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Annotated implements registry.DeploymentQueries.
func (q queries) Annotated(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Image, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	digests, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanAnnotated, annotated+` AND i.digest IN (SELECT value FROM texts($2))`, repositoryID, digests)
}

// Referring implements registry.DeploymentQueries.
func (q queries) Referring(ctx context.Context, repositoryID int64, subjects []oci.Digest, artifactType string) ([]registry.Image, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	digests, err := jsonText(subjects)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanAnnotated, annotated+` AND i.subject IN (SELECT value FROM texts($2)) AND i.artifact_type = $3`, repositoryID, digests, artifactType)
}

// Neither is put in order: SQLite would go through all images of the repository, which it has in that order.
var annotated = fmt.Sprintf(`SELECT `+imageRow+`, m.annotations FROM images i JOIN manifests m ON m.image_id = i.id
	WHERE octet_length(m.annotations) <= %d AND i.repository_id = $1`, registry.MaxRecordAnnotations)

func scanAnnotated(rows *sql.Rows, i *registry.Image) error {
	return rows.Scan(append(imageFields(i), jsonColumn{&i.Annotations})...)
}
