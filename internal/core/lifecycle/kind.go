package lifecycle

import (
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Kind is what a manifest is, so far as its media types tell.
type Kind string

// The kinds. What is none of the others is an image.
const (
	KindImage       Kind = ""
	KindIndex       Kind = "index"
	KindBuildCache  Kind = "build cache"
	KindAttestation Kind = "attestation"
	KindSignature   Kind = "signature"
	KindDeployment  Kind = "deployment record" // Berth's own; no rule that counts takes one for an image
)

// KindOf gives the kind of a manifest. BuildKit writes its cache and its attestations under media types of their own
// (moby/buildkit, cache/remotecache/v1 and exporter/containerimage), cosign and Notation their signatures
// (sigstore/cosign, specs; notaryproject/specifications, signature-specification).
func KindOf(mediaType, artifactType, configMediaType string) Kind {
	if mediaType == oci.MediaTypeOCIIndex || mediaType == oci.MediaTypeDockerList {
		return KindIndex
	}
	for _, t := range []string{artifactType, configMediaType} {
		switch {
		case strings.HasPrefix(t, "application/vnd.buildkit.cacheconfig."):
			return KindBuildCache
		case strings.HasPrefix(t, "application/vnd.docker.attestation."), t == "application/vnd.in-toto+json":
			return KindAttestation
		case strings.HasPrefix(t, "application/vnd.dev.cosign."), strings.HasPrefix(t, "application/vnd.dev.sigstore.bundle"),
			t == "application/vnd.cncf.notary.signature":
			return KindSignature
		case t == deployment.ArtifactType:
			return KindDeployment
		}
	}
	return KindImage
}

// refers tells whether an image belongs to its subject, if that is there. What somebody gave a name of its own is an image for
// itself: deleting the subject leaves it, too.
func (i *Image) refers() bool {
	return i.Subject != "" && i.Subject != i.Digest && !registry.Named(i.Subject, i.Tags)
}

// byProduct is what comes with images and is none for itself.
type byProduct struct {
	is bool
	of *Image // the image of the repository that it is about, by its tags; nil when there is none, or more than one
}

// lookAt tells whether an image is a by-product: by its kind, since it has a subject, since it is an index of no
// images (BuildKit's older cache), or since all its tags are made of another's digest.
func lookAt(images []Image, place int, places map[oci.Digest]int) byProduct {
	img := &images[place]
	p := byProduct{is: img.Subject != ""}
	switch img.Kind {
	case KindBuildCache, KindAttestation, KindSignature, KindDeployment:
		p.is = true
	case KindIndex:
		p.is = p.is || len(img.Children) == 0
	case KindImage:
	}
	var of []oci.Digest
	for _, t := range img.Tags {
		d, ok := oci.CompanionOf(t)
		if !ok {
			return p
		}
		if !slices.Contains(of, d) {
			of = append(of, d)
		}
	}
	if len(of) == 0 {
		return p
	}
	p.is = true
	if at, there := places[of[0]]; there && len(of) == 1 && at != place {
		p.of = &images[at]
	}
	return p
}
