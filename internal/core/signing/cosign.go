package signing

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// What cosign calls things (sigstore/cosign: specs/SIGNATURE_SPEC.md, specs/BUNDLE_SPEC.md).
const (
	simpleSigningType   = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	signatureArtifact   = "application/vnd.dev.cosign.artifact.sig.v1+json"
	configType          = "application/vnd.oci.image.config.v1+json"

	bundleType      = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statementType   = "application/vnd.in-toto+json"
	predicateType   = "https://sigstore.dev/cosign/sign/v1"
	emptyConfigType = "application/vnd.oci.empty.v1+json"
	emptyConfig     = "{}"
)

// companion is what cosign tags, beside an image: its signatures, attestations and SBOMs, and the index that
// stands in for a referrers API. They are about an image, and none themselves.
var companion = regexp.MustCompile(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.(sig|att|sbom))?$`)

// signatureTag is where cosign looks for the signatures of an image.
func signatureTag(d oci.Digest) string { return string(d.Algorithm()) + "-" + d.Hex() + ".sig" }

// payload is what a simple signing signature signs: this digest, under this name.
func payload(reference string, d oci.Digest) ([]byte, error) {
	type critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest oci.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	}
	var p struct {
		Critical critical       `json:"critical"`
		Optional map[string]any `json:"optional"`
	}
	p.Critical.Identity.Reference, p.Critical.Image.Digest = reference, d
	p.Critical.Type = "cosign container image signature"
	return json.Marshal(p)
}

// signatureLayer signs a payload, and is the layer that holds it: the signature stands in its annotation.
func signatureLayer(key *ecdsa.PrivateKey, payload []byte) (oci.Descriptor, error) {
	signature, err := sign(key, payload)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("signing: %w", err)
	}
	return oci.Descriptor{
		MediaType: simpleSigningType, Digest: oci.FromBytes(payload), Size: int64(len(payload)),
		Annotations: map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(signature)},
	}, nil
}

// artifact is a manifest on its way into a repository, with the blobs that it names.
type artifact struct {
	manifest []byte
	blobs    [][]byte
}

// imageManifest has the members that we write. The order is that of the image specification.
type imageManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        oci.Descriptor    `json:"config"`
	Layers        []oci.Descriptor  `json:"layers"`
	Subject       oci.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// signatures makes the manifest of signature layers: what cosign 2 looks for under the signature tag, and
// cosign's OCI 1.1 mode among the referrers. The configuration is the image's kind, with the layers as its
// file systems, because cosign reads and extends it as such.
func signatures(subject oci.Descriptor, payload []byte, layers []oci.Descriptor) (artifact, error) {
	type rootFS struct {
		Type    string       `json:"type"`
		DiffIDs []oci.Digest `json:"diff_ids"`
	}
	config := struct {
		Architecture string   `json:"architecture"`
		OS           string   `json:"os"`
		RootFS       rootFS   `json:"rootfs"`
		Config       struct{} `json:"config"`
	}{RootFS: rootFS{Type: "layers"}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest) // not compressed
	}
	rawConfig, err := json.Marshal(config)
	if err != nil {
		return artifact{}, fmt.Errorf("encoding a signature's configuration: %w", err)
	}
	manifest, err := json.Marshal(imageManifest{
		SchemaVersion: 2, MediaType: oci.MediaTypeOCIManifest, ArtifactType: signatureArtifact,
		Config:  oci.Descriptor{MediaType: configType, Digest: oci.FromBytes(rawConfig), Size: int64(len(rawConfig))},
		Layers:  layers,
		Subject: subject,
	})
	if err != nil {
		return artifact{}, fmt.Errorf("encoding a signature's manifest: %w", err)
	}
	return artifact{manifest: manifest, blobs: [][]byte{payload, rawConfig}}, nil
}

// merged gives the layers of a manifest that is under a signature tag with ours after them, and whether there
// is anything to add. It tells false where the manifest is not one of signatures alone, about this subject:
// such a one is not ours to touch.
func merged(existing []byte, subject oci.Digest, ours []oci.Descriptor) (layers []oci.Descriptor, added, ok bool) {
	m, err := oci.ParseManifest(oci.MediaTypeOCIManifest, existing)
	if err != nil || m.Config.MediaType != configType || len(m.Layers) == 0 || len(m.Annotations) > 0 ||
		m.Subject.Digest != "" && m.Subject.Digest != subject {
		return nil, false, false
	}
	for _, l := range m.Layers {
		if l.MediaType != simpleSigningType || l.Annotations[signatureAnnotation] == "" {
			return nil, false, false
		}
	}
	layers = slices.Clone(m.Layers)
	for _, l := range ours {
		same := func(have oci.Descriptor) bool {
			return have.Digest == l.Digest && have.Annotations[signatureAnnotation] == l.Annotations[signatureAnnotation]
		}
		if !slices.ContainsFunc(layers, same) {
			layers, added = append(layers, l), true
		}
	}
	return layers, added || m.Subject.Digest == "", true
}

// bundle makes what cosign 3 looks for among the referrers: a signed in-toto statement about the image, in a
// Sigstore bundle.
func bundle(key *ecdsa.PrivateKey, subject oci.Descriptor) (artifact, error) {
	raw, err := rawBundle(key, subject.Digest)
	if err != nil {
		return artifact{}, fmt.Errorf("making a bundle: %w", err)
	}
	manifest, err := json.Marshal(imageManifest{
		SchemaVersion: 2, MediaType: oci.MediaTypeOCIManifest, ArtifactType: bundleType,
		Config:      oci.Descriptor{MediaType: emptyConfigType, Digest: oci.FromBytes([]byte(emptyConfig)), Size: int64(len(emptyConfig))},
		Layers:      []oci.Descriptor{{MediaType: bundleType, Digest: oci.FromBytes(raw), Size: int64(len(raw))}},
		Subject:     subject,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType},
	})
	if err != nil {
		return artifact{}, fmt.Errorf("encoding a bundle's manifest: %w", err)
	}
	return artifact{manifest: manifest, blobs: [][]byte{raw, []byte(emptyConfig)}}, nil
}

func rawBundle(key *ecdsa.PrivateKey, d oci.Digest) ([]byte, error) {
	type subject struct {
		Digest map[string]string `json:"digest"`
	}
	statement, err := json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     struct{}  `json:"predicate"`
	}{
		Type: "https://in-toto.io/Statement/v1", PredicateType: predicateType,
		Subject: []subject{{map[string]string{string(d.Algorithm()): d.Hex()}}},
	})
	if err != nil {
		return nil, err
	}
	signature, err := sign(key, preAuthentication(statementType, statement))
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	hint := sha256.Sum256(public)
	type object = map[string]any
	return json.Marshal(object{ // []byte becomes base64
		"mediaType":            bundleType,
		"verificationMaterial": object{"publicKey": object{"hint": base64.StdEncoding.EncodeToString(hint[:])}},
		"dsseEnvelope": object{
			"payloadType": statementType,
			"payload":     statement,
			"signatures":  []object{{"sig": signature}},
		},
	})
}

// preAuthentication is what a DSSE envelope signs: the payload, with its type (secure-systems-lab/dsse,
// protocol.md).
func preAuthentication(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}
