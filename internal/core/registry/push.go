package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxTags is ECR's quota of tags on an image.
const maxTags = 1000

// Push is a manifest on its way in.
type Push struct {
	Repository string
	Manifest   []byte
	MediaType  string     // as the client declared it; may be empty
	Digest     oci.Digest // what the client says the manifest's digest is; may be empty
	Tags       []string   // tags to point to it; none leaves it untagged
	// Source is by what way it comes, and says which permission it needs; empty is event.Push.
	Source event.Source
	// TagsFrom, where it is set, is what each tag must point to still (nothing, where it is empty); otherwise
	// nothing is stored and the answer is ErrConflict.
	TagsFrom *oci.Digest
}

// permission is what the caller must be allowed.
func (p Push) permission() policy.Action {
	switch p.Source {
	case event.PullThrough:
		return policy.BatchImportUpstreamImage
	case event.Replication:
		return policy.ReplicateImage
	case event.Push, event.Signing, event.Scan, event.Restore:
	}
	return policy.PutImage
}

// Pushed tells what a push did.
type Pushed struct {
	Image Image // without its tags
	// Known is true when the repository had the digest before, and Unchanged when besides that it was active and each
	// of the tags pointed to it: such a push changed nothing. (ECR's API calls it an error, docker does not.)
	Known     bool
	Unchanged bool
	// Dropped lists tags of a replicated image that the repository does not let move: they stay where they were.
	Dropped []string
}

// PutImage stores a manifest and moves its tags (ecr:PutImage, or what the push's source needs). The manifest is kept byte for byte; all
// that it names must be in the repository; a tag moves only where the repository lets it. Pushing what
// is there already changes nothing, not even the push time, and is allowed for immutable tags too. Pushing an archived
// image brings it back, and an index brings back its images.
func (r *Registry) PutImage(ctx context.Context, caller identity.Caller, p Push) (Pushed, error) {
	p.Source = cmp.Or(p.Source, event.Push)
	if err := r.onImage(ctx, caller, p.Repository, pushedKeys(p), p.permission()); err != nil {
		return Pushed{}, err
	}
	for _, t := range p.Tags {
		if _, err := oci.ParseTag(t); err != nil {
			return Pushed{}, err
		}
	}
	m, err := oci.ParseManifest(p.MediaType, p.Manifest)
	if err != nil {
		return Pushed{}, err
	}
	digest, err := settleDigest(p)
	if err != nil {
		return Pushed{}, err
	}
	img := Image{
		Digest: digest, MediaType: m.MediaType, ArtifactType: m.ArtifactType, ConfigMediaType: m.Config.MediaType,
		Subject: m.Subject.Digest, ManifestSize: int64(len(p.Manifest)), Annotations: m.Annotations, Manifest: p.Manifest,
	}
	if img.Vouched, err = r.vouches(ctx, caller, p, m); err != nil {
		return Pushed{}, err
	}
	var pushed Pushed
	err = r.lockForPush(ctx, caller, p, func(tx Tx, repo Repository) error {
		if err := r.tagsStayed(ctx, tx, repo, p); err != nil {
			return err
		}
		pushed, err = r.putImage(ctx, tx, caller, repo, img, m, p)
		return err
	})
	if err != nil {
		return Pushed{}, err
	}
	pushed.Image.Manifest, pushed.Image.Annotations = p.Manifest, m.Annotations // of one that was known they were not read
	return pushed, nil
}

func settleDigest(p Push) (oci.Digest, error) {
	if p.Digest == "" {
		return oci.FromBytes(p.Manifest), nil
	}
	if !p.Digest.Matches(p.Manifest) {
		return "", fault.New(fault.DigestMismatch, "The image's manifest does not have the digest '%s' that was given with it", p.Digest)
	}
	return p.Digest, nil
}

func (r *Registry) putImage(ctx context.Context, tx Tx, caller identity.Caller, repo Repository, img Image, m oci.Manifest, p Push) (Pushed, error) {
	var dropped []string
	if p.Source == event.Replication {
		var err error
		if p.Tags, dropped, err = movableTags(ctx, tx, repo, img.Digest, p.Tags); err != nil {
			return Pushed{}, err
		}
	}
	vouched := img.Vouched
	old, err := tx.ImageIn(ctx, repo.Name, oci.Reference{Digest: img.Digest})
	known := err == nil
	switch {
	case known:
		// It may have come from an upstream registry, which sends the parts later: here they must be there now.
		if !arrivesInPieces(p.Source) {
			if err := r.requireAgain(ctx, tx, repo, m); err != nil {
				return Pushed{}, err
			}
		}
		img = old
		img.Manifest = p.Manifest // ImageIn reads none; the bytes are the same
	case errors.Is(err, ErrNoRow):
		img.Tags = p.Tags
		if img, err = r.insertImage(ctx, tx, repo, img, m, p.Source); err != nil {
			return Pushed{}, err
		}
		img.Tags = nil
	default:
		return Pushed{}, fmt.Errorf("looking for image %s: %w", img.Digest, err)
	}
	restored := known && img.Archived
	if restored || !known && len(m.Children) > 0 {
		mv := move{registry: r, tx: tx, caller: caller, repo: repo, at: r.now()}
		if img, err = mv.activate(ctx, img); err != nil {
			return Pushed{}, err
		}
	}
	moved, err := r.setTags(ctx, tx, caller, repo, img, m, p)
	if err != nil {
		return Pushed{}, err
	}
	if len(moved) > maxTags || known && len(moved) > 0 {
		if err := checkTags(ctx, tx, repo, img); err != nil {
			return Pushed{}, err
		}
	}
	if vouched, err = vouch(ctx, tx, &img, vouched); err != nil {
		return Pushed{}, err
	}
	pushed := Pushed{Image: img, Known: known, Unchanged: known && !restored && !vouched && len(moved) == 0, Dropped: dropped}
	if known && !vouched && len(moved) == 0 {
		return pushed, nil
	}
	e := about(event.ImagePushed, repo, img, caller.ARN, moved)
	e.New, e.Source = !known, p.Source
	return pushed, r.tell(ctx, tx, e)
}

// requireAgain is require for an image that the repository has.
func (r *Registry) requireAgain(ctx context.Context, tx Tx, repo Repository, m oci.Manifest) error {
	refs, _, err := r.require(ctx, tx, repo, m)
	if err != nil {
		return err
	}
	return show(ctx, tx, repo, refs)
}

// checkTags holds an image to the quota of tags.
func checkTags(ctx context.Context, tx Tx, repo Repository, img Image) error {
	tooMany, err := tx.HasTags(ctx, repo.ID, img.ID, maxTags+1)
	switch {
	case err != nil:
		return fmt.Errorf("counting tags of %s: %w", img.Digest, err)
	case tooMany:
		return fault.New(fault.LimitExceeded, "The image with digest '%s' would have more than %d tags", img.Digest, maxTags)
	}
	return nil
}

// insertImage checks what the manifest refers to, unless that may come later, and adds the image.
func (r *Registry) insertImage(ctx context.Context, tx Tx, repo Repository, img Image, m oci.Manifest, source event.Source) (Image, error) {
	look := r.require
	if arrivesInPieces(source) {
		look = r.expected
	}
	refs, size, err := look(ctx, tx, repo, m)
	if err != nil {
		return Image{}, err
	}
	img.Size, img.PushedAt = size, r.now()
	return r.addImage(ctx, tx, repo, img, refs)
}

// addImage adds an image whose references are known.
func (r *Registry) addImage(ctx context.Context, tx Tx, repo Repository, img Image, refs References) (Image, error) {
	var err error
	if img.ID, err = tx.InsertImage(ctx, repo.ID, img, refs); err != nil {
		return Image{}, fmt.Errorf("inserting image %s: %w", img.Digest, err)
	}
	if err := show(ctx, tx, repo, refs); err != nil {
		return Image{}, err
	}
	// Any push may bring what an index from an upstream registry was waiting for.
	if err := r.raiseIndexes(ctx, tx, repo, img); err != nil {
		return Image{}, err
	}
	return img, r.scanPushed(ctx, tx, repo, img)
}

// show ends the hiding of layers that an image refers to again.
func show(ctx context.Context, tx Tx, repo Repository, refs References) error {
	if len(refs.Hidden) == 0 {
		return nil
	}
	if err := tx.ShowLayers(ctx, repo.ID, refs.Hidden); err != nil {
		return fmt.Errorf("showing layers again: %w", err)
	}
	return nil
}

// require checks that all that a manifest refers to is in the repository, and tells what it is and how large
// together: of an index's images the largest counts.
func (r *Registry) require(ctx context.Context, q Queries, repo Repository, m oci.Manifest) (References, int64, error) {
	refs, size := References{}, int64(0)
	for _, b := range m.Blobs() {
		refs.Blobs = append(refs.Blobs, b.Digest)
		size += b.Size
	}
	images, layers := splitChildren(m)
	var err error
	if refs.Hidden, err = r.requireLayers(ctx, q, repo, slices.Concat(m.Blobs(), layers)); err != nil {
		return References{}, 0, err
	}
	for _, c := range images {
		refs.Children = append(refs.Children, c.Digest)
	}
	largest, err := r.requireImages(ctx, q, repo, images)
	if err != nil {
		return References{}, 0, err
	}
	for _, l := range layers {
		refs.Blobs = append(refs.Blobs, l.Digest)
		size += l.Size
	}
	return refs, size + largest, nil
}

// splitChildren tells an index's images from what is no manifest: BuildKit's older cache format lists layers
// and a configuration in an index.
func splitChildren(m oci.Manifest) (images, layers []oci.Descriptor) {
	for _, c := range m.Children {
		if oci.IsManifestType(c.MediaType) {
			images = append(images, c)
		} else {
			layers = append(layers, c)
		}
	}
	return images, layers
}

// requireLayers checks that the repository has each blob, in the size that the manifest says, and names those that it hides.
// Whoever pushes may have been told of them before they were hidden.
func (r *Registry) requireLayers(ctx context.Context, q Queries, repo Repository, blobs []oci.Descriptor) (hidden []oci.Digest, err error) {
	digests := make([]oci.Digest, len(blobs))
	for i, b := range blobs {
		digests[i] = b.Digest
	}
	layers, err := q.Layers(ctx, repo.ID, digests)
	if err != nil {
		return nil, fmt.Errorf("looking for layers: %w", err)
	}
	sizes := make(map[oci.Digest]int64, len(layers))
	for _, l := range layers {
		if !l.DamagedAt.IsZero() {
			continue
		}
		sizes[l.Digest] = l.Size
		if l.Hidden {
			hidden = append(hidden, l.Digest)
		}
	}
	var missing []oci.Digest
	for _, b := range blobs {
		size, ok := sizes[b.Digest]
		if !ok {
			missing = append(missing, b.Digest)
		} else if size != b.Size {
			return nil, fault.New(fault.ManifestInvalid, "the manifest says that %s has %d bytes, and it has %d", b.Digest, b.Size, size)
		}
	}
	if len(missing) > 0 {
		return nil, fault.New(fault.ReferencedLayersNotFound,
			"Layers with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
			someOf(missing), repo.Name, r.account)
	}
	return hidden, nil
}

// someOf names digests in an error, a screenful at most.
func someOf(ds []oci.Digest) string {
	const most = 20
	var b strings.Builder
	for i, d := range ds {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(ds)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// requireImages checks that the repository has each child of an index, in the size that the index says,
// and gives the size of the largest image among them.
func (r *Registry) requireImages(ctx context.Context, q Queries, repo Repository, children []oci.Descriptor) (largest int64, err error) {
	if len(children) == 0 {
		return 0, nil
	}
	digests := make([]oci.Digest, len(children))
	for i, c := range children {
		digests[i] = c.Digest
	}
	rows, err := q.ImagesByDigest(ctx, repo.ID, digests)
	if err != nil {
		return 0, fmt.Errorf("looking for images: %w", err)
	}
	images := make(map[oci.Digest]Image, len(rows))
	for _, i := range rows {
		images[i.Digest] = i
	}
	var missing []oci.Digest
	for _, c := range children {
		child, ok := images[c.Digest]
		switch {
		case !ok:
			missing = append(missing, c.Digest)
		case child.ManifestSize != c.Size:
			return 0, fault.New(fault.ManifestInvalid, "the index says that %s has %d bytes, and it has %d", c.Digest, c.Size, child.ManifestSize)
		default:
			largest = max(largest, child.Size)
		}
	}
	if len(missing) > 0 {
		return 0, fault.New(fault.ReferencedImagesNotFound,
			"Images with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
			someOf(missing), repo.Name, r.account)
	}
	return largest, nil
}

// setTags points a push's tags to its image, and holds deployment records to their rules. What another registry sends was
// checked by that, and may come in another order.
func (r *Registry) setTags(ctx context.Context, tx Tx, caller identity.Caller, repo Repository, img Image, m oci.Manifest, p Push) ([]string, error) {
	if arrivesInPieces(p.Source) || p.Source == event.Replication {
		return r.pointTags(ctx, tx, caller, repo, img, p.Tags)
	}
	if err := r.checkDeployment(ctx, tx, repo, m, img.Digest, p); err != nil {
		return nil, err
	}
	return r.moveTags(ctx, tx, caller, repo, img, p.Tags)
}

// moveTags points each tag to the image, where the repository and the deployments in it let it, and tells which were not there
// yet.
func (r *Registry) moveTags(ctx context.Context, tx Tx, caller identity.Caller, repo Repository, img Image, tags []string) ([]string, error) {
	if err := checkDeployTags(ctx, tx, repo, img, tags); err != nil {
		return nil, err
	}
	return r.pointTags(ctx, tx, caller, repo, img, tags)
}

// pointTags is moveTags without a look at deployments.
func (r *Registry) pointTags(ctx context.Context, tx Tx, caller identity.Caller, repo Repository, img Image, tags []string) ([]string, error) {
	var changes []TagChange
	var moved []string
	for i, t := range tags {
		if slices.Contains(tags[:i], t) {
			continue
		}
		from, err := tx.ImageIn(ctx, repo.Name, oci.Reference{Tag: t})
		if err != nil && !errors.Is(err, ErrNoRow) {
			return nil, fmt.Errorf("looking for tag %s: %w", t, err)
		}
		if err == nil && from.ID == img.ID {
			continue
		}
		if err == nil && !repo.TagMovable(t) {
			return nil, tagImmutable(repo, img, t)
		}
		at := r.now()
		if err := tx.SetTag(ctx, repo.ID, t, img.ID, at); err != nil {
			return nil, fmt.Errorf("setting tag %s: %w", t, err)
		}
		moved = append(moved, t)
		changes = append(changes, TagChange{Repository: repo.Name, Tag: t, From: from.Digest, To: img.Digest, At: at, Actor: caller.ARN})
	}
	if len(changes) == 0 {
		return nil, nil
	}
	if err := tx.RecordTagChanges(ctx, changes); err != nil {
		return nil, fmt.Errorf("recording tag history: %w", err)
	}
	return moved, nil
}
