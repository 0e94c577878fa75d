package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// imageRow is an image without what other tables say of it.
const imageRow = `i.id, i.digest, i.media_type, i.artifact_type, i.config_media_type, COALESCE(i.subject, ''),
	i.size, i.manifest_size, i.pushed_at, i.last_pulled_at, i.archived, i.archived_at, i.activated_at, i.vouched`

const (
	imageByTag = ` FROM repositories r JOIN tags t ON t.repository_id = r.id JOIN images i ON i.id = t.image_id
		WHERE r.name = $1 AND t.name = $2`
	imageByDigest = ` FROM repositories r JOIN images i ON i.repository_id = r.id
		WHERE r.name = $1 AND i.digest = $2`
	manifestByTag = ` FROM repositories r JOIN tags t ON t.repository_id = r.id JOIN images i ON i.id = t.image_id
		JOIN manifests m ON m.image_id = i.id WHERE r.name = $1 AND t.name = $2`
	manifestByDigest = ` FROM repositories r JOIN images i ON i.repository_id = r.id
		JOIN manifests m ON m.image_id = i.id WHERE r.name = $1 AND i.digest = $2`
)

func scanImageRow(rows *sql.Rows, i *registry.Image) error { return rows.Scan(imageFields(i)...) }

func scanImageWithManifest(rows *sql.Rows, i *registry.Image) error {
	return rows.Scan(append(imageFields(i), &i.Manifest)...)
}

// imageFields receives the columns of imageRow.
func imageFields(i *registry.Image) []any {
	return []any{
		&i.ID, &i.Digest, &i.MediaType, &i.ArtifactType, &i.ConfigMediaType, &i.Subject, &i.Size, &i.ManifestSize,
		timeColumn{&i.PushedAt},
		timeColumn{&i.LastPulledAt},
		&i.Archived,
		timeColumn{&i.ArchivedAt},
		timeColumn{&i.ActivatedAt},
		&i.Vouched,
	}
}

// ImageIn implements registry.LookUps.
func (q queries) ImageIn(ctx context.Context, repository string, ref oci.Reference) (registry.Image, error) {
	if ref.Tag != "" {
		return one(ctx, q.s, scanImageRow, `SELECT `+imageRow+imageByTag, repository, ref.Tag)
	}
	return one(ctx, q.s, scanImageRow, `SELECT `+imageRow+imageByDigest, repository, string(ref.Digest))
}

// ManifestIn implements registry.LookUps.
func (q queries) ManifestIn(ctx context.Context, repository string, ref oci.Reference) (registry.Image, error) {
	if ref.Tag != "" {
		return one(ctx, q.s, scanImageWithManifest, `SELECT `+imageRow+`, m.body`+manifestByTag, repository, ref.Tag)
	}
	return one(ctx, q.s, scanImageWithManifest, `SELECT `+imageRow+`, m.body`+manifestByDigest, repository, string(ref.Digest))
}

// LayerIn implements registry.LookUps.
func (q queries) LayerIn(ctx context.Context, repository string, d oci.Digest) (registry.Layer, error) {
	return one(ctx, q.s, scanLayer, `
		SELECT `+layerColumns+`
		FROM repositories r JOIN layers l ON l.repository_id = r.id JOIN blobs b ON b.digest = l.digest
		WHERE r.name = $1 AND l.digest = $2`, repository, string(d))
}
