package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

// SpeaksOfFindings tells whether an image is a document about the findings of another one, or an SBOM, which says what these are looked
// for in. What it says counts if it is Vouched.
func (i Image) SpeaksOfFindings() bool {
	switch i.ArtifactType {
	case vex.MediaType, "application/vnd.cyclonedx+json", "application/spdx+json", "application/vnd.in-toto+json",
		"application/vnd.docker.attestation.manifest.v1+json":
		return i.Subject != ""
	}
	return false
}

// vouches tells whether a push is one of a document about findings, by somebody who may speak for those of the repository. It asks,
// so it is called before the transaction begins. What comes from an upstream registry by itself nobody has vouched for.
func (r *Registry) vouches(ctx context.Context, caller identity.Caller, p Push, m oci.Manifest) (bool, error) {
	if p.Source == event.PullThrough || !(Image{ArtifactType: m.ArtifactType, Subject: m.Subject.Digest}).SpeaksOfFindings() {
		return false, nil
	}
	return r.mayVouch(ctx, caller, p.Repository)
}

func (r *Registry) mayVouch(ctx context.Context, caller identity.Caller, repository string) (bool, error) {
	err := r.onRepository(ctx, caller, repository, policy.PutImageScanningConfig)
	if errors.Is(err, fault.AccessDenied) {
		return false, nil
	}
	return err == nil, err
}

// vouchesAgain tells whether an id is to restore a document about findings, by somebody who may speak for those of the repository.
func (r *Registry) vouchesAgain(ctx context.Context, caller identity.Caller, repository string, id ImageID) (bool, error) {
	q := r.store.Read()
	ref, err := earlier(ctx, q, repository, id)
	if _, isFault := fault.Of(err); isFault {
		return false, nil // it will be refused for that
	}
	if err != nil {
		return false, err
	}
	t, err := q.TrashedImage(ctx, repository, ref.Digest)
	if errors.Is(err, ErrNoRow) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for image %s in the trash of %s: %w", ref.Digest, repository, err)
	}
	if !t.SpeaksOfFindings() {
		return false, nil
	}
	return r.mayVouch(ctx, caller, repository)
}

// vouch has a document count that was pushed before by somebody who might not vouch for it, and tells whether it was so.
func vouch(ctx context.Context, tx Tx, img *Image, vouched bool) (bool, error) {
	if !vouched || img.Vouched {
		return false, nil
	}
	if err := tx.VouchImage(ctx, img.ID); err != nil {
		return false, fmt.Errorf("vouching for image %s: %w", img.Digest, err)
	}
	img.Vouched = true
	return true, nil
}

// vouched tells whether a document from the trash counts again: if whoever restores it may vouch for it; or if it did when it went
// along with its subject, and that comes back now. One that was deleted by itself was taken back.
func (x *restoration) vouched(t Trashed) bool {
	return t.SpeaksOfFindings() && (x.options.vouches || t.Vouched && t.WentWith != "" && x.begun[t.WentWith])
}
