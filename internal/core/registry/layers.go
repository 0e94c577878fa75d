package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// linkLife is how long a direct link to a layer's bytes lives: an hour, as ECR's.
const linkLife = time.Hour

// maxMountSources bounds how many repositories are tried as the source of a mount that names none.
const maxMountSources = 100

// Content is a layer that its caller may read.
type Content struct {
	Layer
	store blob.Store
	// lost is what a read answers that found no bytes.
	lost func(ctx context.Context, cause error) error
	// arriving, where it is set, reads a layer whose bytes are on their way here.
	arriving Opener
}

// Opener reads length bytes from offset, to the end when length is negative.
type Opener func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// ArrivingContent is a layer that is read while it is being stored.
func ArrivingContent(l Layer, open Opener) Content { return Content{Layer: l, arriving: open} }

// Open reads length bytes from offset (to the end when length is negative). See blob.Store.Open: the
// reader may be a file that does not stop after length. The caller closes it.
func (c Content) Open(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if c.arriving != nil {
		return c.arriving(ctx, offset, length)
	}
	rc, err := c.store.Open(ctx, c.Key, offset, length)
	if errors.Is(err, blob.ErrNotFound) && c.lost != nil {
		return nil, c.lost(ctx, err)
	}
	return rc, blobFault(err, fmt.Sprintf("opening layer %s", c.Digest))
}

// Link gives a URL from which anyone can fetch the layer for an hour, or "" when the bytes are where
// only this server can reach them.
func (c Content) Link(ctx context.Context) (string, error) {
	p, ok := c.store.(blob.Presigner)
	if !ok {
		return "", nil
	}
	url, err := p.PresignGet(ctx, c.Key, linkLife)
	return url, blobFault(err, fmt.Sprintf("linking to layer %s", c.Digest))
}

// StatLayer tells whether the repository has the layer (ecr:BatchCheckLayerAvailability). Who is told so can count on it: the
// layer stays for at least half of the grace.
func (r *Registry) StatLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (Layer, error) {
	l, err := r.findLayer(ctx, caller, policy.BatchCheckLayerAvailability, repository, d)
	if err != nil {
		return Layer{}, err
	}
	if err := r.keep(ctx, repository, l); err != nil {
		if errors.Is(err, ErrNoRow) {
			err = r.absent(ctx, repository, r.layerNotFound(repository, d))
		}
		return Layer{}, err
	}
	return l, nil
}

// Layer gets one to read (ecr:GetDownloadUrlForLayer). One that only archived images have answers
// fault.LayerInaccessible, one whose bytes are known to be lost or wrong fault.LayerDamaged.
func (r *Registry) Layer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (Content, error) {
	if err := r.onLayer(ctx, caller, repository, d, policy.GetDownloadURLForLayer); err != nil {
		return Content{}, err
	}
	l, err := r.layerRow(ctx, repository, d)
	switch {
	case err != nil:
		return Content{}, err
	case l.Archived:
		return Content{}, fault.New(fault.LayerInaccessible,
			"The layer with digest '%s' is only referenced by archived images in the repository with name '%s' in the registry with id '%s'", d, repository, r.account)
	case !l.DamagedAt.IsZero():
		return Content{}, r.layerDamaged(repository, d, nil)
	}
	lost := func(ctx context.Context, cause error) error { return r.lost(ctx, repository, l, cause) }
	return Content{Layer: l, store: r.blobs, lost: lost}, nil
}

// lost tells why a layer's bytes were not under the key that its row had: the layer is gone meanwhile, or has other
// bytes, which the caller finds by asking again, or its bytes are lost.
func (r *Registry) lost(ctx context.Context, repository string, l Layer, cause error) error {
	now, err := r.store.Read().LayerIn(ctx, repository, l.Digest)
	switch {
	case errors.Is(err, ErrNoRow) || err == nil && now.Hidden:
		return r.absent(ctx, repository, r.layerNotFound(repository, l.Digest))
	case err != nil:
		return fmt.Errorf("reading layer %s of %s: %w", l.Digest, repository, err)
	case now.Key != l.Key && now.DamagedAt.IsZero():
		return fault.Wrap(fault.Unavailable, cause, "the layer with digest '%s' was stored anew at this moment: try again", l.Digest)
	}
	return r.layerDamaged(repository, l.Digest, cause)
}

func (r *Registry) layerDamaged(repository string, d oci.Digest, cause error) error {
	return fault.Wrap(fault.LayerDamaged, cause, "The bytes of the layer with digest '%s' in the repository with name '%s' in the registry with id '%s' "+
		"are lost or damaged: push the layer again, or have the registry's operator restore it", d, repository, r.account)
}

// ReferencedLayer is Layer for ECR's API, which hands out only layers that an image refers to
// (ecr:GetDownloadUrlForLayer); others answer fault.LayerInaccessible.
func (r *Registry) ReferencedLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (Content, error) {
	content, err := r.Layer(ctx, caller, repository, d)
	if err != nil {
		return Content{}, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return Content{}, err
	}
	used, err := q.LayerInUse(ctx, repo.ID, d)
	if err != nil {
		return Content{}, fmt.Errorf("looking for images of layer %s: %w", d, err)
	}
	if !used {
		return Content{}, fault.New(fault.LayerInaccessible,
			"The layer with digest '%s' is not referenced by any image in the repository with name '%s' in the registry with id '%s'", d, repository, r.account)
	}
	return content, nil
}

// findLayer finds a layer that is one for all to see. One that is damaged is not.
func (r *Registry) findLayer(ctx context.Context, caller identity.Caller, action policy.Action, repository string, d oci.Digest) (Layer, error) {
	if err := r.onRepository(ctx, caller, repository, action); err != nil {
		return Layer{}, err
	}
	l, err := r.layerRow(ctx, repository, d)
	if err == nil && !l.there() {
		return Layer{}, r.layerNotFound(repository, d)
	}
	return l, err
}

// layerRow finds a layer that is not hidden.
func (r *Registry) layerRow(ctx context.Context, repository string, d oci.Digest) (Layer, error) {
	l, err := r.store.Read().LayerIn(ctx, repository, d)
	if err == nil && l.Hidden {
		err = ErrNoRow
	}
	if errors.Is(err, ErrNoRow) {
		return Layer{}, r.absent(ctx, repository, r.layerNotFound(repository, d))
	}
	if err != nil {
		return Layer{}, fmt.Errorf("reading layer %s of %s: %w", d, repository, err)
	}
	return l, nil
}

func (r *Registry) layerNotFound(repository string, d oci.Digest) error {
	return fault.New(fault.LayerNotFound,
		"The layer with digest '%s' does not exist in the repository with name '%s' in the registry with id '%s'", d, repository, r.account)
}

// there tells whether the layer is one for all to see. One that is damaged is not, so that the next push sends it again.
func (l Layer) there() bool { return !l.Hidden && l.DamagedAt.IsZero() }

// LayerAvailability is what one of several layer digests came to: a layer, its absence, or a fault.
type LayerAvailability struct {
	Digest string
	Layer  Layer
	Found  bool
	Err    error
}

// LayersAvailable tells which of the digests the repository has (ecr:BatchCheckLayerAvailability). A
// malformed digest fails by itself.
func (r *Registry) LayersAvailable(ctx context.Context, caller identity.Caller, repository string, digests []string) ([]LayerAvailability, error) {
	if err := r.onRepository(ctx, caller, repository, policy.BatchCheckLayerAvailability); err != nil {
		return nil, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return nil, err
	}
	var valid []oci.Digest
	results := make([]LayerAvailability, len(digests))
	for i, s := range digests {
		results[i].Digest = s
		d, err := oci.ParseDigest(s)
		if results[i].Err = err; err == nil {
			valid = append(valid, d)
		}
	}
	rows, err := q.Layers(ctx, repo.ID, valid)
	if err != nil {
		return nil, fmt.Errorf("looking for layers: %w", err)
	}
	found := make(map[string]Layer, len(rows))
	for _, l := range rows {
		if !l.there() {
			continue
		}
		err := r.keep(ctx, repository, l)
		if errors.Is(err, ErrNoRow) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[l.Digest.String()] = l
	}
	for i := range results {
		results[i].Layer, results[i].Found = found[results[i].Digest]
	}
	return results, nil
}

// MountLayer makes a layer of another repository one of this repository's, without its bytes being sent
// again (ecr:InitiateLayerUpload here, ecr:GetDownloadUrlForLayer there). An empty from means any
// repository that the caller may read. It tells false where there is nothing to mount, be it that the
// source lacks the layer or that the caller may not read it: the answer does not tell the two apart. So it does
// where the account setting BLOB_MOUNTING is off.
func (r *Registry) MountLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest, from string) (Layer, bool, error) {
	if err := r.onRepository(ctx, caller, repository, policy.InitiateLayerUpload); err != nil {
		return Layer{}, false, err
	}
	if err := r.checkPushable(ctx, caller, repository); err != nil {
		return Layer{}, false, err
	}
	source, err := r.mountSource(ctx, caller, d, from)
	if err != nil || source == "" {
		return Layer{}, false, err
	}
	var layer Layer
	err = r.pushTo(ctx, caller, repository, func(tx Tx, to Repository) error {
		mounting, err := r.accountSetting(ctx, tx, BlobMounting)
		if err != nil {
			return err
		}
		if mounting != Enabled {
			return ErrNoRow // nothing to mount, as far as the caller is concerned
		}
		src, err := tx.Repository(ctx, source)
		if err != nil {
			return err
		}
		l, err := tx.Layer(ctx, src.ID, d)
		if err != nil {
			return err
		}
		if !l.there() || l.Archived {
			return ErrNoRow
		}
		l.LinkedAt = r.now()
		l.DueAt = r.due(l.LinkedAt)
		if layer, _, err = tx.LinkLayer(ctx, to.ID, l); err != nil {
			return fmt.Errorf("linking layer %s: %w", d, err)
		}
		return nil
	})
	if errors.Is(err, ErrNoRow) {
		return Layer{}, false, nil
	}
	return layer, err == nil, err
}

// mountSource names a repository that has the layer and that the caller may read, or "".
func (r *Registry) mountSource(ctx context.Context, caller identity.Caller, d oci.Digest, from string) (string, error) {
	names := []string{from}
	if from == "" {
		var err error
		if names, err = r.store.Read().RepositoriesWithLayer(ctx, d, maxMountSources); err != nil {
			return "", fmt.Errorf("looking for repositories with layer %s: %w", d, err)
		}
	}
	for _, name := range names {
		err := r.onLayer(ctx, caller, name, d, policy.GetDownloadURLForLayer)
		if err == nil {
			return name, nil
		}
		if _, refused := fault.Of(err); !refused {
			return "", err
		}
	}
	return "", nil
}

// DeleteLayer takes a layer from a repository (ecr:BatchDeleteImage), unless an image refers to it
// (fault.LayerInUse). Other repositories keep it.
func (r *Registry) DeleteLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) error {
	if _, err := r.findLayer(ctx, caller, policy.BatchDeleteImage, repository, d); err != nil {
		return err
	}
	return r.store.Update(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		used, err := tx.LayerInUse(ctx, repo.ID, d)
		if err != nil {
			return fmt.Errorf("looking for images of layer %s: %w", d, err)
		}
		if used {
			return fault.New(fault.LayerInUse, "The layer with digest '%s' is referenced by an image in the repository with name '%s'", d, repository)
		}
		return tx.UnlinkLayer(ctx, repo.ID, d, r.now())
	})
}
