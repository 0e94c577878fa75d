package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The condition keys about images, which ECR has not. ecr:ImageTag has several values.
const (
	keyImageTag    = "ecr:imagetag"
	keyImageDigest = "ecr:imagedigest"
)

// imageKeys are the condition keys of a request about one image. They are looked up only when a policy names one.
type imageKeys struct {
	// look gives the values.
	look func() (tags, digests []string, err error)

	asked         bool // somebody wanted to know
	tags, digests []string
	err           error // of looking: then no decision holds

	severity *severity // of a pull; nil: there is no such key

	about oci.Digest // the image that all this is about; empty: nobody has looked
}

// pin names the image that was decided about: what the decision lets through is that one, though its tag may have moved meanwhile.
func (k *imageKeys) pin(ref oci.Reference) oci.Reference {
	if k.about == "" {
		return ref
	}
	return oci.Reference{Digest: k.about}
}

// wanted tells whether somebody wanted to know which image it is.
func (k *imageKeys) wanted() bool { return k.asked || k.severity != nil && k.severity.asked }

// failed is the error of looking.
func (k *imageKeys) failed() error {
	if k.err == nil && k.severity != nil {
		return k.severity.err
	}
	return k.err
}

// context gives the keys.
func (k *imageKeys) context(key string) ([]string, bool) {
	if key == keyScanSeverity && k.severity != nil {
		return k.severity.values()
	}
	if key != keyImageTag && key != keyImageDigest {
		return nil, false
	}
	if !k.asked {
		k.asked = true
		k.tags, k.digests, k.err = k.look()
	}
	values := k.tags
	if key == keyImageDigest {
		values = k.digests
	}
	return values, len(values) > 0
}

// pushedKeys are those of a push: the tags that it sets, and the digest.
func pushedKeys(p Push) *imageKeys {
	return &imageKeys{look: func() ([]string, []string, error) {
		digest, err := settleDigest(p)
		if err != nil { // it will be refused for that
			return p.Tags, nil, nil //nolint:nilerr // no digest is known then
		}
		return p.Tags, []string{digest.String()}, nil
	}}
}

// readKeys are those of a request that reads or changes an image: all tags of the image and of the indexes that it is in,
// its digest, and what the request itself named.
func (r *Registry) readKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	keys := &imageKeys{}
	keys.look = func() ([]string, []string, error) {
		found, err := r.decided(ctx, keys, repository, id)
		if err != nil {
			return nil, nil, err
		}
		tags, digests := asked(id)
		if found == "" {
			return tags, digests, nil
		}
		names, err := r.store.Read().ImageNames(ctx, repository, found)
		if err != nil {
			return nil, nil, fmt.Errorf("looking for the tags of %s: %w", found, err)
		}
		return once(append(tags, names...)), once(append(digests, found.String())), nil
	}
	return keys
}

// decided finds the image that keys are about, once.
func (r *Registry) decided(ctx context.Context, keys *imageKeys, repository string, id ImageID) (oci.Digest, error) {
	if keys.about != "" {
		return keys.about, nil
	}
	found, err := r.digestOf(ctx, repository, id)
	keys.about = found
	return found, err
}

// deletedKeys are those of a deletion: of a tag that tag alone, since others stay; of an image all its tags.
func (r *Registry) deletedKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	if id.Tag == "" {
		return r.readKeys(ctx, repository, id)
	}
	return &imageKeys{look: func() ([]string, []string, error) {
		found, err := r.digestOf(ctx, repository, id)
		tags, digests := asked(id)
		if found != "" {
			digests = once(append(digests, found.String()))
		}
		return tags, digests, err
	}}
}

// asked gives what an id names.
func asked(id ImageID) (tags, digests []string) {
	if id.Tag != "" {
		tags = []string{id.Tag}
	}
	if id.Digest != "" {
		digests = []string{id.Digest}
	}
	return tags, digests
}

func once(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}

// digestOf finds the image that an id is about; none is no error. Of an id of both it is the digest's: if the tag is another's the
// request is refused for that.
func (r *Registry) digestOf(ctx context.Context, repository string, id ImageID) (oci.Digest, error) {
	var ref oci.Reference
	var bad error
	if id.Digest != "" {
		ref.Digest, bad = oci.ParseDigest(id.Digest)
	} else {
		ref.Tag, bad = oci.ParseTag(id.Tag)
	}
	if bad != nil {
		return "", nil //nolint:nilerr // there is no such image; the request is refused for it later
	}
	img, err := r.store.Read().ImageIn(ctx, repository, ref)
	switch {
	case errors.Is(err, ErrNoRow):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("looking for image %s of %s: %w", ref, repository, err)
	}
	return img.Digest, nil
}

// idOf writes a reference as an id.
func idOf(ref oci.Reference) ImageID { return ImageID{Tag: ref.Tag, Digest: ref.Digest.String()} }

// onImage is onRepository for what is done to one image.
func (r *Registry) onImage(ctx context.Context, caller identity.Caller, name string, keys *imageKeys, action policy.Action) error {
	err := r.onRepositoryWith(ctx, caller, name, keys.context, action)
	if failed := keys.failed(); failed != nil {
		return failed
	}
	return r.gated(ctx, caller, name, "this image", keys, action, err)
}

// onImages asks about each image by itself. Where no policy wants to know which image it is, one answer is for all.
func (r *Registry) onImages(ctx context.Context, caller identity.Caller, name string, action policy.Action, ids []ImageID,
	keysOf func(ctx context.Context, repository string, id ImageID) *imageKeys,
) error {
	_, err := r.onPinned(ctx, caller, name, action, ids, keysOf)
	return err
}

// onPinned is onImages, and gives the ids of what was decided about: see imageKeys.pin.
func (r *Registry) onPinned(ctx context.Context, caller identity.Caller, name string, action policy.Action, ids []ImageID,
	keysOf func(ctx context.Context, repository string, id ImageID) *imageKeys,
) ([]ImageID, error) {
	if len(ids) == 0 {
		return nil, r.onRepository(ctx, caller, name, action)
	}
	pinned := slices.Clone(ids)
	for i, id := range ids {
		keys := keysOf(ctx, name, id)
		if err := r.onImage(ctx, caller, name, keys, action); err != nil {
			return nil, err
		}
		if !keys.wanted() {
			break
		}
		if id.Digest == "" && keys.about != "" { // of both, the digest says which
			pinned[i] = ImageID{Digest: keys.about.String()}
		}
	}
	return pinned, nil
}

// MayOnImage is May for what is done to one image.
func (r *Registry) MayOnImage(ctx context.Context, caller identity.Caller, repository string, id ImageID, action policy.Action) error {
	return r.onImage(ctx, caller, repository, r.readKeys(ctx, repository, id), action)
}
