package signing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxRaces is how often others may move a signature tag meanwhile, within one attempt.
const maxRaces = 5

// attach makes the signatures of an image and puts them into its repository.
func (s *Signer) attach(ctx context.Context, t Task, signing []Status, keys map[string]*ecdsa.PrivateKey) error {
	subject := oci.Descriptor{MediaType: t.MediaType, Digest: t.Digest, Size: t.ManifestSize}
	signed, err := payload(s.host+"/"+t.Repository, t.Digest)
	if err != nil {
		return fmt.Errorf("encoding what is signed: %w", err)
	}
	var layers []oci.Descriptor
	for _, p := range signing {
		l, err := signatureLayer(keys[p.Profile], signed)
		if err != nil {
			return err
		}
		layers = append(layers, l)
	}
	if err := s.putSignatures(ctx, t.Repository, subject, signed, layers); err != nil {
		return err
	}
	for _, p := range signing {
		a, err := bundle(keys[p.Profile], subject)
		if err != nil {
			return err
		}
		if err := s.put(ctx, registry.Push{Repository: t.Repository}, a); err != nil {
			return err
		}
	}
	return nil
}

// putSignatures puts signature layers where cosign looks for them, under the image's signature tag. Where that
// is something that is not ours to touch, or may not move, they become a referrer without a tag.
func (s *Signer) putSignatures(ctx context.Context, repository string, subject oci.Descriptor, payload []byte, ours []oci.Descriptor) error {
	tag := signatureTag(subject.Digest)
	for range maxRaces {
		p, err := s.placeAt(ctx, repository, tag, subject.Digest, ours)
		if err != nil || p.there {
			return err
		}
		a, err := signatures(subject, payload, p.layers)
		if err != nil {
			return err
		}
		err = s.put(ctx, p.push, a)
		if errors.Is(err, fault.TagImmutable) || errors.Is(err, fault.ManifestTooLarge) {
			if a, err = signatures(subject, payload, ours); err == nil {
				err = s.put(ctx, registry.Push{Repository: repository}, a)
			}
		}
		if !errors.Is(err, registry.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("the tag %s of %s moved %d times meanwhile", tag, repository, maxRaces)
}

// place is where signatures are to go.
type place struct {
	there  bool // they are there already
	layers []oci.Descriptor
	push   registry.Push
}

// placeAt looks at what is under a signature tag. It reads the database itself, since it pulls nothing.
func (s *Signer) placeAt(ctx context.Context, repository, tag string, subject oci.Digest, ours []oci.Descriptor) (place, error) {
	untagged := place{layers: ours, push: registry.Push{Repository: repository}}
	if _, err := oci.ParseTag(tag); err != nil { // sha512 and .sig are too long together
		return untagged, nil //nolint:nilerr // an answer
	}
	tagged := registry.Push{Repository: repository, Tags: []string{tag}, TagsFrom: new(oci.Digest)}
	have, err := s.store.Read().ManifestIn(ctx, repository, oci.Reference{Tag: tag})
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return place{layers: ours, push: tagged}, nil
	case err != nil:
		return place{}, fmt.Errorf("looking for the tag %s of %s: %w", tag, repository, err)
	}
	layers, added, ok := merged(have.Manifest, subject, ours)
	if !ok {
		return untagged, nil
	}
	*tagged.TagsFrom = have.Digest
	return place{there: !added, layers: layers, push: tagged}, nil
}

// put stores an artifact: blobs first, then the manifest. What is there already stays.
func (s *Signer) put(ctx context.Context, p registry.Push, a artifact) error {
	for _, b := range a.blobs {
		part := registry.Part{Start: registry.Anywhere, Size: int64(len(b)), Body: bytes.NewReader(b)}
		if _, err := s.registry.PutLayer(ctx, s.self, p.Repository, oci.FromBytes(b), part); err != nil {
			return fmt.Errorf("storing a part of a signature: %w", err)
		}
	}
	p.Manifest, p.MediaType, p.Source = a.manifest, oci.MediaTypeOCIManifest, event.Signing
	if _, err := s.registry.PutImage(ctx, s.self, p); err != nil {
		return fmt.Errorf("storing a signature: %w", err)
	}
	return nil
}
