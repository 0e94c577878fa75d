package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Deleted is what one of several image ids to delete came to: the ids that are gone (a digest alone for an
// image that had no tag), or a fault.
type Deleted struct {
	ID   ImageID
	Gone []ImageID
	Err  error
}

// DeleteImages deletes by id, as ECR's BatchDeleteImage does (ecr:BatchDeleteImage). A digest takes the image
// with all its tags; a tag, alone or with its digest, takes the tag, and the image too when that was its
// last. An image that an index refers to is refused, unless the same call deletes the index, and so is one that is
// deployed (fault.ImagePinned), unless the call deletes the deploy tag. What has an image as its subject goes with it,
// unless it has a tag of its own. Each id succeeds or fails by itself.
func (r *Registry) DeleteImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID) ([]Deleted, error) {
	return r.deleteImages(ctx, caller, repository, ids, false)
}

// DeletePinnedImages is DeleteImages for what is deployed, too (ecr:BatchDeleteImage).
func (r *Registry) DeletePinnedImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID) ([]Deleted, error) {
	return r.deleteImages(ctx, caller, repository, ids, true)
}

func (r *Registry) deleteImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID, pinned bool) ([]Deleted, error) {
	if err := r.onImages(ctx, caller, repository, policy.BatchDeleteImage, ids, r.deletedKeys); err != nil {
		return nil, err
	}
	var results []Deleted
	err := r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		d := r.deletion(tx, caller, repo)
		d.pinned = pinned
		results, err = d.all(ctx, ids)
		return err
	})
	return results, err
}

// DeleteImage deletes one image by digest with all its tags and referrers, or one tag alone, which leaves its image even
// if that had no other (ecr:BatchDeleteImage; distribution-spec "Content Management").
func (r *Registry) DeleteImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) error {
	if err := r.onImage(ctx, caller, repository, r.deletedKeys(ctx, repository, idOf(ref)), policy.BatchDeleteImage); err != nil {
		return err
	}
	return r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		img, err := image(ctx, tx, repo, ref, withTags)
		if err != nil {
			return err
		}
		d := r.deletion(tx, caller, repo)
		if ref.Tag != "" {
			return d.untag(ctx, img, ref.Tag)
		}
		_, err = d.image(ctx, img)
		return err
	})
}

// deletion is the work of one deleting transaction.
type deletion struct {
	registry *Registry
	tx       Tx
	caller   identity.Caller
	repo     Repository
	keeper   *keeper
	pinned   bool                 // what is pinned goes too
	reason   string               // a sentence, where there is one
	taken    map[oci.Digest]Image // what went along with its subject
}

func (r *Registry) deletion(tx Tx, caller identity.Caller, repo Repository) deletion {
	return deletion{registry: r, tx: tx, caller: caller, repo: repo, keeper: r.keeper(tx, repo), taken: map[oci.Digest]Image{}}
}

// all deletes what it can; the order of an index and its images in a call does not matter. The last tag of an image
// that an index holds to the end goes alone: it was asked for, and the image stays as the index's own.
func (d deletion) all(ctx context.Context, ids []ImageID) ([]Deleted, error) {
	held := []fault.Code{fault.ImageReferenced, fault.ImagePinned}
	results, err := inAnyOrder(len(ids), held, func(i int) (Deleted, error) {
		gone, err := d.byID(ctx, ids[i])
		return Deleted{ID: ids[i], Gone: gone, Err: err}, err
	})
	for i, r := range results {
		if r.ID.Tag == "" || !errors.Is(r.Err, fault.ImageReferenced) {
			continue
		}
		img, err := imageByID(ctx, d.tx, d.repo, r.ID, withTags)
		if err == nil {
			err = d.untag(ctx, img, r.ID.Tag)
		}
		if _, isFault := fault.Of(err); err != nil && !isFault {
			return nil, err
		}
		if err != nil { // the call names the tag twice
			results[i].Err = err
			continue
		}
		results[i] = Deleted{ID: r.ID, Gone: []ImageID{{Tag: r.ID.Tag, Digest: img.Digest.String()}}}
	}
	return results, err
}

func (d deletion) byID(ctx context.Context, id ImageID) ([]ImageID, error) {
	img, err := imageByID(ctx, d.tx, d.repo, id, withTags)
	if went, ok := d.wentAlong(id); ok && errors.Is(err, fault.ImageNotFound) {
		return goneIDs(went), nil
	}
	if err != nil {
		return nil, err
	}
	if id.Tag == "" {
		return d.image(ctx, img)
	}
	if len(img.Tags) > 1 {
		err = d.untag(ctx, img, id.Tag)
		return []ImageID{{Tag: id.Tag, Digest: img.Digest.String()}}, err
	}
	if isDeployTag(img, id.Tag) {
		return d.retire(ctx, img, id.Tag)
	}
	return d.image(ctx, img)
}

// wentAlong tells whether the call has deleted the image of that id already, as a referrer of another one.
func (d deletion) wentAlong(id ImageID) (Image, bool) {
	for digest, img := range d.taken {
		if (id.Digest == "" || id.Digest == digest.String()) && (id.Tag == "" || slices.Contains(img.Tags, id.Tag)) {
			return img, true
		}
	}
	return Image{}, false
}

// image deletes one with its tags and what refers to it as its subject, or answers fault.ImageReferenced or
// fault.ImagePinned.
func (d deletion) image(ctx context.Context, img Image) ([]ImageID, error) {
	holders, err := d.tx.IndexesOf(ctx, d.repo.ID, img.Digest)
	if err != nil {
		return nil, fmt.Errorf("looking for indexes of %s: %w", img.Digest, err)
	}
	if len(holders) > 0 {
		return nil, fault.New(fault.ImageReferenced, "Requested image referenced by manifest list: [%s]", someOf(holders))
	}
	if !d.pinned {
		if err := d.keeper.check(ctx, img, "deleted"); err != nil {
			return nil, err
		}
	}
	if img.ArtifactType == deployment.ArtifactType && (d.pinned || len(img.Tags) > 0) { // others pin nothing, or were refused
		d.keeper.changed(img.Tags...)
	}
	if err := d.remove(ctx, img, "", d.reason); err != nil {
		return nil, err
	}
	return goneIDs(img), d.referrers(ctx, img)
}

// referrers deletes what has the image as its subject, and what has that as its subject, and so on. What
// somebody gave a name of its own stays, and what an index lists, and what is deployed, and the records by which
// deployments pin anything.
func (d deletion) referrers(ctx context.Context, img Image) error {
	for gone := []oci.Digest{img.Digest}; len(gone) > 0; {
		followers, err := d.tx.Followers(ctx, d.repo.ID, gone)
		if err != nil {
			return fmt.Errorf("looking for referrers: %w", err)
		}
		gone = nil
		if err := d.keeper.ask(ctx, followers); err != nil {
			return err
		}
		for _, f := range followers {
			spared, err := d.keeper.spares(ctx, f)
			if err != nil {
				return err
			}
			if spared || named(f) {
				continue
			}
			holders, err := d.tx.IndexesOf(ctx, d.repo.ID, f.Digest)
			if err != nil {
				return fmt.Errorf("looking for indexes of %s: %w", f.Digest, err)
			}
			if len(holders) > 0 {
				continue
			}
			if err := d.remove(ctx, f, f.Subject, along(img, d.reason)); err != nil {
				return err
			}
			d.taken[f.Digest] = f
			gone = append(gone, f.Digest)
		}
	}
	return nil
}

// remove deletes an image with its tags, because it was asked for or because another one went, and says so in their history
// and in an event. The image goes into the trash, if the repository has one.
func (d deletion) remove(ctx context.Context, img Image, with oci.Digest, reason string) error {
	if err := d.record(ctx, img, img.Tags); err != nil {
		return err
	}
	at := d.registry.now()
	if window := d.registry.trashWindow(d.repo); window > 0 {
		t := Trashing{At: at, PurgeAt: at.Add(window), Actor: d.caller.ARN, Reason: reason, WentWith: with}
		if err := d.tx.TrashImages(ctx, d.repo, img.ID, t); err != nil {
			return fmt.Errorf("moving image %s to the trash: %w", img.Digest, err)
		}
	}
	if err := d.tx.HideLayers(ctx, d.repo.ID, img.ID, d.registry.due(at)); err != nil {
		return fmt.Errorf("hiding the layers of image %s: %w", img.Digest, err)
	}
	if err := d.tx.DeleteImage(ctx, img.ID); err != nil {
		return fmt.Errorf("deleting image %s: %w", img.Digest, err)
	}
	e := about(event.ImageDeleted, d.repo, img, d.caller.ARN, img.Tags)
	e.Reason = reason
	return d.registry.tell(ctx, d.tx, e)
}

// along is the reason of what goes along with an image, which goes for a reason, if there is one.
func along(img Image, reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf("It goes with %s. About that: %s", img.Digest, reason)
}

// goneIDs are one per tag, or the digest alone of an image that had none.
func goneIDs(img Image) []ImageID {
	if len(img.Tags) == 0 {
		return []ImageID{{Digest: img.Digest.String()}}
	}
	var gone []ImageID
	for _, t := range slices.Sorted(slices.Values(img.Tags)) {
		gone = append(gone, ImageID{Tag: t, Digest: img.Digest.String()})
	}
	return gone
}

func (d deletion) untag(ctx context.Context, img Image, tag string) error {
	if isDeployTag(img, tag) {
		d.keeper.changed(tag)
	}
	if err := d.record(ctx, img, []string{tag}); err != nil {
		return err
	}
	if err := d.tx.DeleteTag(ctx, d.repo.ID, tag); err != nil {
		return fmt.Errorf("deleting tag %s: %w", tag, err)
	}
	return d.registry.tell(ctx, d.tx, about(event.ImageUntagged, d.repo, img, d.caller.ARN, []string{tag}))
}

// record writes the end of tags into their history.
func (d deletion) record(ctx context.Context, img Image, tags []string) error {
	changes := make([]TagChange, 0, len(tags))
	for _, t := range tags {
		changes = append(changes, TagChange{Repository: d.repo.Name, Tag: t, From: img.Digest, At: d.registry.now(), Actor: d.caller.ARN})
	}
	if len(changes) == 0 {
		return nil
	}
	if err := d.tx.RecordTagChanges(ctx, changes); err != nil {
		return fmt.Errorf("recording tag history: %w", err)
	}
	return nil
}
