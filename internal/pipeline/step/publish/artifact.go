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
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// attachment is what is attached to something.
type attachment struct {
	Type        string
	Subject     oci.Descriptor
	Annotations map[string]string
	Content     []byte // nil: it has none
	ContentType string
}

func (a attachment) manifest() ([]byte, error) {
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
func (p *Publisher) attach(ctx context.Context, a attachment) (oci.Digest, error) {
	text, err := a.manifest()
	if err != nil {
		return "", err
	}
	if a.Content != nil {
		err = p.pusher.Retry(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
			return pusher.Upload(ctx, repo, static.NewLayer(a.Content, types.MediaType(a.ContentType)))
		})
		if err != nil {
			return "", p.pusher.Explain("pushing an artifact", "ecr:UploadLayerPart", err) //nolint:wrapcheck // explained
		}
	}
	return oci.FromBytes(text), p.putArtifact(ctx, text)
}

// putArtifact puts a manifest by its digest.
func (p *Publisher) putArtifact(ctx context.Context, text []byte) error {
	if _, err := p.pusher.Put(ctx, text, ""); err != nil {
		return p.pusher.Explain("pushing an artifact", "ecr:PutImage", err) //nolint:wrapcheck // explained
	}
	return nil
}
