package deployment

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Empty is the content of the one blob that a record refers to, as its configuration and as its only layer. It must be in
// the repository before the record.
const Empty = "{}"

// MaxManifest bounds the manifest of a record, in bytes, whatever other annotations it has. All records that lead to what is pinned
// are read at once.
const MaxManifest = 16 << 10

// EmptyDescriptor describes that blob (image-spec, manifest.md, "Guidance for an Empty Descriptor").
func EmptyDescriptor() oci.Descriptor {
	return oci.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: oci.FromBytes([]byte(Empty)), Size: int64(len(Empty))}
}

// The annotations. Other ones may stand beside them, but none that begins with annotationPrefix.
const (
	annotationPrefix      = "vnd.berth.deployment."
	annotationID          = annotationPrefix + "id"
	annotationApp         = annotationPrefix + "app"
	annotationEnvironment = annotationPrefix + "environment"
	annotationAction      = annotationPrefix + "action"
	annotationFrom        = annotationPrefix + "from"
	annotationOutcome     = annotationPrefix + "outcome"
	annotationReason      = annotationPrefix + "reason"
	annotationActor       = annotationPrefix + "actor"
	annotationCommit      = annotationPrefix + "commit"
	annotationPrevious    = annotationPrefix + "previous"
	annotationCreated     = "org.opencontainers.image.created" // the image-spec's own
)

// annotations lists those of a record that are texts, with where they are kept.
func (r *Record) annotations() map[string]*string {
	return map[string]*string{
		annotationID: &r.ID, annotationApp: &r.App, annotationEnvironment: &r.Environment, annotationAction: (*string)(&r.Action), annotationFrom: &r.From,
		annotationOutcome: (*string)(&r.Outcome), annotationReason: &r.Reason, annotationActor: &r.Actor, annotationCommit: &r.Commit,
		annotationPrevious: (*string)(&r.Previous),
	}
}

// Annotations gives the record as annotations, all but its image.
func (r Record) Annotations() map[string]string {
	all := map[string]string{annotationCreated: r.At.UTC().Format(time.RFC3339)}
	for key, value := range r.annotations() {
		if *value != "" {
			all[key] = *value
		}
	}
	return all
}

// Manifest gives the bytes of the record's manifest, or what is wrong with the record, as fault.ManifestInvalid. The same
// record always has the same bytes.
func (r Record) Manifest() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	type manifest struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        oci.Descriptor    `json:"config"`
		Layers        []oci.Descriptor  `json:"layers"`
		Subject       oci.Descriptor    `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}
	empty := EmptyDescriptor()
	raw, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: oci.MediaTypeOCIManifest, ArtifactType: ArtifactType, Config: empty, Layers: []oci.Descriptor{empty}, //nolint:mnd // the spec's
		Subject: oci.Descriptor{MediaType: r.Image.MediaType, Digest: r.Image.Digest, Size: r.Image.Size}, Annotations: r.Annotations(),
	})
	if err != nil {
		return nil, fmt.Errorf("writing a deployment record: %w", err)
	}
	return raw, nil
}

// Is tells whether a manifest says of itself that it is a deployment record.
func Is(m oci.Manifest) bool { return m.ArtifactType == ArtifactType }

// Parse reads a record from its manifest, or answers fault.ManifestInvalid with words that say what is wrong.
func Parse(m oci.Manifest) (Record, error) {
	empty := EmptyDescriptor()
	isEmpty := func(d oci.Descriptor) bool {
		return d.MediaType == empty.MediaType && d.Digest == empty.Digest && d.Size == empty.Size
	}
	switch {
	case m.MediaType != oci.MediaTypeOCIManifest:
		return Record{}, invalid("its media type is %q, not that of an OCI image manifest", clip(m.MediaType))
	case !Is(m):
		return Record{}, invalid("its artifact type is %q, not %s", clip(m.ArtifactType), ArtifactType)
	case !isEmpty(m.Config), len(m.Layers) > 1, len(m.Layers) == 1 && !isEmpty(m.Layers[0]):
		return Record{}, invalid("it has content: its configuration, and its layer if it has one, are to be the empty descriptor")
	}
	r, err := Read(m.Subject.Digest, m.Annotations)
	if err != nil {
		return Record{}, err
	}
	r.Image.MediaType, r.Image.Size = m.Subject.MediaType, m.Subject.Size
	return r, r.Check()
}

// Read is Parse for whoever has a record's subject and annotations alone. Of the image it gives the digest only.
func Read(image oci.Digest, annotations map[string]string) (Record, error) {
	r := Record{Image: oci.Descriptor{Digest: image}}
	known := r.annotations()
	var unknown []string
	for key, value := range annotations {
		at, ok := known[key]
		switch {
		case ok && value == "":
			return Record{}, invalid("its annotation %s is empty", key)
		case ok:
			*at = value
		case strings.HasPrefix(key, annotationPrefix):
			unknown = append(unknown, clip(key))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return Record{}, invalid("it has the annotation %q, which means nothing", unknown[0])
	}
	created, ok := annotations[annotationCreated]
	if !ok {
		return Record{}, invalid("it has no annotation %s", annotationCreated)
	}
	at, err := time.Parse(time.RFC3339, created)
	if err != nil || at.UTC().Format(time.RFC3339) != created {
		return Record{}, invalid("its annotation %s is %q, no time like 2026-11-24T10:00:00Z", annotationCreated, clip(created))
	}
	r.At = at.UTC()
	return r, r.check()
}
