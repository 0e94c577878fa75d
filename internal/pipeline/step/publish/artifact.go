package publish

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
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
	m := shipped.Manifest{Digest: d, MediaType: oci.MediaTypeOCIManifest, Raw: string(text)}
	err := p.put(ctx, m, "")
	if !platform.Refused(err, layersMissing) {
		return err
	}
	err = p.retrying(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
		return pusher.Upload(ctx, repo, static.NewLayer([]byte(shipped.Empty), shipped.EmptyType))
	})
	if err != nil {
		return p.explain("pushing an artifact", "ecr:UploadLayerPart", err)
	}
	return p.put(ctx, m, "")
}
