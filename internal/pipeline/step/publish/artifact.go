package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// artifact is what is attached to something.
type artifact struct {
	Type        string
	Subject     oci.Descriptor
	Annotations map[string]string
	Content     []byte // nil: it has none
	ContentType string
}

// raw is a manifest as remote takes it.
type raw []byte

// RawManifest gives the bytes.
func (r raw) RawManifest() ([]byte, error) { return r, nil }

// MediaType is always OCI's.
func (r raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (a artifact) manifest() ([]byte, error) {
	empty := oci.Descriptor{MediaType: shipped.EmptyType, Digest: oci.FromBytes([]byte(shipped.Empty)), Size: int64(len(shipped.Empty))}
	content := empty
	if a.Content != nil {
		content = oci.Descriptor{MediaType: a.ContentType, Digest: oci.FromBytes(a.Content), Size: int64(len(a.Content))}
	}
	text, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        oci.Descriptor    `json:"config"`
		Layers        []oci.Descriptor  `json:"layers"`
		Subject       oci.Descriptor    `json:"subject"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}{2, oci.MediaTypeOCIManifest, a.Type, empty, []oci.Descriptor{content}, a.Subject, a.Annotations})
	if err != nil {
		return nil, fmt.Errorf("making a manifest: %w", err)
	}
	return text, nil
}

// attach pushes an artifact. What is there already stays as it is.
func (p *Publisher) attach(ctx context.Context, a artifact) (oci.Digest, error) {
	text, err := a.manifest()
	if err != nil {
		return "", err
	}
	d := oci.FromBytes(text)
	if a.Content != nil {
		err = p.retrying(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
			return pusher.Upload(ctx, repo, static.NewLayer(a.Content, types.MediaType(a.ContentType)))
		})
		if err != nil {
			return "", p.explain("pushing an artifact", "ecr:UploadLayerPart", err)
		}
	}
	return d, p.putArtifact(ctx, text, d)
}

// putArtifact puts a manifest by its digest. Nearly always the repository has the blob that says nothing, so it is sent only if that is refused.
func (p *Publisher) putArtifact(ctx context.Context, text []byte, d oci.Digest) error {
	put := func(pusher *remote.Pusher, repo name.Repository) error {
		return pusher.Put(ctx, repo.Digest(d.String()), raw(text))
	}
	err := p.retrying(ctx, put)
	if isMissingBlob(err) {
		err = p.retrying(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
			if err := pusher.Upload(ctx, repo, static.NewLayer([]byte(shipped.Empty), shipped.EmptyType)); err != nil {
				return err //nolint:wrapcheck // explained below
			}
			return put(pusher, repo)
		})
	}
	if err != nil {
		return p.explain("pushing an artifact", "ecr:PutImage", err)
	}
	return nil
}

// isMissingBlob tells whether a manifest was refused for lack of what it refers to.
func isMissingBlob(err error) bool {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok || refused.StatusCode >= 500 {
		return false
	}
	for _, e := range refused.Errors {
		switch e.Code {
		case transport.ManifestBlobUnknownErrorCode, transport.BlobUnknownErrorCode, transport.ManifestInvalidErrorCode:
			return true
		}
	}
	return false
}
