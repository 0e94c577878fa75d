package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// Media types of SBOMs.
const (
	SPDXType      = "application/spdx+json"
	CycloneDXType = "application/vnd.cyclonedx+json"
)

// MaxSBOM is how large one may be, in bytes.
const MaxSBOM = 32 << 20

// ErrNoSBOM says that a file is no SBOM of a format that is known.
var ErrNoSBOM = errors.New("neither SPDX nor CycloneDX in JSON")

// SBOMType tells an SBOM's media type by what it says.
func SBOMType(text []byte) (string, error) {
	if len(text) > MaxSBOM {
		return "", fmt.Errorf("the SBOM has %d bytes, and at most %d are attached", len(text), MaxSBOM)
	}
	var said struct {
		SPDX    string `json:"spdxVersion"`
		Format  string `json:"bomFormat"`
		Context any    `json:"@context"` // SPDX 3
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return "", fmt.Errorf("the SBOM is %w: %w", ErrNoSBOM, err)
	}
	context, _ := said.Context.(string)
	switch {
	case strings.HasPrefix(said.SPDX, "SPDX-"), strings.HasPrefix(context, "https://spdx.org/rdf/"):
		return SPDXType, nil
	case said.Format == "CycloneDX":
		return CycloneDXType, nil
	default:
		return "", fmt.Errorf("the SBOM is %w", ErrNoSBOM)
	}
}

// AttachSBOM attaches an SBOM to an image. The same one is attached once.
func (p *Publisher) AttachSBOM(ctx context.Context, image oci.Digest, text []byte) (Attached, error) {
	mediaType, err := SBOMType(text)
	if err != nil {
		return Attached{}, err
	}
	subject, err := p.subject(ctx, image)
	if err != nil {
		return Attached{}, err
	}
	a := artifact.Attachment{Type: mediaType, Subject: subject, Content: text, ContentType: mediaType}
	manifest, err := a.Manifest()
	if err != nil {
		return Attached{}, err
	}
	d := oci.FromBytes(manifest)
	there, err := p.known.Attached(ctx, image, mediaType)
	if err != nil {
		return Attached{}, err //nolint:wrapcheck // explained
	}
	if slices.ContainsFunc(there, func(a shipped.Attached) bool { return a.Digest == d }) {
		return Attached{d, mediaType, true}, nil
	}
	_, err = p.pusher.Attach(ctx, a)
	return Attached{d, mediaType, false}, err
}
