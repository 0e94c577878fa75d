package metadb

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// lifecycleImage is an image as a policy sees it, in few columns, since each costs more than what is in it. The last one
// is NULL for most images: what is in the standard class, never was elsewhere, refers to nothing, and is an image by its types.
// $2 is a separator that cannot be in what stands before the types.
const lifecycleImage = `i.id, i.digest, i.pushed_at, i.last_pulled_at,
	CASE WHEN i.subject IS NULL AND NOT i.archived AND i.archived_at = 0 AND i.activated_at = 0 AND i.artifact_type = ''
		AND i.media_type IN ('` + oci.MediaTypeOCIManifest + `', '` + oci.MediaTypeDockerManifest + `')
		AND i.config_media_type IN ('application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json')
	THEN NULL ELSE COALESCE(i.subject, '') || CAST($2 AS TEXT) || CASE WHEN i.archived THEN 'archived' ELSE '' END || CAST($2 AS TEXT) || i.archived_at ||
		CAST($2 AS TEXT) || i.activated_at || CAST($2 AS TEXT) || i.media_type || CAST($2 AS TEXT) || i.artifact_type || CAST($2 AS TEXT) || i.config_media_type END`

// apart is what separates what is joined in one column.
const apart = "\n"

func scanLifecycleImage(rows *sql.Rows, i *lifecycle.Image) error {
	var digest string
	var pushed, pulled int64
	var rest sql.NullString
	if err := rows.Scan(&i.ID, &digest, &pushed, &pulled, &rest); err != nil {
		return err
	}
	i.Digest, i.PushedAt, i.PulledAt, i.Class = oci.Digest(digest), fromMicros(pushed), fromMicros(pulled), lifecycle.Standard
	if !rest.Valid {
		return nil
	}
	const parts = 7
	r := strings.SplitN(rest.String, apart, parts)
	var more [2]int64
	for n, text := range r[2:4] {
		var err error
		if more[n], err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
	}
	i.Subject, i.Class = oci.Digest(r[0]), lifecycle.ClassOf(r[1] != "")
	i.ArchivedAt, i.ActivatedAt = fromMicros(more[0]), fromMicros(more[1])
	i.Kind = lifecycle.KindOf(r[4], r[5], r[6])
	return nil
}

// fromMicros is the opposite of micros.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// Images implements lifecycle.Store, in three statements, each in order of id, which are put together as they come. What
// changes in between does no harm: a tag that moves to an image that comes in between leaves one image less to be counted, and a
// new index protects more images than it would have.
func (l lifecycleStore) Images(ctx context.Context, repositoryID int64) ([]lifecycle.Image, error) {
	s := l.db.read.s
	many, err := one(ctx, s, scanOne[int], `SELECT COUNT(*) FROM images WHERE repository_id = $1`, repositoryID)
	if err != nil {
		return nil, err
	}
	images := make([]lifecycle.Image, 0, many+many/100) // some may come in between
	err = s.query(ctx, `SELECT `+lifecycleImage+` FROM images i WHERE i.repository_id = $1 ORDER BY i.id`, func(rows *sql.Rows) error {
		images = append(images, lifecycle.Image{})
		return scanLifecycleImage(rows, &images[len(images)-1])
	}, repositoryID, apart)
	if err != nil {
		return nil, err
	}
	give := giver[string]{images: images, to: func(i *lifecycle.Image, tags []string) { i.Tags = tags }}
	err = s.query(ctx, `SELECT image_id, name FROM tags WHERE repository_id = $1 ORDER BY image_id, name`, give.row, repositoryID)
	if err != nil {
		return nil, err
	}
	give.run()
	hold := giver[oci.Digest]{images: images, to: func(i *lifecycle.Image, children []oci.Digest) { i.Children = children }}
	err = s.query(ctx, `SELECT image_id, digest FROM image_children WHERE repository_id = $1 ORDER BY image_id, digest`, hold.row, repositoryID)
	hold.run()
	return images, err
}

// giver deals rows of an image's id and something of it, in order of that id, out to images in the same order. Many images' lists
// share their room.
type giver[T ~string] struct {
	images []lifecycle.Image
	to     func(*lifecycle.Image, []T)

	id   int64 // whose the last rows were
	some []T   // from these rows
	room []T
}

func (g *giver[T]) row(rows *sql.Rows) error {
	var id int64
	var text string
	if err := rows.Scan(&id, &text); err != nil {
		return err
	}
	if id != g.id {
		g.run()
		g.id = id
	}
	g.some = append(g.some, T(text))
	return nil
}

// run gives its image what has come. What is of an image that came in between is dropped.
func (g *giver[T]) run() {
	const room = 1024
	for len(g.images) > 0 && g.images[0].ID < g.id {
		g.images = g.images[1:]
	}
	if len(g.some) > 0 && len(g.images) > 0 && g.images[0].ID == g.id {
		if cap(g.room)-len(g.room) < len(g.some) {
			g.room = make([]T, 0, max(room, len(g.some)))
		}
		from := len(g.room)
		g.room = append(g.room, g.some...)
		g.to(&g.images[0], g.room[from:len(g.room):len(g.room)])
	}
	g.some = g.some[:0]
}
