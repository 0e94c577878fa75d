package images

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	maxConfig = 8 << 20
	parallel  = 8 // blobs at a time
)

// Details is all that can be said of an image.
type Details struct {
	Image
	Annotations map[string]string
	Variants    []Variant // the image itself, or those of an index, in its order
	Referrers   []Referrer
	// NotRead says why configurations or referrers are not there; nil where they are.
	NotRead error
}

// Variant is an image for one platform.
type Variant struct {
	Platform  string // such as linux/arm64; empty where it is not known
	Digest    oci.Digest
	MediaType string
	Size      int64 // bytes of configuration and layers
	Missing   bool  // the index names it, and the repository does not have it
	Layers    []Layer
	Config    *Config // nil where it was not read, or is none
	config    oci.Descriptor
}

// Layer is a layer with the instruction that made it, where the image's history says.
type Layer struct {
	Digest    oci.Digest
	MediaType string
	Size      int64
	CreatedBy string
}

// Config is how an image runs.
type Config struct {
	Created     time.Time // zero where it is not said
	Entrypoint  []string
	Cmd         []string
	User        string
	WorkingDir  string
	Env         map[string]string
	Ports       []string
	Volumes     []string
	Labels      map[string]string
	StopSignal  string
	Healthcheck []string
}

// Referrer is something that refers to the image.
type Referrer struct {
	Kind         string // signature, sbom, attestation, deployment, or empty for another artifact
	Digest       oci.Digest
	ArtifactType string
	Size         int64 // of its manifest
	Annotations  map[string]string
	Inside       bool // it is in the index, as BuildKit puts attestations there, rather than refer to it
	Of           oci.Digest
}

// Show looks into an image. The registry counts that as a pull.
func (c *Client) Show(ctx context.Context, ref oci.Reference) (Details, error) {
	found, err := c.Resolve(ctx, ref)
	if err != nil {
		return Details{}, err
	}
	d := Details{Image: found}
	m, err := c.manifest(ctx, found.Digest)
	if err != nil {
		return Details{}, err
	}
	if d.Variants, d.Referrers, d.Annotations, err = c.variants(ctx, m); err != nil {
		return Details{}, err
	}
	d.NotRead = c.distribute(ctx, &d)
	return d, nil
}

// distribute adds what the OCI side has: configurations and referrers.
func (c *Client) distribute(ctx context.Context, d *Details) error {
	if err := c.configure(ctx, d.Variants); err != nil {
		return err
	}
	refer, err := c.Distribution.Referrers(ctx, c.Repository, d.Digest)
	if err != nil {
		return err //nolint:wrapcheck // names the image
	}
	for _, r := range refer {
		d.Referrers = append(d.Referrers, referrer(r, d.Digest))
	}
	return nil
}

func referrer(d v1.Descriptor, of oci.Digest) Referrer {
	return Referrer{
		Kind: kind(d.ArtifactType, d.Annotations), Digest: oci.Digest(d.Digest.String()), ArtifactType: d.ArtifactType, Size: d.Size,
		Annotations: d.Annotations, Of: of,
	}
}

// variants reads a manifest and, of an index, those that it names.
func (c *Client) variants(ctx context.Context, m manifest) (all []Variant, inside []Referrer, annotations map[string]string, err error) {
	parsed, err := oci.ParseManifest(m.mediaType, m.bytes)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the manifest of %s: %w", m.digest, err)
	}
	if !parsed.IsIndex() {
		return []Variant{variant(m, parsed)}, nil, parsed.Annotations, nil
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.bytes))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the manifest of %s: %w", m.digest, err)
	}
	var digests []oci.Digest
	for _, child := range index.Manifests {
		digests = append(digests, oci.Digest(child.Digest.String()))
	}
	read, err := c.manifests(ctx, digests)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, child := range index.Manifests {
		d := oci.Digest(child.Digest.String())
		if child.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			inside = append(inside, Referrer{
				Kind: "attestation", Digest: d, ArtifactType: string(child.MediaType), Size: child.Size, Annotations: child.Annotations,
				Inside: true, Of: oci.Digest(child.Annotations["vnd.docker.reference.digest"]),
			})
			continue
		}
		v := Variant{Digest: d, MediaType: string(child.MediaType), Missing: true}
		if body, ok := read[d]; ok {
			of, err := oci.ParseManifest(body.mediaType, body.bytes)
			if err != nil {
				return nil, nil, nil, fmt.Errorf("reading the manifest of %s: %w", d, err)
			}
			v = variant(body, of)
		}
		v.Platform = platformName(child.Platform)
		all = append(all, v)
	}
	return all, inside, index.Annotations, nil
}

func variant(m manifest, parsed oci.Manifest) Variant {
	v := Variant{Digest: m.digest, MediaType: parsed.MediaType}
	for _, b := range parsed.Blobs() {
		v.Size += b.Size
	}
	for _, l := range parsed.Layers {
		v.Layers = append(v.Layers, Layer{Digest: l.Digest, MediaType: l.MediaType, Size: l.Size})
	}
	if isImageConfig(parsed.Config.MediaType) {
		v.config = parsed.Config
	}
	return v
}

func isImageConfig(mediaType string) bool {
	return mediaType == "application/vnd.oci.image.config.v1+json" || mediaType == "application/vnd.docker.container.image.v1+json"
}

// kinds are words in artifact types and predicate types, and what they say. The first that fits counts.
var kinds = []struct{ word, kind string }{
	{"deployment", "deployment"},
	{"spdx", "sbom"},
	{"cyclonedx", "sbom"},
	{"syft", "sbom"},
	{"cosign/sign", "signature"},
	{"cosign.artifact.sig", "signature"},
	{"notary.signature", "signature"},
	{"slsa.dev/provenance", "attestation"},
	{"in-toto", "attestation"},
	{"attestation", "attestation"},
	{"signature", "signature"},
	{"sbom", "sbom"},
}

// kind tells what an artifact is.
func kind(artifactType string, annotations map[string]string) string {
	said := strings.ToLower(artifactType)
	if predicate := annotations["dev.sigstore.bundle.predicateType"]; predicate != "" {
		said = strings.ToLower(predicate)
	} else if annotations["dev.sigstore.bundle.content"] == "message-signature" {
		return "signature"
	}
	for _, k := range kinds {
		if strings.Contains(said, k.word) {
			return k.kind
		}
	}
	if strings.Contains(artifactType, "sigstore.bundle") {
		return "signature"
	}
	return ""
}

// Platforms are those that the image is for, as far as they are known.
func (d Details) Platforms() []string {
	var all []string
	for _, v := range d.Variants {
		if v.Platform != "" {
			all = append(all, v.Platform)
		}
	}
	return all
}

// For gives the variants for a platform. One without a variant of the processor means all of them: linux/arm is also linux/arm/v7.
func (d Details) For(platform string) []Variant {
	var some []Variant
	for _, v := range d.Variants {
		if v.Platform == platform || strings.HasPrefix(v.Platform, platform+"/") {
			some = append(some, v)
		}
	}
	return some
}
