// Package artifact brings manifests without content of their own into a registry that speaks the OCI distribution API: records, claims
// and attestations that say something of an image.
package artifact

import (
	"context"
	"errors"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// Remote gives the OCI side of a repository; *registry.Client has it.
type Remote interface {
	Remote(ctx context.Context, repository string) (name.Repository, []remote.Option, error)
}

// Pusher pushes to one repository, and again what fails for a reason that passes. It may be used by many goroutines.
type Pusher struct {
	Remote     Remote
	Repository string
}

// raw is a manifest as remote takes it.
type raw []byte

// RawManifest gives the bytes.
func (r raw) RawManifest() ([]byte, error) { return r, nil }

// MediaType is always OCI's.
func (r raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// Put puts an OCI image manifest by its digest, and has a tag name it if one is given. Nearly always the repository has the blob
// that says nothing, so it is sent only if the manifest is refused. The error is the registry's, for Explain to word.
func (p Pusher) Put(ctx context.Context, text []byte, tag string) (oci.Digest, error) {
	d := oci.FromBytes(text)
	put := func(pusher *remote.Pusher, repo name.Repository) error {
		var at name.Reference = repo.Digest(d.String())
		if tag != "" {
			at = repo.Tag(tag)
		}
		return pusher.Put(ctx, at, raw(text)) //nolint:wrapcheck // Explain words it
	}
	err := p.Retry(ctx, put)
	if isMissingBlob(err) {
		err = p.Retry(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
			if err := pusher.Upload(ctx, repo, static.NewLayer([]byte(shipped.Empty), shipped.EmptyType)); err != nil {
				return err //nolint:wrapcheck // Explain words it
			}
			return put(pusher, repo)
		})
	}
	return d, err
}

// isMissingBlob tells whether a manifest was refused for lack of what it refers to.
func isMissingBlob(err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok || refused.StatusCode >= 500 {
		return false
	}
	for _, e := range refused.Errors {
		if e.Code == transport.ManifestBlobUnknownErrorCode || e.Code == transport.BlobUnknownErrorCode || e.Code == transport.ManifestInvalidErrorCode {
			return true
		}
	}
	return false
}
