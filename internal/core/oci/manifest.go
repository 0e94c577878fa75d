package oci

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// MaxManifestBytes bounds a manifest: the distribution spec asks for at least 4 MiB, ECR takes no more.
const MaxManifestBytes = 4 << 20

// MaxDescriptors bounds what one manifest may point to. Images have tens of layers and indexes tens of
// images; four megabytes have room for a hundred times what anybody means.
const MaxDescriptors = 10_000

// Media types of manifests.
const (
	MediaTypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Descriptor points to content (image-spec, descriptor.md).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// NonDistributable tells a layer that its publisher forbids to push; a registry must not ask for its bytes.
func (d Descriptor) NonDistributable() bool {
	return strings.HasPrefix(d.MediaType, "application/vnd.oci.image.layer.nondistributable.") ||
		strings.HasPrefix(d.MediaType, "application/vnd.docker.image.rootfs.foreign.")
}

// Manifest is a reading of an image manifest or of an index; the other kind's fields are empty.
type Manifest struct {
	MediaType    string
	ArtifactType string // as stated, or an image manifest's config media type where it stands for it
	Config       Descriptor
	Layers       []Descriptor
	Children     []Descriptor // an index's manifests
	Subject      Descriptor   // zero when there is none
	Annotations  map[string]string
}

// IsIndex tells an index (or docker's manifest list) from an image manifest.
func (m Manifest) IsIndex() bool { return IsIndexType(m.MediaType) }

// Blobs lists the blobs that must be in the repository before the manifest: config and layers, each digest
// once, without those that are not distributable.
func (m Manifest) Blobs() []Descriptor {
	if m.IsIndex() {
		return nil
	}
	seen := map[Digest]bool{m.Config.Digest: true}
	blobs := []Descriptor{m.Config}
	for _, l := range m.Layers {
		if !seen[l.Digest] && !l.NonDistributable() {
			seen[l.Digest] = true
			blobs = append(blobs, l)
		}
	}
	return blobs
}

// wireManifest has the members of both kinds, so that a body is decoded once.
type wireManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *Descriptor       `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     *[]Descriptor     `json:"manifests"`
	Subject       *Descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
}

// ParseManifest reads a manifest. The media type is the one the client declared (a Content-Type without
// parameters, ECR's imageManifestMediaType), or empty; the body's own mediaType must agree with it.
//
// It answers fault.ManifestTooLarge, fault.ManifestNotJSON, fault.ManifestTypeUnsupported or
// fault.ManifestInvalid, with words that say what is wrong.
func ParseManifest(mediaType string, raw []byte) (Manifest, error) {
	if len(raw) > MaxManifestBytes {
		return Manifest{}, fault.New(fault.ManifestTooLarge, "manifest is larger than %d bytes", MaxManifestBytes)
	}
	w, err := decodeManifest(raw)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{ArtifactType: w.ArtifactType, Annotations: w.Annotations}
	if m.MediaType, err = settleMediaType(mediaType, w); err != nil {
		return Manifest{}, err
	}
	if w.SchemaVersion != 2 {
		return Manifest{}, fault.New(fault.ManifestInvalid, "manifest has schemaVersion %d, not 2", w.SchemaVersion)
	}
	if n := len(w.Layers); n > MaxDescriptors || w.Manifests != nil && len(*w.Manifests) > MaxDescriptors {
		return Manifest{}, fault.New(fault.ManifestInvalid, "manifest points to more than %d layers or images", MaxDescriptors)
	}
	if m.IsIndex() {
		err = m.readIndex(w)
	} else {
		err = m.readImage(w)
	}
	if err == nil && w.Subject != nil {
		m.Subject = *w.Subject
		err = checkDescriptor("subject", *w.Subject)
	}
	if err == nil {
		err = checkArtifactType(m.ArtifactType)
	}
	if err == nil {
		err = checkArtifactType(m.Config.MediaType)
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

func decodeManifest(raw []byte) (wireManifest, error) {
	var w wireManifest
	// JSON is UTF-8 (RFC 8259 §8.1). Go reads over bytes that are not, and no API that carries a manifest in a
	// string could hand it back as it came.
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return w, fault.New(fault.ManifestNotJSON, "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return w, fault.Wrap(fault.ManifestInvalid, err, "manifest is JSON of another shape than a manifest's")
	}
	return w, refuseAmbiguity(raw)
}

func settleMediaType(declared string, w wireManifest) (string, error) {
	if w.FSLayers != nil {
		return "", fault.New(fault.ManifestTypeUnsupported, "docker's manifest schema 1 is not supported: push it again with a docker of this decade")
	}
	mt := w.MediaType
	switch {
	case mt == "" && declared != "":
		mt = declared
	case mt == "" && w.Manifests != nil:
		mt = MediaTypeOCIIndex
	case mt == "":
		mt = MediaTypeOCIManifest
	case declared != "" && declared != mt:
		return "", fault.New(fault.ManifestInvalid, "manifest says it is %s, but was sent as %s", clip(mt), clip(declared))
	}
	if !IsManifestType(mt) {
		return "", fault.New(fault.ManifestTypeUnsupported, "manifest media type %q is not supported", clip(mt))
	}
	return mt, nil
}

// ManifestTypes are the media types of manifests.
func ManifestTypes() []string {
	return []string{MediaTypeOCIManifest, MediaTypeOCIIndex, MediaTypeDockerManifest, MediaTypeDockerList}
}

// IsManifestType tells the media types of manifests from those of everything else.
func IsManifestType(mt string) bool { return slices.Contains(ManifestTypes(), mt) }

// IsIndexType tells the media types of indexes from those of images and of everything else.
func IsIndexType(mt string) bool { return mt == MediaTypeOCIIndex || mt == MediaTypeDockerList }

func (m *Manifest) readImage(w wireManifest) error {
	if w.Manifests != nil {
		return fault.New(fault.ManifestInvalid, "an image manifest must not have a list of manifests")
	}
	if w.Config == nil {
		return fault.New(fault.ManifestInvalid, "manifest has no config")
	}
	m.Config, m.Layers = *w.Config, w.Layers
	if err := checkDescriptor("config", m.Config); err != nil {
		return err
	}
	for _, l := range m.Layers {
		if err := checkDescriptor("layer", l); err != nil {
			return err
		}
	}
	if m.ArtifactType == "" {
		// distribution-spec "Listing Referrers": the config's media type stands in for a missing artifactType.
		m.ArtifactType = m.Config.MediaType
	}
	return nil
}

func (m *Manifest) readIndex(w wireManifest) error {
	if w.Config != nil || w.Layers != nil {
		return fault.New(fault.ManifestInvalid, "an index must not have a config or layers")
	}
	if w.Manifests == nil {
		return fault.New(fault.ManifestInvalid, "index has no list of manifests")
	}
	m.Children = *w.Manifests
	for _, c := range m.Children {
		if err := checkDescriptor("manifest", c); err != nil {
			return err
		}
	}
	return nil
}

func checkDescriptor(what string, d Descriptor) error {
	if _, err := ParseDigest(string(d.Digest)); err != nil {
		return fault.Wrap(fault.ManifestInvalid, err, "the descriptor of a %s has the invalid digest %q", what, clip(string(d.Digest)))
	}
	if d.Size < 0 {
		return fault.New(fault.ManifestInvalid, "the descriptor of %s %s has a negative size", what, d.Digest)
	}
	return nil
}

// checkArtifactType holds the type that images are listed by to what a media type can be: 127 characters on
// either side of the slash (RFC 6838 §4.2), none of them a control character.
func checkArtifactType(s string) error {
	const most = 255
	if len(s) > most {
		return fault.New(fault.ManifestInvalid, "the artifact type %q has more than %d bytes", clip(s), most)
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return fault.New(fault.ManifestInvalid, "the artifact type %q has control characters", s)
	}
	return nil
}
