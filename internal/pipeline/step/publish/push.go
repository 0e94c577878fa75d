package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// Built is what a build makes: a v1.Image or a v1.ImageIndex.
type Built interface {
	partial.Describable
	remote.Taggable
}

// PushInput says what is pushed.
type PushInput struct {
	Image Built
	Tags  []string // that stay with it
	// Attach, if it is set, is called when the image is there and before any tag names it.
	Attach func(oci.Digest) error
}

// Pushed is what is in the registry then.
type Pushed struct {
	Digest    oci.Digest
	MediaType string
	Size      int64 // bytes of all manifests, configurations and layers, each once
	Tags      []Set
}

// Set is a tag that stays.
type Set struct {
	Tag   string
	There bool // it named the image already
}

// Push brings an image into the repository by its digest, and then has the tags that stay name it. A tag that names another image is not
// touched: the error is a *TagTaken then. What is there already is not sent; the image's tags are looked at before anything is.
func (p *Publisher) Push(ctx context.Context, in PushInput, task *progress.Task) (Pushed, error) {
	hash, err := in.Image.Digest()
	if err != nil {
		return Pushed{}, fmt.Errorf("reading the image that was built: %w", err)
	}
	mediaType, err := in.Image.MediaType()
	if err != nil {
		return Pushed{}, fmt.Errorf("reading the image that was built: %w", err)
	}
	text, err := in.Image.RawManifest()
	if err != nil {
		return Pushed{}, fmt.Errorf("reading the image that was built: %w", err)
	}
	size, err := weigh(in.Image)
	if err != nil {
		return Pushed{}, fmt.Errorf("reading the image that was built: %w", err)
	}
	pushed := Pushed{Digest: oci.Digest(hash.String()), MediaType: string(mediaType), Size: size}
	if _, err := p.free(ctx, pushed.Digest, in.Tags); err != nil {
		return Pushed{}, err
	}
	if err := p.send(ctx, in.Image, pushed, task); err != nil {
		return Pushed{}, err
	}
	if in.Attach != nil {
		if err := in.Attach(pushed.Digest); err != nil {
			return Pushed{}, err
		}
	}
	pushed.Tags, err = p.stay(ctx, shipped.Manifest{Digest: pushed.Digest, MediaType: pushed.MediaType, Raw: string(text)}, in.Tags)
	return pushed, err
}

// send pushes all of an image by digest.
func (p *Publisher) send(ctx context.Context, image Built, pushed Pushed, task *progress.Task) error {
	said := &meter{task: task, now: p.Now, total: pushed.Size}
	err := p.pusher.Retry(ctx, func(pusher *remote.Pusher, repo name.Repository) error {
		return pusher.Push(registry.Metered(ctx, said.attempt()), repo.Digest(pushed.Digest.String()), image)
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return p.pusher.Explain("pushing", "ecr:PutImage", err)
	}
	task.Bytes(pushed.Size, pushed.Size)
	return nil
}

// RetagInput says which image gets which tags.
type RetagInput struct {
	Digest oci.Digest
	Tags   []string // that stay with it
}

// Retag has more tags that stay name an image that is in the repository. The error is a *TagTaken if one names another image, and wraps
// ErrNoImage if it is not there.
func (p *Publisher) Retag(ctx context.Context, in RetagInput) (Pushed, error) {
	m, there, err := p.known.ByDigest(ctx, in.Digest)
	if err != nil {
		return Pushed{}, err //nolint:wrapcheck // explained
	}
	if !there {
		return Pushed{}, fmt.Errorf("%s: %w", in.Digest, ErrNoImage)
	}
	pushed := Pushed{Digest: m.Digest, MediaType: m.MediaType}
	pushed.Tags, err = p.stay(ctx, m, in.Tags)
	return pushed, err
}

// free tells of each tag whether it is there already, and fails if one names another image.
func (p *Publisher) free(ctx context.Context, want oci.Digest, tags []string) (map[string]bool, error) {
	there := map[string]bool{}
	if len(tags) == 0 {
		return there, nil
	}
	found, err := p.known.ByTags(ctx, tags)
	if err != nil {
		return nil, err //nolint:wrapcheck // explained
	}
	for _, tag := range tags {
		has, ok := found[tag]
		if ok && has.Digest != want {
			return nil, &TagTaken{tag, has.Digest, want, false}
		}
		there[tag] = ok
	}
	return there, nil
}

// stay sets tags: it looks whether they are free, sets them, and reads what they have then, since another run may have looked at the same
// moment. Release looks once more.
func (p *Publisher) stay(ctx context.Context, m shipped.Manifest, tags []string) ([]Set, error) {
	there, err := p.free(ctx, m.Digest, tags)
	if err != nil {
		return nil, err
	}
	var set []Set
	wrote := false
	for _, tag := range tags {
		set = append(set, Set{tag, there[tag]})
		if there[tag] {
			continue
		}
		wrote = true
		// In a repository whose tags are immutable the refusal is the answer, and what the tag has then tells the rest.
		if err := p.put(ctx, m, tag); err != nil && !errors.Is(err, ErrImmutable) {
			return nil, err
		}
	}
	if !wrote {
		return set, nil
	}
	return set, p.check(ctx, m.Digest, tags)
}

// weigh adds up all that an image has, each digest once.
func weigh(image Built) (int64, error) {
	w := weighing{seen: map[v1.Hash]bool{}}
	err := w.add(image)
	return w.total, err
}

type weighing struct {
	seen  map[v1.Hash]bool
	total int64
}

func (w *weighing) add(part partial.Describable) error {
	d, err := part.Digest()
	if err != nil {
		return err //nolint:wrapcheck // the caller says what is read
	}
	size, err := part.Size()
	if err != nil {
		return err //nolint:wrapcheck // the caller says what is read
	}
	if w.seen[d] {
		return nil
	}
	w.seen[d] = true
	w.total += size
	switch part := part.(type) {
	case v1.ImageIndex:
		children, err := partial.Manifests(part)
		if err != nil {
			return err //nolint:wrapcheck // the caller says what is read
		}
		for _, child := range children {
			if err := w.add(child); err != nil {
				return err
			}
		}
	case v1.Image:
		config, err := partial.ConfigLayer(part)
		if err != nil {
			return err //nolint:wrapcheck // the caller says what is read
		}
		layers, err := part.Layers()
		if err != nil {
			return err //nolint:wrapcheck // the caller says what is read
		}
		for _, layer := range append(layers, config) {
			if err := w.add(layer); err != nil {
				return err
			}
		}
	}
	return nil
}

// often is how often it is said how far a push is.
const often = 250 * time.Millisecond

// meter says how many bytes went.
type meter struct {
	task  *progress.Task
	now   func() time.Time
	total int64

	mu   sync.Mutex
	last time.Time
}

// attempt begins to count from nothing.
func (m *meter) attempt() func(bytes int64) {
	var done atomic.Int64
	return func(bytes int64) { m.say(done.Add(bytes)) }
}

func (m *meter) say(done int64) {
	m.mu.Lock()
	now := m.now()
	due := now.Sub(m.last) >= often
	if due {
		m.last = now
	}
	m.mu.Unlock()
	if due {
		m.task.Bytes(min(done, m.total), m.total)
	}
}
