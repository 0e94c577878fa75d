package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// StorageClass says whether an image is there to be pulled.
type StorageClass string

// The storage classes.
const (
	Standard StorageClass = "STANDARD"
	Archive  StorageClass = "ARCHIVE" // kept, listed when asked for, not pulled
)

// Status selects images, tags and referrers by their storage class. The zero value is what listings show unless they are
// asked for more.
type Status int

// The statuses.
const (
	OnlyActive Status = iota
	OnlyArchived
	AnyStatus
)

// Selects tells whether an image that is archived, or not, is among what the status selects.
func (s Status) Selects(archived bool) bool { return s == AnyStatus || archived == (s == OnlyArchived) }

// KinQueries finds the images that move with others.
type KinQueries interface {
	// Children lists the images that one of the given images, an index, refers to, with their tags, in order of id.
	Children(ctx context.Context, repositoryID int64, imageIDs []int64) ([]Image, error)
	// Followers lists the images whose subject is one of the digests, with their tags, in order of id.
	Followers(ctx context.Context, repositoryID int64, subjects []oci.Digest) ([]Image, error)
	// ActiveIndexesOf is IndexesOf without the indexes that are archived.
	ActiveIndexesOf(ctx context.Context, repositoryID int64, d oci.Digest) ([]oci.Digest, error)
}

// ArchiveWrites changes storage classes.
type ArchiveWrites interface {
	// SetArchived moves images into the archive or out of it, with their tags and their mentions of layers.
	SetArchived(ctx context.Context, repositoryID int64, imageIDs []int64, archived bool, at time.Time) error
}

// SetStorageClass moves images into the archive or back (ecr:UpdateImageStorageClass). Each id succeeds or fails by
// itself, and its result is the image as it now is; one that has the class already stays.
//
// An index moves with its images, and an image with what refers to it as its subject. An image of an active
// index does not go alone (fault.StorageClassRefused); one that another active index needs, or that has a tag of its own,
// stays when its index goes. What is deployed stays (fault.ImagePinned). Coming back is instant and makes an image new: ActivatedAt is now.
func (r *Registry) SetStorageClass(ctx context.Context, caller identity.Caller, repository string, ids []ImageID, class StorageClass) ([]ImageResult, error) {
	if err := r.onImages(ctx, caller, repository, policy.UpdateImageStorageClass, ids, r.readKeys); err != nil {
		return nil, err
	}
	if class != Standard && class != Archive {
		return nil, fault.BadParameter("targetStorageClass", "Member must satisfy enum value set: [STANDARD, ARCHIVE]")
	}
	var results []ImageResult
	err := r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		m := move{registry: r, tx: tx, caller: caller, repo: repo, at: r.now()}
		results, err = m.all(ctx, ids, class)
		return err
	})
	return results, err
}

// move is the work of a transaction that changes storage classes.
type move struct {
	registry *Registry
	tx       Tx
	caller   identity.Caller
	repo     Repository
	at       time.Time
	reason   string // a sentence, where there is one
}

// all moves what it can, then tries again what an index held, until nothing more goes: so the order of an index and its
// images in a call does not matter.
func (m move) all(ctx context.Context, ids []ImageID, class StorageClass) ([]ImageResult, error) {
	return inAnyOrder(len(ids), []fault.Code{fault.StorageClassRefused}, func(i int) (ImageResult, error) {
		img, err := imageByID(ctx, m.tx, m.repo, ids[i], withTags)
		if err == nil && class == Archive {
			img, err = m.archive(ctx, img)
		} else if err == nil {
			img, err = m.restore(ctx, img)
		}
		return ImageResult{ID: ids[i], Image: img, Err: err}, err
	})
}

// inAnyOrder does n things of which one may hold up another with one of the faults: those it holds up are tried again until no
// more of them succeed. What is no fault ends it.
func inAnyOrder[T any](n int, held []fault.Code, do func(i int) (T, error)) ([]T, error) {
	results := make([]T, n)
	pending := make([]int, n)
	for i := range pending {
		pending[i] = i
	}
	for progress := true; progress && len(pending) > 0; {
		progress = false
		var again []int
		for _, i := range pending {
			result, err := do(i)
			f, isFault := fault.Of(err)
			if err != nil && !isFault {
				return nil, err
			}
			results[i] = result
			if isFault && slices.Contains(held, f.Code) {
				again = append(again, i)
			}
			progress = progress || err == nil
		}
		pending = again
	}
	return results, nil
}

// activate brings back an image that is pushed again, and those of an index that is new.
func (m move) activate(ctx context.Context, img Image) (Image, error) {
	whole, err := m.tx.ImageByDigest(ctx, m.repo.ID, img.Digest) // its tags are in the event
	if err != nil {
		return Image{}, fmt.Errorf("reading image %s: %w", img.Digest, err)
	}
	if whole, err = m.restore(ctx, whole); err != nil {
		return Image{}, err
	}
	whole.Tags = nil
	return whole, nil
}

func (m move) archive(ctx context.Context, img Image) (Image, error) {
	holders, err := m.tx.ActiveIndexesOf(ctx, m.repo.ID, img.Digest)
	if err != nil {
		return Image{}, fmt.Errorf("looking for indexes of %s: %w", img.Digest, err)
	}
	if len(holders) > 0 {
		return Image{}, fault.New(fault.StorageClassRefused,
			"The image with digest '%s' is referenced by manifest list [%s], and is archived with it only", img.Digest, someOf(holders))
	}
	k := m.registry.keeper(m.tx, m.repo)
	if err := k.check(ctx, img, "archived"); err != nil {
		return Image{}, err
	}
	var problem error
	moved, err := m.to(ctx, img, true, func(i Image) bool {
		if i.Archived || named(i) {
			return false
		}
		spared, err := k.spares(ctx, i)
		problem = cmp.Or(problem, err)
		return !spared
	})
	return moved, cmp.Or(err, problem)
}

// Named tells whether somebody gave an image with such a subject and tags a name of its own. Tags that are made from the digest of its subject
// (sha256-<hex>, and with something behind it) are none: that is how cosign and the OCI spec's fallback file what they
// attach to an image.
func Named(subject oci.Digest, tags []string) bool {
	filed := strings.Replace(subject.String(), ":", "-", 1)
	return slices.ContainsFunc(tags, func(t string) bool { return subject == "" || !strings.HasPrefix(t, filed) })
}

func named(i Image) bool { return Named(i.Subject, i.Tags) }

func (m move) restore(ctx context.Context, img Image) (Image, error) {
	return m.to(ctx, img, false, func(i Image) bool { return i.Archived })
}

// to moves an image with its company.
func (m move) to(ctx context.Context, img Image, archived bool, comes func(Image) bool) (Image, error) {
	company, err := companyOf(ctx, m.tx, m.repo.ID, img, comes)
	if err != nil {
		return Image{}, err
	}
	if archived {
		if err := company.keepNeeded(ctx, m.tx, m.repo.ID); err != nil {
			return Image{}, err
		}
	}
	moving := slices.DeleteFunc(company.inOrder(), func(i Image) bool { return i.Archived == archived })
	if len(moving) == 0 {
		return img, nil
	}
	ids := make([]int64, len(moving))
	events := make([]event.Event, len(moving))
	kind := event.ImageRestored
	if archived {
		kind = event.ImageArchived
	}
	for i, mv := range moving {
		ids[i] = mv.ID
		events[i] = about(kind, m.repo, mv, m.caller.ARN, mv.Tags)
		events[i].Reason = m.reason
		if mv.Digest != img.Digest {
			events[i].Reason = along(img, m.reason)
		}
	}
	if err := m.tx.SetArchived(ctx, m.repo.ID, ids, archived, m.at); err != nil {
		return Image{}, fmt.Errorf("changing the storage class of %s: %w", img.Digest, err)
	}
	for _, mv := range moving {
		if archived {
			break
		}
		// An image that came back counts as new for scanning (AWS: "Archiving an image in Amazon ECR").
		if err := m.registry.scanPushed(ctx, m.tx, m.repo, mv); err != nil {
			return Image{}, err
		}
	}
	if img.Archived != archived {
		img.Archived = archived
		if archived {
			img.ArchivedAt = m.at
		} else {
			img.ActivatedAt = m.at
		}
	}
	return img, m.registry.tell(ctx, m.tx, events...)
}

// company is an image and what goes where it goes: the images of an index, and what has one of these as its subject.
// Digests cannot form a circle.
type company struct {
	members map[oci.Digest]member
	order   []oci.Digest // of joining; the first is the image itself
}

type member struct {
	Image
	because oci.Digest // the member that it refers to as its subject, if that is why it came
}

// companyOf gathers the company of an image, level by level: of its kin those that come.
func companyOf(ctx context.Context, q KinQueries, repositoryID int64, img Image, comes func(Image) bool) (company, error) {
	c := company{members: map[oci.Digest]member{img.Digest: {Image: img}}, order: []oci.Digest{img.Digest}}
	for level := []Image{img}; len(level) > 0; {
		ids, digests := make([]int64, len(level)), make([]oci.Digest, len(level))
		for i, l := range level {
			ids[i], digests[i] = l.ID, l.Digest
		}
		children, err := q.Children(ctx, repositoryID, ids)
		if err != nil {
			return company{}, fmt.Errorf("looking for images of indexes: %w", err)
		}
		followers, err := q.Followers(ctx, repositoryID, digests)
		if err != nil {
			return company{}, fmt.Errorf("looking for referrers: %w", err)
		}
		level = nil
		for i, kin := range slices.Concat(children, followers) {
			if _, known := c.members[kin.Digest]; known || !comes(kin) {
				continue
			}
			m := member{Image: kin}
			if i >= len(children) {
				m.because = kin.Subject
			}
			c.members[kin.Digest] = m
			c.order = append(c.order, kin.Digest)
			level = append(level, kin)
		}
	}
	return c, nil
}

// keepNeeded takes out of the company whom an active index outside of it needs, and whoever came along for their sake.
func (c *company) keepNeeded(ctx context.Context, q KinQueries, repositoryID int64) error {
	holders := map[oci.Digest][]oci.Digest{}
	for _, d := range c.order[1:] {
		var err error
		if holders[d], err = q.ActiveIndexesOf(ctx, repositoryID, d); err != nil {
			return fmt.Errorf("looking for indexes of %s: %w", d, err)
		}
	}
	for changed := true; changed; {
		changed = false
		for _, d := range c.order[1:] {
			m, still := c.members[d]
			if still && !c.goes(m, holders[d]) {
				delete(c.members, d)
				changed = true
			}
		}
	}
	return nil
}

// goes tells whether a member that those indexes hold may go.
func (c *company) goes(m member, holders []oci.Digest) bool {
	for _, h := range holders {
		if _, along := c.members[h]; !along {
			return false
		}
	}
	_, along := c.members[m.because]
	return along || m.because == ""
}

// inOrder lists the members as they joined.
func (c *company) inOrder() []Image {
	images := make([]Image, 0, len(c.members))
	for _, d := range c.order {
		if m, ok := c.members[d]; ok {
			images = append(images, m.Image)
		}
	}
	return images
}
