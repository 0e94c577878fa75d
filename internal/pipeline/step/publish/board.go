package publish

import (
	"context"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// realBoard is the registry.
type realBoard struct {
	publisher *Publisher

	mu   sync.Mutex
	seen map[oci.Digest]shipped.Manifest // manifests never change
	used map[oci.Digest]bool             // boards that somebody has put up
}

func (b *realBoard) remember(m shipped.Manifest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[oci.Digest]shipped.Manifest{}
	}
	b.seen[m.Digest] = m
}

// Tag gives what a tag names.
func (b *realBoard) Tag(ctx context.Context, tag string) (oci.Digest, error) {
	m, there, err := b.publisher.known.ByTag(ctx, tag)
	if there {
		b.remember(m)
	}
	return m.Digest, err //nolint:wrapcheck // explained
}

// Records lists what an image was shipped for.
func (b *realBoard) Records(ctx context.Context, image oci.Digest) ([]shipped.Record, error) {
	return b.publisher.known.Records(ctx, image) //nolint:wrapcheck // explained
}

// Record attaches one.
func (b *realBoard) Record(ctx context.Context, image oci.Digest, r shipped.Record) error {
	m, there, err := b.manifest(ctx, image)
	if err != nil {
		return err
	}
	if !there {
		return ErrNoImage
	}
	subject := oci.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Raw))}
	_, err = b.publisher.pusher.Attach(ctx, artifact.Attachment{Type: shipped.RecordType, Subject: subject, Annotations: r.Annotations()})
	return err
}

// Claims lists what is on a board.
func (b *realBoard) Claims(ctx context.Context, tag string, day time.Time) ([]shipped.Claim, error) {
	claims, err := b.publisher.known.Claims(ctx, tag, day)
	if len(claims) > 0 {
		_, d := shipped.Board(tag, day)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.used == nil {
			b.used = map[oci.Digest]bool{}
		}
		b.used[d] = true
	}
	return claims, err //nolint:wrapcheck // explained
}

// Claim puts one there. The board itself is put up by the day's first run: what refers to something need not wait for it, but a policy that deletes
// it later then deletes all that refers to it.
func (b *realBoard) Claim(ctx context.Context, c shipped.Claim) error {
	raw, d := shipped.Board(c.Tag, c.Written)
	b.mu.Lock()
	used := b.used[d]
	b.mu.Unlock()
	if !used {
		if err := b.publisher.pusher.PutUntagged(ctx, raw); err != nil {
			return err
		}
	}
	subject := oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: d, Size: int64(len(raw))}
	_, err := b.publisher.pusher.Attach(ctx, artifact.Attachment{Type: shipped.ClaimType, Subject: subject, Annotations: c.Annotations()})
	return err
}

// Move puts the image's manifest once more, by the tag.
func (b *realBoard) Move(ctx context.Context, tag string, image oci.Digest) error {
	m, there, err := b.manifest(ctx, image)
	if err != nil {
		return err
	}
	if !there {
		return ErrNoImage
	}
	return b.publisher.put(ctx, m, tag)
}

func (b *realBoard) manifest(ctx context.Context, d oci.Digest) (shipped.Manifest, bool, error) {
	b.mu.Lock()
	m, ok := b.seen[d]
	b.mu.Unlock()
	if ok {
		return m, true, nil
	}
	m, there, err := b.publisher.known.ByDigest(ctx, d)
	if there {
		b.remember(m)
	}
	return m, there, err //nolint:wrapcheck // explained
}
