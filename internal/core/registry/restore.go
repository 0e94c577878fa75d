package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Restored is what one of several image ids to restore came to, or a fault.
type Restored struct {
	ID    ImageID
	Image Image // as it now is, with its tags
	// Known: the repository had the image, so that tags are all there was to restore.
	Known bool
	Tags  []string // that point to the image by this
	Kept  []Tag    // tags it had that are another image's by now, and stay there
	// Along lists what came back with it: images of an index, and what refers to an image and had gone with it.
	Along []oci.Digest
	// Left lists what had gone with it and does not come back, each with the fault that is in the way. It stays in the trash.
	Left []Purged
	Err  error
}

// RestoreOptions says how images are restored.
type RestoreOptions struct {
	// InPieces lets an image come back without layers and images that it refers to, as it may have been in a copy of an upstream
	// registry's repository, where they come when somebody asks for them.
	InPieces bool

	vouches bool // whoever restores may vouch for documents about findings
}

// RestoreImages brings images back, from the trash or to a tag of theirs (ecr:PutImage, as a push of these tags would ask).
// Each id succeeds or fails by itself, in a transaction of its own.
//
//   - A digest names an image in the trash. It gets back those of its tags that are free. Where it was pushed again meanwhile,
//     the tags are all there is to restore; where it is not in the trash either, nothing is.
//   - A tag names what it pointed to before what it points to now, which may be in the trash or not.
//   - A tag with a digest names an image that the tag has pointed to.
//
// A tag that is asked for moves, where the repository lets it. An image comes back active, with the time of its push and of
// its last pull, and counts as new to the lifecycle policy (ActivatedAt). With it come the images that it needs, if it is an
// index, and what refers to it and had gone with it.
func (r *Registry) RestoreImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID, o RestoreOptions) ([]Restored, error) {
	if err := r.onImages(ctx, caller, repository, policy.PutImage, ids, r.restoredKeys); err != nil {
		return nil, err
	}
	results := make([]Restored, 0, len(ids))
	for _, id := range ids {
		var err error
		if o.vouches, err = r.vouchesAgain(ctx, caller, repository, id); err != nil {
			return nil, err
		}
		res, err := r.restoreOne(ctx, caller, repository, id, o)
		if _, isFault := fault.Of(err); err != nil && (!isFault || errors.Is(err, fault.RepositoryNotFound)) {
			return nil, err
		}
		res.ID, res.Err = id, err
		results = append(results, res)
	}
	return results, nil
}

// restoreOne restores what an id names. What refers to it and cannot come along is left, and the transaction begins anew
// without that.
func (r *Registry) restoreOne(ctx context.Context, caller identity.Caller, repository string, id ImageID, o RestoreOptions) (Restored, error) {
	var left []Purged
	for {
		var x restoration
		err := r.change(ctx, func(tx Tx) error {
			repo, err := r.lockRepository(ctx, tx, repository)
			if err != nil {
				return err
			}
			x = restoration{
				registry: r, tx: tx, caller: caller, repo: repo, at: r.now(), options: o, left: left, begun: map[oci.Digest]bool{},
			}
			return x.byID(ctx, id)
		})
		if s, ok := errors.AsType[*straggler](err); ok {
			left = append(left, Purged{Digest: s.digest, Err: s.cause})
			continue
		}
		if err != nil {
			return Restored{}, err
		}
		x.result.Left = left
		return x.result, nil
	}
}

// straggler ends a transaction in which a referrer cannot come along.
type straggler struct {
	digest oci.Digest
	cause  error
}

// Error gives the cause's words.
func (s *straggler) Error() string { return s.cause.Error() }

// restoration is the work of one restoring transaction.
type restoration struct {
	registry *Registry
	tx       Tx
	caller   identity.Caller
	repo     Repository
	at       time.Time
	options  RestoreOptions
	left     []Purged            // what does not come along
	begun    map[oci.Digest]bool // images that are restored, or about to be
	result   Restored
}

// outcome is what the restoration of one image came to.
type outcome struct {
	known bool
	tags  []string
}

func (x *restoration) byID(ctx context.Context, id ImageID) error {
	ref, err := earlier(ctx, x.tx, x.repo.Name, id)
	if err != nil {
		return err
	}
	o, err := x.image(ctx, ref)
	if err != nil {
		return err
	}
	x.result.Known, x.result.Tags = o.known, o.tags
	x.result.Along = slices.DeleteFunc(x.result.Along, func(d oci.Digest) bool { return d == ref.Digest })
	if x.result.Image, err = x.tx.ImageByDigest(ctx, x.repo.ID, ref.Digest); err != nil {
		return fmt.Errorf("reading image %s: %w", ref.Digest, err)
	}
	return nil
}

// earlier tells which image an id is to restore, and under which tag, if it names one.
func earlier(ctx context.Context, q Queries, repository string, id ImageID) (oci.Reference, error) {
	ref, err := referenceOf(id)
	if err != nil || ref.Tag == "" {
		return ref, err
	}
	if ref.Digest != "" {
		was, err := q.TagPointedTo(ctx, repository, ref.Tag, ref.Digest)
		if err != nil {
			return oci.Reference{}, fmt.Errorf("reading history of tag %s: %w", ref.Tag, err)
		}
		if !was {
			return oci.Reference{}, fault.New(fault.TagDoesNotMatchDigest,
				"The tag '%s' of the repository with name '%s' has never pointed to the image with digest '%s'", ref.Tag, repository, ref.Digest)
		}
		return ref, nil
	}
	now, err := q.ImageIn(ctx, repository, ref)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return oci.Reference{}, fmt.Errorf("looking for tag %s: %w", ref.Tag, err)
	}
	for before := int64(0); ; {
		const some = 100
		changes, err := q.TagHistory(ctx, repository, ref.Tag, before, some)
		if err != nil {
			return oci.Reference{}, fmt.Errorf("reading history of tag %s: %w", ref.Tag, err)
		}
		for _, c := range changes {
			if before = c.ID; c.From != "" && c.From != now.Digest {
				ref.Digest = c.From
				return ref, nil
			}
		}
		if len(changes) < some {
			return oci.Reference{}, fault.New(fault.ImageNotFound,
				"The tag '%s' of the repository with name '%s' has pointed to no other image before", ref.Tag, repository)
		}
	}
}

// image restores one image, under a tag if one is given, with all that comes along.
func (x *restoration) image(ctx context.Context, ref oci.Reference) (outcome, error) {
	x.begun[ref.Digest] = true
	t, err := x.tx.TrashedImage(ctx, x.repo.Name, ref.Digest)
	trashed := err == nil
	if err != nil && !errors.Is(err, ErrNoRow) {
		return outcome{}, fmt.Errorf("looking for image %s in the trash: %w", ref.Digest, err)
	}
	img, err := x.tx.ImageIn(ctx, x.repo.Name, oci.Reference{Digest: ref.Digest})
	o := outcome{known: err == nil}
	switch {
	case err != nil && !errors.Is(err, ErrNoRow):
		return outcome{}, fmt.Errorf("looking for image %s: %w", ref.Digest, err)
	case !o.known && !trashed:
		return outcome{}, fault.New(fault.ImageNotFound,
			"The image with digest '%s' is neither in the repository with name '%s' nor in its trash", ref.Digest, x.repo.Name)
	}
	tags, err := x.tags(ctx, t.Tags, ref)
	if err != nil {
		return outcome{}, err
	}
	if trashed {
		if err := x.layers(ctx, t); err != nil {
			return outcome{}, err
		}
	}
	if !o.known {
		if img, err = x.insert(ctx, t, tags); err != nil {
			return outcome{}, err
		}
	}
	if o.tags, err = x.point(ctx, img, o.known, tags); err != nil {
		return outcome{}, err
	}
	if trashed {
		if err := x.tx.TakeFromTrash(ctx, t.ID); err != nil {
			return outcome{}, fmt.Errorf("taking image %s from the trash: %w", ref.Digest, err)
		}
	}
	if !o.known {
		x.result.Along = append(x.result.Along, ref.Digest)
	}
	return o, x.referrers(ctx, ref.Digest)
}

// tags tells which tags the image gets: those it had that are free, and the one that is asked for.
func (x *restoration) tags(ctx context.Context, had []string, ref oci.Reference) ([]string, error) {
	var get []string
	if ref.Tag != "" {
		get = append(get, ref.Tag)
	}
	for _, t := range had {
		if t == ref.Tag {
			continue
		}
		now, err := x.tx.ImageIn(ctx, x.repo.Name, oci.Reference{Tag: t})
		switch {
		case errors.Is(err, ErrNoRow):
			get = append(get, t)
		case err != nil:
			return nil, fmt.Errorf("looking for tag %s: %w", t, err)
		case now.Digest != ref.Digest:
			x.result.Kept = append(x.result.Kept, Tag{Name: t, Digest: now.Digest})
		}
	}
	return get, nil
}

// layers gives the repository the layers of an image in the trash.
func (x *restoration) layers(ctx context.Context, t Trashed) error {
	layers, err := x.tx.TrashedLayers(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("looking for the layers of image %s: %w", t.Digest, err)
	}
	for _, l := range layers {
		l.LinkedAt, l.DueAt = x.at, x.registry.due(x.at)
		if _, _, err := x.tx.LinkLayer(ctx, x.repo.ID, l); err != nil {
			return fmt.Errorf("linking layer %s: %w", l.Digest, err)
		}
	}
	return nil
}

// insert adds an image from the trash, after the images that it needs.
func (x *restoration) insert(ctx context.Context, t Trashed, tags []string) (Image, error) {
	m, err := oci.ParseManifest(t.MediaType, t.Manifest)
	if err != nil {
		return Image{}, fmt.Errorf("reading the manifest of image %s: %w", t.Digest, err)
	}
	children, _ := splitChildren(m)
	for _, c := range children {
		_, err := x.tx.ImageIn(ctx, x.repo.Name, oci.Reference{Digest: c.Digest})
		if errors.Is(err, ErrNoRow) {
			_, err = x.image(ctx, oci.Reference{Digest: c.Digest})
		}
		if err != nil && !errors.Is(err, fault.ImageNotFound) { // what is nowhere is named below
			return Image{}, err
		}
	}
	look := x.registry.require
	if x.options.InPieces {
		look = x.registry.expected
	}
	refs, size, err := look(ctx, x.tx, x.repo, m)
	if f, isFault := fault.Of(err); isFault {
		return Image{}, fault.Wrap(f.Code, err, "The image with digest '%s' cannot be restored: %s", t.Digest, f.Message)
	}
	if err != nil {
		return Image{}, err
	}
	img := t.Image
	img.ID, img.Size, img.Archived, img.ActivatedAt, img.Tags, img.Vouched = 0, size, false, x.at, tags, x.vouched(t)
	if img, err = x.registry.addImage(ctx, x.tx, x.repo, img, refs); err != nil || len(children) == 0 {
		return img, err
	}
	return x.activate(ctx, img)
}

// activate brings an image, or those of an index, back from the archive.
func (x *restoration) activate(ctx context.Context, img Image) (Image, error) {
	mv := move{registry: x.registry, tx: x.tx, caller: x.caller, repo: x.repo, at: x.at}
	return mv.activate(ctx, img)
}

// point gives the image its tags, and tells of it.
func (x *restoration) point(ctx context.Context, img Image, known bool, tags []string) ([]string, error) {
	if known && img.Archived && len(tags) > 0 {
		var err error
		if img, err = x.activate(ctx, img); err != nil {
			return nil, err
		}
	}
	moved, err := x.registry.moveTags(ctx, x.tx, x.caller, x.repo, img, tags)
	if err != nil {
		return nil, err
	}
	if known && len(moved) == 0 {
		return nil, nil
	}
	if len(moved) > 0 {
		if err := checkTags(ctx, x.tx, x.repo, img); err != nil {
			return nil, err
		}
	}
	e := about(event.ImagePushed, x.repo, img, x.caller.ARN, moved)
	e.New, e.Source = !known, event.Restore
	return moved, x.registry.tell(ctx, x.tx, e)
}

// referrers restores what had gone with an image.
func (x *restoration) referrers(ctx context.Context, d oci.Digest) error {
	went, err := x.tx.WentWith(ctx, x.repo.Name, d)
	if err != nil {
		return fmt.Errorf("looking for what went with image %s: %w", d, err)
	}
	for _, w := range went {
		if x.begun[w] || slices.ContainsFunc(x.left, func(l Purged) bool { return l.Digest == w }) {
			continue
		}
		_, err := x.image(ctx, oci.Reference{Digest: w})
		if _, inside := errors.AsType[*straggler](err); inside {
			return err
		}
		if _, isFault := fault.Of(err); isFault {
			return &straggler{digest: w, cause: err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoredKeys are those of a restoration: the tags that the images which come back had, the tag that is asked for, and all
// their digests.
func (r *Registry) restoredKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	return &imageKeys{look: func() ([]string, []string, error) {
		q := r.store.Read()
		tags, digests := asked(id)
		ref, err := earlier(ctx, q, repository, id)
		if err != nil {
			if _, isFault := fault.Of(err); isFault { // it will be refused for that
				err = nil
			}
			return once(tags), once(digests), err
		}
		seen := map[oci.Digest]bool{}
		for next := []oci.Digest{ref.Digest}; len(next) > 0; next = next[1:] {
			if seen[next[0]] {
				continue
			}
			seen[next[0]] = true
			digests = append(digests, next[0].String())
			t, kin, err := trashedKin(ctx, q, repository, next[0])
			if err != nil {
				return nil, nil, err
			}
			tags, next = append(tags, t.Tags...), append(next, kin...)
		}
		return once(tags), once(digests), nil
	}}
}

// trashedKin reads an image in the trash, if it is there, and tells what may come back with it.
func trashedKin(ctx context.Context, q Queries, repository string, d oci.Digest) (Trashed, []oci.Digest, error) {
	t, err := q.TrashedImage(ctx, repository, d)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return Trashed{}, nil, fmt.Errorf("looking for image %s in the trash of %s: %w", d, repository, err)
	}
	kin, err := q.WentWith(ctx, repository, d)
	if err != nil {
		return Trashed{}, nil, fmt.Errorf("looking for what went with image %s: %w", d, err)
	}
	if m, err := oci.ParseManifest(t.MediaType, t.Manifest); err == nil {
		for _, c := range m.Children {
			kin = append(kin, c.Digest)
		}
	}
	return t, kin, nil
}
