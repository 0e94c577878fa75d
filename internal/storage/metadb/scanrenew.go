package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

const outdated = `
	SELECT v.image_id FROM image_inventories v WHERE v.revision < $1 AND v.renew_at <= $2
	AND EXISTS (SELECT 1 FROM images i WHERE i.id = v.image_id AND NOT i.archived) ORDER BY v.revision, v.image_id LIMIT 1`

// ClaimOutdated implements scan.Work. It looks before it writes, so that nothing to do costs no transaction.
func (s Scans) ClaimOutdated(ctx context.Context, revision int, now, again time.Time) (c scan.Claim, found bool, err error) {
	waiting, err := exists(ctx, s.db.read.s, outdated, revision, micros(now))
	if err != nil || !waiting {
		return scan.Claim{}, false, err
	}
	err = s.db.engine.update(ctx, func(t tx) error {
		c, found = scan.Claim{RequestedAt: now, DueAt: again}, false
		err := t.s.query(ctx, `
			UPDATE image_inventories SET renew_at = $3 WHERE image_id = (`+outdated+` FOR UPDATE SKIP LOCKED)
			AND revision < $1 AND renew_at <= $2 RETURNING image_id`, func(rows *sql.Rows) error {
			found = true
			return rows.Scan(&c.ImageID)
		}, revision, micros(now), micros(again))
		if err != nil || !found {
			return err
		}
		return t.claimedImage(ctx, &c)
	})
	return c, found, err
}

// SettleOutdated implements scan.Work.
func (s Scans) SettleOutdated(ctx context.Context, imageID int64, again time.Time, told *event.Event) error {
	return s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `UPDATE image_inventories SET renew_at = $2 WHERE image_id = $1`, imageID, micros(again))
		if err != nil || n == 0 || told == nil {
			return err
		}
		return t.RecordEvents(ctx, []event.Event{*told})
	})
}
