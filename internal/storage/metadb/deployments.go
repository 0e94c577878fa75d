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
	which, arg, err := oneOf("i.digest", ds)
	if err != nil || which == "" {
		return nil, err
	}
	return list(ctx, q.s, scanAnnotated, annotated+which, repositoryID, arg)
}

// Referring implements registry.DeploymentQueries.
func (q queries) Referring(ctx context.Context, repositoryID int64, subjects []oci.Digest, artifactType string) ([]registry.Image, error) {
	which, arg, err := oneOf("i.subject", subjects)
	if err != nil || which == "" {
		return nil, err
	}
	return list(ctx, q.s, scanAnnotated, annotated+which+` AND i.artifact_type = $3`, repositoryID, arg, artifactType)
}

// oneOf is the condition, with its argument $2, that a column is one of the digests; it is empty when there are none.
func oneOf(column string, ds []oci.Digest) (condition, arg string, err error) {
	if len(ds) == 0 {
		return "", "", nil
	}
	arg, err = jsonText(ds)
	return ` AND ` + column + ` IN (SELECT value FROM texts($2))`, arg, err
}

// Neither is put in order: SQLite would go through all images of the repository, which it has in that order.
var annotated = fmt.Sprintf(`SELECT `+imageRow+`, m.annotations FROM images i JOIN manifests m ON m.image_id = i.id
	WHERE octet_length(m.annotations) <= %d AND i.repository_id = $1`, registry.MaxRecordAnnotations)

func scanAnnotated(rows *sql.Rows, i *registry.Image) error {
	return rows.Scan(append(imageFields(i), jsonColumn{&i.Annotations})...)
}
