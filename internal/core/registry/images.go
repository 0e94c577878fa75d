package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// ImageID names an image as strangers do: by tag, by digest, or by both, which must then agree.
type ImageID struct {
	Tag    string
	Digest string
}

// ImageResult is what one of several image ids came to: an image, or a fault.
type ImageResult struct {
	ID    ImageID
	Image Image
	Err   error
}

// Image gets one with its manifest, to be pulled (ecr:BatchGetImage): its last pull time moves.
func (r *Registry) Image(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (Image, error) {
	img, err := r.findImage(ctx, caller, repository, ref, r.pulledKeys(ctx, repository, idOf(ref)), r.store.Read().ManifestIn)
	if err == nil {
		r.pulled(caller, img.ID)
	}
	return img, err
}

// StatImage gets one without pulling it, and without its manifest (ecr:BatchGetImage).
func (r *Registry) StatImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (Image, error) {
	return r.findImage(ctx, caller, repository, ref, r.statKeys(ctx, repository, idOf(ref)), r.store.Read().ImageIn)
}

// findImage is one permission and one statement.
func (r *Registry) findImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference, keys *imageKeys,
	find func(context.Context, string, oci.Reference) (Image, error),
) (Image, error) {
	if err := r.onImage(ctx, caller, repository, keys, policy.BatchGetImage); err != nil {
		return Image{}, err
	}
	img, err := find(ctx, repository, keys.pin(ref))
	if errors.Is(err, ErrNoRow) {
		return Image{}, r.absent(ctx, repository, imageNotFound())
	}
	if err != nil {
		return Image{}, fmt.Errorf("reading image %s of %s: %w", ref, repository, err)
	}
	if img.Archived {
		return Image{}, imageArchived()
	}
	return img, nil
}

func imageArchived() error {
	return fault.New(fault.ImageArchived, "Requested image is archived: restore it with UpdateImageStorageClass or by pushing it again")
}

func imageNotFound() error { return fault.New(fault.ImageNotFound, "Requested image not found") }

// PullImages gets several by id, each pulled or failing by itself (ecr:BatchGetImage). One that the caller may not have
// fails the call.
func (r *Registry) PullImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID) ([]ImageResult, error) {
	results, err := r.lookUp(ctx, caller, policy.BatchGetImage, repository, ids, func(ctx context.Context, q Queries, repo Repository, ref oci.Reference) (Image, error) {
		img, err := q.ManifestIn(ctx, repo.Name, ref)
		if err == nil && img.Archived {
			return Image{}, imageArchived()
		}
		return img, err
	})
	for _, res := range results {
		if res.Err == nil {
			r.pulled(caller, res.Image.ID)
		}
	}
	return results, err
}

// DescribeImages gets several by id (ecr:DescribeImages). The first that is not there fails the call.
func (r *Registry) DescribeImages(ctx context.Context, caller identity.Caller, repository string, ids []ImageID) ([]Image, error) {
	results, err := r.lookUp(ctx, caller, policy.DescribeImages, repository, ids, withTags)
	if err != nil {
		return nil, err
	}
	images := make([]Image, 0, len(results))
	for _, res := range results {
		if res.Err != nil {
			return nil, r.NamedImageError(repository, res.ID, res.Err)
		}
		known := func(i Image) bool { return i.ID == res.Image.ID }
		if !slices.ContainsFunc(images, known) {
			images = append(images, res.Image)
		}
	}
	return images, nil
}

// NamedImageError words, for a call about the one image of that id, that there is no such image (nor one with both that
// tag and that digest). Other errors stay.
func (r *Registry) NamedImageError(repository string, id ImageID, err error) error {
	if !errors.Is(err, fault.ImageNotFound) && !errors.Is(err, fault.TagDoesNotMatchDigest) {
		return err
	}
	return fault.New(fault.ImageNotFound,
		"The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		orNull(id.Digest), orNull(id.Tag), repository, r.account)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// finder reads one image by a reference, with what its caller needs of it, or answers ErrNoRow.
type finder func(ctx context.Context, q Queries, repo Repository, ref oci.Reference) (Image, error)

// withTags finds an image with its tags.
func withTags(ctx context.Context, q Queries, repo Repository, ref oci.Reference) (Image, error) {
	if ref.Tag != "" {
		return q.ImageByTag(ctx, repo.ID, ref.Tag)
	}
	return q.ImageByDigest(ctx, repo.ID, ref.Digest)
}

func (r *Registry) lookUp(ctx context.Context, caller identity.Caller, action policy.Action, repository string, ids []ImageID, find finder) ([]ImageResult, error) {
	keysOf := r.readKeys
	if action == policy.BatchGetImage {
		keysOf = r.pulledKeys
	}
	pinned, err := r.onPinned(ctx, caller, repository, action, ids, keysOf)
	if err != nil {
		return nil, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return nil, err
	}
	results := make([]ImageResult, 0, len(ids))
	for i, id := range ids {
		img, err := imageByID(ctx, q, repo, pinned[i], find)
		if _, isFault := fault.Of(err); err != nil && !isFault {
			return nil, err
		}
		results = append(results, ImageResult{ID: id, Image: img, Err: err})
	}
	return results, nil
}

// openListing is how a listing of a repository's content begins: the permission, the place, the repository.
func (r *Registry) openListing(ctx context.Context, caller identity.Caller, action policy.Action, repository, listing, token string) (Queries, Repository, cursor, error) {
	if err := r.onRepository(ctx, caller, repository, action); err != nil {
		return nil, Repository{}, cursor{}, err
	}
	return r.beginListing(ctx, repository, listing, token)
}

func (r *Registry) beginListing(ctx context.Context, repository, listing, token string) (Queries, Repository, cursor, error) {
	c, err := parseCursor(listing, token)
	if err != nil {
		return nil, Repository{}, cursor{}, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	return q, repo, c, err
}

// ImageFilter selects images of a listing. The zero value selects active ones, with tags and without.
type ImageFilter struct {
	Tagged TagStatus
	Status Status
}

// Images lists images in order of push (ecr:DescribeImages). A limit of 0 means DefaultPage.
func (r *Registry) Images(ctx context.Context, caller identity.Caller, repository string, filter ImageFilter, limit int, token string) (Page[Image], error) {
	listing := fmt.Sprintf("images/%d/%d/%s", filter.Tagged, filter.Status, repository)
	q, repo, c, err := r.openListing(ctx, caller, policy.DescribeImages, repository, listing, token)
	if err != nil {
		return Page[Image]{}, err
	}
	limit = pageLimit(limit, DefaultPage)
	rows, err := q.Images(ctx, repo.ID, ImageQuery{Tagged: filter.Tagged, Status: filter.Status, AfterID: c.ID, Limit: limit + 1})
	if err != nil {
		return Page[Image]{}, fmt.Errorf("listing images of %s: %w", repository, err)
	}
	return cut(rows, limit, listing, func(i Image) cursor { return cursor{ID: i.ID} }), nil
}

// ImageIDs lists one id per tag and, without tag, one per untagged image (ecr:ListImages): first the tags
// in order of name, then the untagged images in order of push.
func (r *Registry) ImageIDs(ctx context.Context, caller identity.Caller, repository string, filter ImageFilter, limit int, token string) (Page[ImageID], error) {
	listing := fmt.Sprintf("ids/%d/%d/%s", filter.Tagged, filter.Status, repository)
	q, repo, c, err := r.openListing(ctx, caller, policy.ListImages, repository, listing, token)
	if err != nil {
		return Page[ImageID]{}, err
	}
	limit = pageLimit(limit, DefaultPage)
	places, err := r.idPlaces(ctx, q, repo, filter, c, limit+1)
	if err != nil {
		return Page[ImageID]{}, fmt.Errorf("listing image ids of %s: %w", repository, err)
	}
	page := cut(places, limit, listing, func(p idPlace) cursor { return p.at })
	out := Page[ImageID]{Next: page.Next}
	for _, p := range page.Items {
		out.Items = append(out.Items, p.id)
	}
	return out, nil
}

// idPlace is an entry of ImageIDs with the place after it. A place with an ID is among the untagged.
type idPlace struct {
	id ImageID
	at cursor
}

func (r *Registry) idPlaces(ctx context.Context, q Queries, repo Repository, filter ImageFilter, c cursor, want int) ([]idPlace, error) {
	var places []idPlace
	if filter.Tagged != OnlyUntagged && c.ID == 0 {
		tags, err := q.Tags(ctx, repo.ID, filter.Status, c.Name, want)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			places = append(places, idPlace{id: ImageID{Tag: t.Name, Digest: t.Digest.String()}, at: cursor{Name: t.Name}})
		}
	}
	if filter.Tagged != OnlyTagged && len(places) < want {
		images, err := q.Images(ctx, repo.ID, ImageQuery{Tagged: OnlyUntagged, Status: filter.Status, AfterID: c.ID, Limit: want - len(places)})
		if err != nil {
			return nil, err
		}
		for _, i := range images {
			places = append(places, idPlace{id: ImageID{Digest: i.Digest.String()}, at: cursor{ID: i.ID}})
		}
	}
	return places, nil
}

// ReferrerFilter selects referrers of a listing. The zero value selects active ones of every type.
type ReferrerFilter struct {
	ArtifactTypes []string // one of these; none is any
	Status        Status
}

// Referrers lists the images whose subject is the digest, in order of push (ecr:BatchGetImage). The subject itself need
// not be there.
func (r *Registry) Referrers(ctx context.Context, caller identity.Caller, repository string, subject oci.Digest, filter ReferrerFilter, limit int, token string) (Page[Image], error) {
	listing := "referrers/" + subject.String() + "/" + repository
	keys := r.statKeys(ctx, repository, ImageID{Digest: subject.String()})
	if err := r.onImage(ctx, caller, repository, keys, policy.BatchGetImage); err != nil {
		return Page[Image]{}, err
	}
	q, repo, c, err := r.beginListing(ctx, repository, listing, token)
	if err != nil {
		return Page[Image]{}, err
	}
	limit = pageLimit(limit, MaxPage)
	images, more, err := q.Referrers(ctx, repo.ID, subject, ReferrerQuery{
		ArtifactTypes: filter.ArtifactTypes, Status: filter.Status, AfterID: c.ID, Limit: limit,
	})
	if err != nil {
		return Page[Image]{}, fmt.Errorf("listing referrers of %s: %w", subject, err)
	}
	page := Page[Image]{Items: images}
	if more {
		page.Next = cursor{Listing: listing, ID: images[len(images)-1].ID}.token()
	}
	return page, nil
}

// image reads one by reference, or answers fault.ImageNotFound.
func image(ctx context.Context, q Queries, repo Repository, ref oci.Reference, find finder) (Image, error) {
	img, err := find(ctx, q, repo, ref)
	switch {
	case errors.Is(err, ErrNoRow):
		return Image{}, imageNotFound()
	case err != nil:
		return Image{}, fmt.Errorf("reading image %s of %s: %w", ref, repo.Name, err)
	}
	return img, nil
}

// imageByID reads one by a stranger's id, each way of getting it wrong with its own fault.
func imageByID(ctx context.Context, q Queries, repo Repository, id ImageID, find finder) (Image, error) {
	ref, err := referenceOf(id)
	if err != nil {
		return Image{}, err
	}
	img, err := image(ctx, q, repo, ref, find)
	if err == nil && ref.Digest != "" && img.Digest != ref.Digest {
		return Image{}, fault.New(fault.TagDoesNotMatchDigest, "Requested image tag '%s' does not map to digest '%s'", id.Tag, id.Digest)
	}
	return img, err
}

// referenceOf reads a stranger's id, which may name both tag and digest.
func referenceOf(id ImageID) (oci.Reference, error) {
	if id.Tag == "" && id.Digest == "" {
		return oci.Reference{}, fault.New(fault.ImageIDMissing, "Invalid request parameters: both tag and digest cannot be null")
	}
	ref := oci.Reference{}
	var err error
	if id.Digest != "" {
		if ref.Digest, err = oci.ParseDigest(id.Digest); err != nil {
			return oci.Reference{}, fault.Wrap(fault.DigestInvalid, err, "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
		}
	}
	if id.Tag != "" {
		if ref.Tag, err = oci.ParseTag(id.Tag); err != nil {
			return oci.Reference{}, fault.Wrap(fault.TagInvalid, err, "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'")
		}
	}
	return ref, nil
}
