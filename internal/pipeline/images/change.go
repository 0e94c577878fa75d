package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// Removal is what becomes of one image when some of its tags, or it as a whole, are deleted.
type Removal struct {
	Image Image
	Tags  []string // that go
	Kept  []string // that stay, and the image with them
	Along []Referrer
	// NotKnown says why it is not known what refers to the image.
	NotKnown error
	// Stays is that the image is there still, though its last tag has gone: an index lists it. It is known when that has happened.
	Stays bool

	asked []oci.Reference
}

// Goes tells whether the image itself goes.
func (r Removal) Goes() bool { return len(r.Kept) == 0 }

// LookAgain finds the images that have stayed though all of their tags went, after a removal: a registry does not say so of what it deletes by tags.
func (c *Client) LookAgain(ctx context.Context, plan []Removal, failed []Failure) error {
	for i := range plan {
		r := &plan[i]
		byTag := !slices.ContainsFunc(r.asked, func(ref oci.Reference) bool { return ref.Tag == "" })
		if !r.Goes() || !byTag || slices.ContainsFunc(failed, r.Failed) {
			continue
		}
		_, err := c.Resolve(ctx, oci.Reference{Digest: r.Image.Digest})
		if err != nil && !platform.Refused(err, NoImage) {
			return err
		}
		r.Stays = err == nil
	}
	return nil
}

// Failed tells whether a failure is about this image.
func (r Removal) Failed(f Failure) bool {
	return slices.ContainsFunc(r.asked, func(ref oci.Reference) bool {
		return f.Tag != "" && ref.Tag == f.Tag || f.Tag == "" && ref.Digest.String() == f.Digest
	})
}

// PlanRemoval finds out what deleting these tags and digests would do, and changes nothing. An image is deleted with its last tag.
func (c *Client) PlanRemoval(ctx context.Context, names []string) ([]Removal, error) {
	var plan []Removal
	for _, name := range names {
		ref, err := c.Reference(ctx, name)
		if err != nil {
			return nil, err
		}
		found, err := c.Resolve(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("looking for %s: %w", ref, err)
		}
		i := slices.IndexFunc(plan, func(r Removal) bool { return r.Image.Digest == found.Digest })
		if i < 0 {
			i = len(plan)
			plan = append(plan, Removal{Image: found, Kept: found.Tags})
		}
		plan[i].take(ref)
	}
	for i := range plan {
		if plan[i].Goes() {
			plan[i].Along, plan[i].NotKnown = c.along(ctx, plan[i].Image)
		}
	}
	return plan, nil
}

// Asked is what was asked to be deleted.
func (r Removal) Asked() []oci.Reference { return r.asked }

// take notes that this was asked for.
func (r *Removal) take(ref oci.Reference) {
	if slices.Contains(r.asked, ref) {
		return
	}
	r.asked = append(r.asked, ref)
	if ref.Tag == "" {
		r.Tags, r.Kept = r.Image.Tags, nil
		return
	}
	if slices.Contains(r.Kept, ref.Tag) {
		r.Tags = append(slices.Clone(r.Tags), ref.Tag)
		r.Kept = slices.DeleteFunc(slices.Clone(r.Kept), func(tag string) bool { return tag == ref.Tag })
	}
}

func (c *Client) along(ctx context.Context, i Image) ([]Referrer, error) {
	found, err := c.Distribution.Referrers(ctx, c.Repository, i.Digest)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the image
	}
	var along []Referrer
	for _, d := range found {
		r := referrer(d, i.Digest)
		listed, err := c.Resolve(ctx, oci.Reference{Digest: r.Digest})
		if err == nil && named(listed, i.Digest) {
			continue
		}
		along = append(along, r)
	}
	return along, nil
}

// named tells whether somebody gave a referrer a tag, with which it stays. Tags that are made from the subject's digest are none.
func named(r Image, subject oci.Digest) bool {
	made := strings.ReplaceAll(subject.String(), ":", "-")
	return slices.ContainsFunc(r.Tags, func(tag string) bool { return tag != made && !strings.HasPrefix(tag, made+".") })
}

// Remove does what was planned. It gives the server's reasons for what it did not delete.
func (c *Client) Remove(ctx context.Context, plan []Removal) (failures []Failure, err error) {
	var ids []types.ImageIdentifier
	for _, r := range plan {
		for _, ref := range r.asked {
			ids = append(ids, identifier(ref))
		}
	}
	for some := range slices.Chunk(ids, batch) {
		out, err := c.API.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &c.Repository, ImageIds: some})
		if err != nil {
			return failures, platform.Plain(err)
		}
		for _, f := range out.Failures {
			failure := Failure{Code: string(f.FailureCode), Reason: aws.ToString(f.FailureReason)}
			if f.ImageId != nil {
				failure.Digest, failure.Tag = aws.ToString(f.ImageId.ImageDigest), aws.ToString(f.ImageId.ImageTag)
			}
			failures = append(failures, failure)
		}
	}
	return failures, nil
}

// Failure is why one image was not deleted.
type Failure struct{ Digest, Tag, Code, Reason string }

// TagChange is what happened to one tag.
type TagChange struct {
	Tag  string
	From oci.Digest // empty: the tag is new; the same as the image's: it was there already
}

// MovedError says that a tag points to another image.
type MovedError struct {
	Tag string
	At  oci.Digest
}

// Error says so.
func (e *MovedError) Error() string { return fmt.Sprintf("tag %s points to %s", e.Tag, e.At) }

// Codes of the server's refusals to tag.
const (
	TagImmutable = "ImageTagAlreadyExistsException"
	alreadyThere = "ImageAlreadyExistsException"
)

// Tag gives an image more tags. A tag that points to another image is moved only by force; without, none is changed, and the
// error is a MovedError. ECR has no operation that looks and sets at once: a tag that somebody else makes between the look and
// the change is moved.
func (c *Client) Tag(ctx context.Context, name string, tags []string, force bool) (Image, []TagChange, error) {
	source, err := c.Reference(ctx, name)
	if err != nil {
		return Image{}, nil, err
	}
	found, err := c.Resolve(ctx, source)
	if err != nil {
		return Image{}, nil, fmt.Errorf("looking for %s: %w", source, err)
	}
	var changes []TagChange
	for _, tag := range tags {
		at, there, err := c.Tagged(ctx, tag)
		switch {
		case err != nil:
			return found, nil, fmt.Errorf("looking for %s: %w", tag, err)
		case there && at.Digest != found.Digest && !force:
			return found, nil, &MovedError{tag, at.Digest}
		}
		changes = append(changes, TagChange{tag, at.Digest})
	}
	body, err := c.manifest(ctx, found.Digest)
	if err != nil {
		return found, nil, err
	}
	for n, change := range changes {
		if change.From == found.Digest {
			continue
		}
		in := &ecr.PutImageInput{
			RepositoryName: &c.Repository, ImageManifest: aws.String(string(body.bytes)), ImageTag: &change.Tag,
			ImageDigest: aws.String(found.Digest.String()),
		}
		if body.mediaType != "" {
			in.ImageManifestMediaType = &body.mediaType
		}
		_, err := c.API.PutImage(ctx, in)
		if err = platform.Plain(err); err != nil && !platform.Refused(err, alreadyThere) {
			return found, changes[:n], fmt.Errorf("tag %s: %w", change.Tag, err)
		}
	}
	return found, changes, nil
}
