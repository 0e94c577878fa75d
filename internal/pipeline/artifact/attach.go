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

// Attach pushes a document as an artifact that refers to an image; the document's media type is the artifact's type. It gives the
// artifact's digest. The error says what it was about.
func (p Pusher) Attach(ctx context.Context, image oci.Digest, mediaType string, content []byte) (oci.Digest, error) {
	repo, options, err := p.Remote.Remote(ctx, p.Repository)
	if err != nil {
		return "", err //nolint:wrapcheck // says what it was about
	}
	found, err := remote.Head(repo.Digest(image.String()), append(options, remote.WithContext(ctx))...)
	if err != nil {
		return "", p.Explain("looking for the image", "ecr:BatchGetImage", err)
	}
	subject := oci.Descriptor{MediaType: string(found.MediaType), Digest: image, Size: found.Size}
	text, err := json.Marshal(struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		ArtifactType  string           `json:"artifactType"`
		Config        oci.Descriptor   `json:"config"`
		Layers        []oci.Descriptor `json:"layers"`
		Subject       oci.Descriptor   `json:"subject"`
	}{
		2, oci.MediaTypeOCIManifest, mediaType,
		oci.Descriptor{MediaType: shipped.EmptyType, Digest: oci.FromBytes([]byte(shipped.Empty)), Size: int64(len(shipped.Empty))},
		[]oci.Descriptor{{MediaType: mediaType, Digest: oci.FromBytes(content), Size: int64(len(content))}},
		subject,
	})
	if err != nil {
		return "", fmt.Errorf("encoding a manifest: %w", err)
	}
	err = p.Retry(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
		return pusher.Upload(ctx, repo, static.NewLayer(content, types.MediaType(mediaType))) //nolint:wrapcheck // Explain words it
	})
	if err != nil {
		return "", p.Explain("pushing a document", "ecr:UploadLayerPart", err)
	}
	d, err := p.Put(ctx, text, "")
	if err != nil {
		return "", p.Explain("pushing a document", "ecr:PutImage", err)
	}
	return d, nil
}
