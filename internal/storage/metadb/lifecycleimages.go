package metadb

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"sync"

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

// Images implements lifecycle.Store. Images, their tags and their children are read at the same time, each in order of id, and put
// together. What changes meanwhile does no harm: whatever is done to an image looks again at it, and at those that made its number.
func (l lifecycleStore) Images(ctx context.Context, repositoryID int64) ([]lifecycle.Image, error) {
	var images []lifecycle.Image
	var tags, children belongings
	errs := make([]error, 3) //nolint:mnd // as many as follow
	var all sync.WaitGroup
	all.Go(func() { images, errs[0] = l.images(ctx, repositoryID) })
	all.Go(func() {
		tags, errs[1] = l.belongings(ctx, `SELECT image_id, name FROM tags WHERE repository_id = $1 ORDER BY image_id, name`, repositoryID)
	})
	all.Go(func() {
		children, errs[2] = l.belongings(ctx, `SELECT image_id, digest FROM image_children WHERE repository_id = $1 ORDER BY image_id, digest`, repositoryID)
	})
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	deal(images, tags, func(i *lifecycle.Image, names []string) { i.Tags = names })
	deal(images, children, func(i *lifecycle.Image, digests []string) {
		i.Children = make([]oci.Digest, len(digests))
		for n, d := range digests {
			i.Children[n] = oci.Digest(d)
		}
	})
	return images, nil
}

// images reads the images alone.
func (l lifecycleStore) images(ctx context.Context, repositoryID int64) ([]lifecycle.Image, error) {
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
	return images, err
}

// belongings are texts of images, in order of the images' ids.
type belongings struct {
	owners []int64
	texts  []string
}

func (l lifecycleStore) belongings(ctx context.Context, text string, repositoryID int64) (b belongings, err error) {
	err = l.db.read.s.query(ctx, text, func(rows *sql.Rows) error {
		var owner int64
		var text string
		err := rows.Scan(&owner, &text)
		b.owners, b.texts = append(b.owners, owner), append(b.texts, text)
		return err
	}, repositoryID)
	return b, err
}

// deal gives images in order of id what is theirs. What belongs to others is left over.
func deal(images []lifecycle.Image, b belongings, give func(*lifecycle.Image, []string)) {
	for from := 0; from < len(b.owners); {
		to := from + 1
		for to < len(b.owners) && b.owners[to] == b.owners[from] {
			to++
		}
		for len(images) > 0 && images[0].ID < b.owners[from] {
			images = images[1:]
		}
		if len(images) > 0 && images[0].ID == b.owners[from] {
			give(&images[0], b.texts[from:to:to])
		}
		from = to
	}
}
