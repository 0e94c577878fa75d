package metadb

import (
	"context"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// windowColumn receives how long a repository's deleted images stay restorable.
type windowColumn struct{ w **time.Duration }

// Scan implements sql.Scanner.
func (c windowColumn) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a span of time is stored as %T, not as a number", v)
	}
	*c.w = nil
	if n >= 0 {
		w := time.Duration(n) * time.Microsecond
		*c.w = &w
	}
	return nil
}

func storedWindow(w *time.Duration) int64 {
	if w == nil {
		return -1
	}
	return w.Microseconds()
}

// whichImages selects an image of a repository, $3, or all of them where that is 0.
const whichImages = `i.repository_id = $2 AND (i.id = $3 OR $3 = 0)`

// TrashImages implements registry.TrashWrites. What is in the trash under the same digest is the same image, deleted before.
func (t tx) TrashImages(ctx context.Context, repo registry.Repository, imageID int64, d registry.Trashing) error {
	_, err := t.s.exec(ctx, `
		DELETE FROM trash WHERE repository = $1 AND digest IN (SELECT i.digest FROM images i WHERE `+whichImages+`)`,
		repo.Name, repo.ID, imageID)
	if err != nil {
		return fmt.Errorf("emptying its place in the trash: %w", err)
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO trash (repository, digest, media_type, artifact_type, config_media_type, subject, size, manifest_size,
			pushed_at, last_pulled_at, archived, archived_at, activated_at, tags, annotations, body,
			trashed_at, purge_at, actor, reason, went_with)
		SELECT $1, i.digest, i.media_type, i.artifact_type, i.config_media_type, i.subject, i.size, i.manifest_size,
			i.pushed_at, i.last_pulled_at, i.archived, i.archived_at, i.activated_at,
			COALESCE((SELECT string_agg(own.name, ' ') FROM tags own WHERE own.repository_id = i.repository_id AND own.image_id = i.id), ''),
			m.annotations, m.body, $4, $5, $6, $7, $8
		FROM images i JOIN manifests m ON m.image_id = i.id WHERE `+whichImages+` ORDER BY i.id`,
		repo.Name, repo.ID, imageID, micros(d.At), micros(d.PurgeAt), d.Actor, d.Reason, string(d.WentWith))
	if err != nil {
		return fmt.Errorf("moving it to the trash: %w", err)
	}
	// What an image names without having it, in a copy of an upstream registry's repository, there is nothing to keep of.
	_, err = t.s.exec(ctx, `
		INSERT INTO trash_blobs (trash_id, digest)
		SELECT t.id, b.digest FROM images i
		JOIN trash t ON t.repository = $1 AND t.digest = i.digest
		JOIN image_blobs b ON b.repository_id = i.repository_id AND b.image_id = i.id
		JOIN layers l ON l.repository_id = b.repository_id AND l.digest = b.digest
		WHERE `+whichImages, repo.Name, repo.ID, imageID)
	if err != nil {
		return fmt.Errorf("keeping its layers for the trash: %w", err)
	}
	return nil
}
