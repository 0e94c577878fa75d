package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
// last. An image that an index refers to is refused, unless the same call deletes the index. Each id
// succeeds or fails by itself.
func (r *Registry) DeleteImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID) ([]Deleted, error) {
	if err := r.onRepository(caller, repository, policy.BatchDeleteImage); err != nil {
		return nil, err
	}
	var results []Deleted
	err := r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		d := deletion{registry: r, tx: tx, caller: caller, repo: repo}
		results, err = d.all(ctx, ids)
		return err
	})
	return results, err
}

// DeleteImage deletes one image by digest with all its tags, or one tag alone, which leaves its image even
// if that had no other (ecr:BatchDeleteImage; distribution-spec "Content Management").
func (r *Registry) DeleteImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) error {
	if err := r.onRepository(caller, repository, policy.BatchDeleteImage); err != nil {
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
		d := deletion{registry: r, tx: tx, caller: caller, repo: repo}
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
}

// all deletes what it can, then tries again what an index held, until nothing more goes: so the order of
// an index and its images in a call does not matter.
func (d deletion) all(ctx context.Context, ids []ImageID) ([]Deleted, error) {
	results := make([]Deleted, len(ids))
	pending := make([]int, len(ids))
	for i := range ids {
		pending[i] = i
	}
	for progress := true; progress && len(pending) > 0; {
		progress = false
		var held []int
		for _, i := range pending {
			gone, err := d.byID(ctx, ids[i])
			f, isFault := fault.Of(err)
			if err != nil && !isFault {
				return nil, err
			}
			results[i] = Deleted{ID: ids[i], Gone: gone, Err: err}
			if isFault && f.Code == fault.ImageReferenced {
				held = append(held, i)
			}
			progress = progress || err == nil
		}
		pending = held
	}
	return results, nil
}

func (d deletion) byID(ctx context.Context, id ImageID) ([]ImageID, error) {
	img, err := imageByID(ctx, d.tx, d.repo, id, withTags)
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
	holders, err := d.tx.IndexesOf(ctx, d.repo.ID, img.Digest)
	if err != nil {
		return nil, fmt.Errorf("looking for indexes of %s: %w", img.Digest, err)
	}
	if len(holders) > 0 {
		// The tag was asked for, and goes; the image stays as the index's own, untagged.
		err = d.untag(ctx, img, id.Tag)
		return []ImageID{{Tag: id.Tag, Digest: img.Digest.String()}}, err
	}
	return d.image(ctx, img)
}

// image deletes one with its tags, or answers fault.ImageReferenced.
func (d deletion) image(ctx context.Context, img Image) ([]ImageID, error) {
	holders, err := d.tx.IndexesOf(ctx, d.repo.ID, img.Digest)
	if err != nil {
		return nil, fmt.Errorf("looking for indexes of %s: %w", img.Digest, err)
	}
	if len(holders) > 0 {
		names := make([]string, len(holders))
		for i, h := range holders {
			names[i] = h.String()
		}
		return nil, fault.New(fault.ImageReferenced, "Requested image referenced by manifest list: [%s]", strings.Join(names, ", "))
	}
	if err := d.record(ctx, img, img.Tags); err != nil {
		return nil, err
	}
	if err := d.tx.DeleteImage(ctx, img.ID); err != nil {
		return nil, fmt.Errorf("deleting image %s: %w", img.Digest, err)
	}
	if err := d.registry.tell(ctx, d.tx, about(event.ImageDeleted, d.repo, img, d.caller.ARN, img.Tags)); err != nil {
		return nil, err
	}
	if len(img.Tags) == 0 {
		return []ImageID{{Digest: img.Digest.String()}}, nil
	}
	var gone []ImageID
	for _, t := range slices.Sorted(slices.Values(img.Tags)) {
		gone = append(gone, ImageID{Tag: t, Digest: img.Digest.String()})
	}
	return gone, nil
}

func (d deletion) untag(ctx context.Context, img Image, tag string) error {
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
