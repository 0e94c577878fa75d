package distribution

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// referrersIndex is the answer of the referrers API: an OCI index that nobody pushed.
type referrersIndex struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     []oci.Descriptor `json:"manifests"`
}

// listReferrers lists the images whose subject is the digest, each with its annotations. A subject that is not
// there may have referrers all the same, and one without any has an empty list.
func (f *face) listReferrers(x *exchange) error {
	q := x.r.URL.Query()
	artifactType, token := q.Get("artifactType"), q.Get("next")
	if err := checkText("artifactType", artifactType); err != nil {
		return err
	}
	page, body, err := f.referrers(x, artifactType, token)
	if err != nil {
		return err
	}
	h := x.w.Header()
	if artifactType != "" {
		h.Set("Oci-Filters-Applied", "artifactType")
	}
	if page.Next != "" {
		next := url.Values{"next": {page.Next}}
		if artifactType != "" {
			next.Set("artifactType", artifactType)
		}
		h.Set("Link", "<"+x.r.URL.Path+"?"+next.Encode()+`>; rel="next"`)
	}
	x.send(http.StatusOK, oci.MediaTypeOCIIndex, body)
	return nil
}

// referrers reads a page that makes an index of at most oci.MaxManifestBytes, which is what clients are ready
// to read, unless a single referrer's annotations are larger still.
func (f *face) referrers(x *exchange, artifactType, token string) (registry.Page[registry.Image], []byte, error) {
	limit := registry.MaxPage
	filter := registry.ReferrerFilter{}
	if artifactType != "" {
		filter.ArtifactTypes = []string{artifactType}
	}
	for {
		page, err := f.pulls.Referrers(x.r.Context(), x.caller, x.req.Name, x.req.Digest, filter, limit, token)
		if err != nil {
			return page, nil, err
		}
		body, err := indexOf(page.Items)
		if err != nil {
			return page, nil, err
		}
		n := len(page.Items)
		if len(body) <= oci.MaxManifestBytes || n <= 1 {
			return page, body, nil
		}
		limit = n / 2
	}
}

func indexOf(images []registry.Image) ([]byte, error) {
	index := referrersIndex{SchemaVersion: 2, MediaType: oci.MediaTypeOCIIndex, Manifests: make([]oci.Descriptor, 0, len(images))}
	for _, img := range images {
		index.Manifests = append(index.Manifests, oci.Descriptor{
			MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize,
			ArtifactType: img.ArtifactType, Annotations: img.Annotations,
		})
	}
	body, err := json.Marshal(index)
	if err != nil {
		return nil, fmt.Errorf("writing an index of referrers: %w", err)
	}
	return body, nil
}
