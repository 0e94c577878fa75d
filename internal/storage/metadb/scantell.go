package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// findingChange is a row of what is to be told.
type findingChange struct {
	id, set, epoch, last int64
	changes              scan.Changes
}

// TellChanges implements scan.TellStore. It looks before it writes, so that nothing to do costs no transaction.
func (s Judging) TellChanges(ctx context.Context, limit int, events func(scan.Changes, []scan.ToldImage) []event.Event) (some bool, err error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM finding_changes LIMIT 1`)
	if err != nil || !waiting {
		return false, err
	}
	err = s.db.engine.update(ctx, func(t tx) error {
		rows, err := list(ctx, t.s, func(rows *sql.Rows, c *findingChange) error {
			return rows.Scan(&c.id, &c.set, &c.epoch, &c.last, jsonColumn{&c.changes})
		}, `SELECT id, set_id, epoch, last_image, changes FROM finding_changes ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED`, limit)
		some = len(rows) > 0
		for left := limit; err == nil && len(rows) > 0 && left > 0; rows = rows[1:] {
			var told int
			told, err = t.tellChange(ctx, rows[0], left, events)
			left -= told
		}
		return err
	})
	return some, err
}

// tellChange tells some images of one change, and tells how many that were.
func (t tx) tellChange(ctx context.Context, c findingChange, limit int, events func(scan.Changes, []scan.ToldImage) []event.Event) (int, error) {
	last := c.last
	images, err := list(ctx, t.s, func(rows *sql.Rows, i *scan.ToldImage) error {
		return rows.Scan(&last, &i.Repository, &i.RepositoryID, &i.Digest, &i.MediaType)
	}, `
		SELECT i.image_id, r.name, r.id, m.digest, m.media_type
		FROM image_inventories i JOIN images m ON m.id = i.image_id JOIN repositories r ON r.id = m.repository_id
		WHERE i.set_id = $1 AND i.image_id > $2 AND i.epoch < $3 ORDER BY i.image_id LIMIT $4`, c.set, c.last, c.epoch, limit)
	if err != nil {
		return 0, err
	}
	for n := range images {
		images[n].Tags, err = list(ctx, t.s, scanOne[string], `
			SELECT t.name FROM images i JOIN tags t ON t.repository_id = i.repository_id AND t.image_id = i.id
			WHERE i.repository_id = $1 AND i.digest = $2 ORDER BY t.name`, images[n].RepositoryID, string(images[n].Digest))
		if err != nil {
			return 0, err
		}
	}
	if err := t.RecordEvents(ctx, events(c.changes, images)); err != nil {
		return 0, err
	}
	if len(images) < limit {
		_, err = t.s.exec(ctx, `DELETE FROM finding_changes WHERE id = $1`, c.id)
	} else {
		_, err = t.s.exec(ctx, `UPDATE finding_changes SET last_image = $2 WHERE id = $1`, c.id, last)
	}
	return len(images), err
}
