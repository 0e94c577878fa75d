package metadb

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// onShelf is the condition that selects a table's rows by status.
func onShelf(table string, s registry.Status) string {
	switch s {
	case registry.OnlyActive:
		return ` AND ` + table + `.archived = FALSE`
	case registry.OnlyArchived:
		return ` AND ` + table + `.archived = TRUE`
	case registry.AnyStatus:
	}
	return ""
}

// found orders images by id after they are found. Without the sign SQLite would go through all images of the repository,
// which it has in that order, and look for each in the list.
const found = `+i.id`

// Children implements registry.KinQueries.
func (q queries) Children(ctx context.Context, repositoryID int64, imageIDs []int64) ([]registry.Image, error) {
	ids, err := jsonText(imageIDs)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanImage, `
		SELECT `+imageColumns+` FROM images i WHERE i.repository_id = $1 AND i.digest IN (
			SELECT c.digest FROM image_children c WHERE c.repository_id = $1 AND c.image_id IN (SELECT CAST(value AS BIGINT) FROM texts($2)))
		ORDER BY `+found, repositoryID, ids)
}

// Followers implements registry.KinQueries.
func (q queries) Followers(ctx context.Context, repositoryID int64, subjects []oci.Digest) ([]registry.Image, error) {
	digests, err := jsonText(subjects)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanImage, `
		SELECT `+imageColumns+` FROM images i WHERE i.repository_id = $1 AND i.subject IN (SELECT value FROM texts($2))
		ORDER BY `+found, repositoryID, digests)
}

// ActiveIndexesOf implements registry.KinQueries.
func (q queries) ActiveIndexesOf(ctx context.Context, repositoryID int64, d oci.Digest) ([]oci.Digest, error) {
	return list(ctx, q.s, scanOne[oci.Digest], `
		SELECT i.digest FROM image_children c JOIN images i ON i.id = c.image_id
		WHERE c.repository_id = $1 AND c.digest = $2 AND i.archived = FALSE ORDER BY i.digest`, repositoryID, string(d))
}

// SetArchived implements registry.ArchiveWrites.
func (t tx) SetArchived(ctx context.Context, repositoryID int64, imageIDs []int64, archived bool, at time.Time) error {
	ids, err := jsonText(imageIDs)
	if err != nil {
		return err
	}
	when := "activated_at"
	if archived {
		when = "archived_at"
	}
	_, err = t.s.exec(ctx, `
		UPDATE images SET archived = $1, `+when+` = $2 WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($3))`, archived, micros(at), ids)
	if err != nil {
		return err
	}
	for _, table := range []string{"tags", "image_blobs"} {
		_, err := t.s.exec(ctx, `
			UPDATE `+table+` SET archived = $1 WHERE repository_id = $2 AND image_id IN (SELECT CAST(value AS BIGINT) FROM texts($3))`,
			archived, repositoryID, ids)
		if err != nil {
			return err
		}
	}
	return nil
}
