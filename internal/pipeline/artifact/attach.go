package artifact

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

// Attachment is an artifact that refers to something.
type Attachment struct {
	Type        string
	Subject     oci.Descriptor
	Annotations map[string]string
	Content     []byte // nil: it has none
	ContentType string
}

// Manifest is what is pushed last of it. The same attachment has the same one.
func (a Attachment) Manifest() ([]byte, error) {
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

// Attach pushes one, and gives its digest. What is there already stays as it is. The error says what it was about.
func (p Pusher) Attach(ctx context.Context, a Attachment) (oci.Digest, error) {
	text, err := a.Manifest()
	if err != nil {
		return "", err
	}
	if a.Content != nil {
		err = p.Retry(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
			return pusher.Upload(ctx, repo, static.NewLayer(a.Content, types.MediaType(a.ContentType))) //nolint:wrapcheck // Explain words it
		})
		if err != nil {
			return "", p.Explain("pushing an artifact", "ecr:UploadLayerPart", err)
		}
	}
	return oci.FromBytes(text), p.PutUntagged(ctx, text)
}

// PutUntagged puts a manifest by its digest. The error says what it was about.
func (p Pusher) PutUntagged(ctx context.Context, text []byte) error {
	if _, err := p.Put(ctx, text, ""); err != nil {
		return p.Explain("pushing an artifact", "ecr:PutImage", err)
	}
	return nil
}

// Subject describes an image of the repository as what is attached to it does.
func (p Pusher) Subject(ctx context.Context, image oci.Digest) (oci.Descriptor, error) {
	repo, options, err := p.Remote.Remote(ctx, p.Repository)
	if err != nil {
		return oci.Descriptor{}, err //nolint:wrapcheck // says what it was about
	}
	found, err := remote.Head(repo.Digest(image.String()), append(options, remote.WithContext(ctx))...)
	if err != nil {
		return oci.Descriptor{}, p.Explain("looking for the image", "ecr:BatchGetImage", err)
	}
	return oci.Descriptor{MediaType: string(found.MediaType), Digest: image, Size: found.Size}, nil
}
