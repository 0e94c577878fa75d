package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// DeploymentQueries reads what deployment records need.
type DeploymentQueries interface {
	// Annotated finds those of the digests that the repository has and whose annotations have MaxRecordAnnotations at most, each image
	// with its annotations and without tags and manifest, in any order.
	Annotated(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]Image, error)
	// Referring finds the images of the artifact type that have one of the digests as their subject, each like Annotated does, in any
	// order.
	Referring(ctx context.Context, repositoryID int64, subjects []oci.Digest, artifactType string) ([]Image, error)
}

// MaxRecordAnnotations is how large the annotations of a record may be, as the database keeps them: there a character of the manifest may
// take six. What has more came from another registry, and is not taken for a record.
const MaxRecordAnnotations = 6 * deployment.MaxManifest

// checkDeployment holds a push to the rules of deployment records: a record is valid, about an image that is there, and follows
// the one that its tag points to. So of two who deploy at once one wins, and nobody rewrites what was.
func (r *Registry) checkDeployment(ctx context.Context, tx Tx, repo Repository, m oci.Manifest, d oci.Digest, p Push) error {
	if !deployment.Is(m) {
		return nil
	}
	if len(p.Manifest) > deployment.MaxManifest {
		return fault.New(fault.ManifestInvalid, "not a deployment record: its manifest has %d bytes, more than %d", len(p.Manifest), deployment.MaxManifest)
	}
	record, err := deployment.Parse(m)
	if err != nil {
		return err
	}
	begins := len(p.Tags) == 0 // rather than to tell what came of it, or to be pushed again: that needs no image
	for _, t := range p.Tags {
		if t != record.Tag() {
			return fault.New(fault.TagInvalid, "The tag '%s' is not for this deployment record: what runs in %s as %s is under '%s'",
				t, record.Environment, record.App, record.Tag())
		}
		current, err := tx.ManifestIn(ctx, repo.Name, oci.Reference{Tag: t})
		var last deployment.Record
		switch {
		case err == nil && current.Digest == d:
			continue
		case err == nil:
			last, err = followed(record, current)
		case errors.Is(err, ErrNoRow):
			last, err = continued(ctx, tx, repo, record)
		default:
			err = fmt.Errorf("looking for tag %s: %w", t, err)
		}
		if err == nil {
			err = checkOneOutcome(record, last)
		}
		if err != nil {
			return err
		}
		begins = !record.Ends(last)
	}
	if !begins {
		return nil
	}
	return checkDeployable(ctx, tx, repo, record)
}

// checkDeployTags sees to it that a tag that points to a record moves to one that follows it, and to nothing else, whoever moves it.
func checkDeployTags(ctx context.Context, tx Tx, repo Repository, img Image, tags []string) error {
	for _, t := range tags {
		if _, _, ok := deployment.ParseTag(t); !ok {
			continue
		}
		current, err := tx.ManifestIn(ctx, repo.Name, oci.Reference{Tag: t})
		if errors.Is(err, ErrNoRow) || err == nil && current.Digest == img.Digest {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking for tag %s: %w", t, err)
		}
		last, ok := recordIn(current)
		if !ok || last.Tag() != t {
			continue
		}
		next := img
		if next.Manifest == nil {
			if next, err = tx.ManifestIn(ctx, repo.Name, oci.Reference{Digest: img.Digest}); err != nil {
				return fmt.Errorf("reading image %s: %w", img.Digest, err)
			}
		}
		record, ok := recordIn(next)
		if !ok || record.Tag() != t {
			return fault.New(fault.DeploymentConflict, "The tag '%s' says what runs in %s as %s: it moves only to a deployment record whose previous one is %s",
				t, last.Environment, last.App, current.Digest)
		}
		if _, err := followed(record, current); err != nil {
			return err
		}
	}
	return nil
}

// recordIn reads the record that an image with its manifest is, or tells that it is none.
func recordIn(img Image) (deployment.Record, bool) {
	if img.ArtifactType != deployment.ArtifactType {
		return deployment.Record{}, false
	}
	m, err := oci.ParseManifest(img.MediaType, img.Manifest)
	if err != nil {
		return deployment.Record{}, false
	}
	record, err := deployment.Parse(m)
	return record, err == nil
}

// followed gives the record that its tag points to now, provided that the new one follows it.
func followed(record deployment.Record, current Image) (deployment.Record, error) {
	last, ok := recordIn(current)
	switch {
	case !ok || last.Tag() != record.Tag():
		return last, fault.New(fault.DeploymentConflict, "The tag '%s' points to %s, which does not record a deployment of %s to %s: remove the tag first",
			record.Tag(), current.Digest, record.App, record.Environment)
	case record.Previous == "":
		return last, fault.New(fault.DeploymentConflict, "%s was deployed to %s before: a record is to have %s as its previous one, to which the tag '%s' points",
			record.App, record.Environment, current.Digest, record.Tag())
	case record.Previous != current.Digest:
		return last, fault.New(fault.DeploymentConflict, "Somebody else deploys %s to %s: the tag '%s' points to %s by now, and this record follows %s",
			record.App, record.Environment, record.Tag(), current.Digest, record.Previous)
	}
	return last, nil
}

// continued gives the record, if any, that one follows which is to be the first under its tag: when the tag was deleted, its
// chain may go on.
func continued(ctx context.Context, tx Tx, repo Repository, record deployment.Record) (deployment.Record, error) {
	if record.Previous == "" {
		return deployment.Record{}, nil
	}
	img, err := tx.ManifestIn(ctx, repo.Name, oci.Reference{Digest: record.Previous})
	if err != nil && !errors.Is(err, ErrNoRow) {
		return deployment.Record{}, fmt.Errorf("looking for record %s: %w", record.Previous, err)
	}
	last, ok := recordIn(img)
	if !ok || last.Tag() != record.Tag() {
		return last, fault.New(fault.DeploymentConflict, "This record follows %s, and the repository has no record of a deployment of %s to %s by that digest",
			record.Previous, record.App, record.Environment)
	}
	return last, nil
}

// checkOneOutcome sees to it that a deployment starts and ends once.
func checkOneOutcome(record, last deployment.Record) error {
	if record.ID == last.ID && !record.Ends(last) {
		return fault.New(fault.DeploymentConflict, "The deployment '%s' of %s to %s is recorded already as %s",
			last.ID, last.App, last.Environment, last.Outcome)
	}
	return nil
}

// checkDeployable sees to it that what a record says to be deployed can be.
func checkDeployable(ctx context.Context, tx Tx, repo Repository, record deployment.Record) error {
	found, err := tx.ImagesByDigest(ctx, repo.ID, []oci.Digest{record.Image.Digest})
	switch {
	case err != nil:
		return fmt.Errorf("looking for image %s: %w", record.Image.Digest, err)
	case len(found) == 0:
		return fault.New(fault.ReferencedImagesNotFound, "The image with digest '%s', of whose deployment this is a record, does not exist in the repository '%s'",
			record.Image.Digest, repo.Name)
	case found[0].Archived && record.Outcome == deployment.Started:
		return imageArchived()
	case found[0].ArtifactType == deployment.ArtifactType:
		return fault.New(fault.ManifestInvalid, "not a deployment record: its subject %s is one itself", record.Image.Digest)
	case found[0].ManifestSize != record.Image.Size:
		return fault.New(fault.ManifestInvalid, "not a deployment record: it says that its subject has %d bytes, and it has %d",
			record.Image.Size, found[0].ManifestSize)
	}
	return nil
}

// tagImmutable is the fault of moving a tag that does not move. Clients know the first sentence.
func tagImmutable(repo Repository, img Image, tag string) error {
	f := fault.New(fault.TagImmutable,
		"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", tag, repo.Name)
	if img.ArtifactType == deployment.ArtifactType {
		f.Message += " To deploy from it, exclude '" + deployment.TagPrefix + "*' from its immutability."
	}
	return f
}
