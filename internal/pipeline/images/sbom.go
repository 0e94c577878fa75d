package images

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// SBOM gives the document of the first SBOM attached to an image that is in a format, spdx or cyclonedx, in JSON: bare, or out of the
// statement that it is the predicate of. The error is ErrNoSBOM where there is none.
func (c *Client) SBOM(ctx context.Context, d oci.Digest, format string) ([]byte, error) {
	attached, err := c.Distribution.Referrers(ctx, c.Repository, d)
	if err != nil {
		return nil, fmt.Errorf("asking what is attached to it: %w", err)
	}
	for _, a := range attached {
		r := referrer(a, d)
		if r.Kind != "sbom" && r.Kind != "attestation" {
			continue
		}
		texts, err := c.texts(ctx, r.Digest)
		if err != nil && r.Kind == "sbom" {
			return nil, fmt.Errorf("reading %s, which is attached to it: %w", r.Digest.Short(), err)
		}
		for _, text := range texts {
			if document := inFormat(text, format); document != nil {
				return document, nil
			}
		}
	}
	return nil, ErrNoSBOM
}

// Layers reads the layers of an artifact, each of a bounded size.
func (c *Client) Layers(ctx context.Context, d oci.Digest) ([][]byte, error) { return c.texts(ctx, d) }

// texts reads the layers of an artifact.
func (c *Client) texts(ctx context.Context, d oci.Digest) ([][]byte, error) {
	m, err := c.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	parsed, err := oci.ParseManifest(m.mediaType, m.bytes)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what is wrong with it
	}
	var all [][]byte
	for _, l := range parsed.Layers {
		text, err := c.Distribution.Blob(ctx, c.Repository, l.Digest, maxSBOM)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the blob
		}
		all = append(all, text)
	}
	return all, nil
}

// inFormat gives the document if it is in that format.
func inFormat(text []byte, format string) []byte {
	var of struct {
		SPDX      string          `json:"spdxVersion"`
		BOMFormat string          `json:"bomFormat"`
		Predicate json.RawMessage `json:"predicate"`
	}
	switch err := json.Unmarshal(text, &of); {
	case err != nil:
		return nil
	case format == "spdx" && of.SPDX != "", format == "cyclonedx" && of.BOMFormat == "CycloneDX":
		return text
	case len(of.Predicate) > 0 && of.SPDX == "" && of.BOMFormat == "":
		return inFormat(of.Predicate, format)
	}
	return nil
}
