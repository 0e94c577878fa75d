package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Image is registry.Image. It alone moves the last pull time, so it does so for clients only.
func (c *Cache) Image(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (registry.Image, error) {
	if err := c.bring(ctx, caller, repository, ref); err != nil {
		return registry.Image{}, err
	}
	return c.registry.Image(ctx, caller, repository, ref)
}

// StatImage is registry.StatImage. It fetches the manifest too: whoever asks what a tag names goes on to pull that
// by its digest, and the tag would never be stored.
func (c *Cache) StatImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (registry.Image, error) {
	if err := c.bring(ctx, caller, repository, ref); err != nil {
		return registry.Image{}, err
	}
	return c.registry.StatImage(ctx, caller, repository, ref)
}

// PullImages is registry.PullImages. An image that cannot be had from upstream fails by itself.
func (c *Cache) PullImages(ctx context.Context, caller identity.Caller, repository string, ids []registry.ImageID) ([]registry.ImageResult, error) {
	if _, ok, err := c.origin(ctx, repository); err != nil {
		return nil, err
	} else if !ok {
		return c.registry.PullImages(ctx, caller, repository, ids)
	}
	failed := make([]error, len(ids))
	var first error
	for i, id := range ids {
		ref := oci.Reference{Tag: id.Tag}
		if id.Tag == "" {
			d, err := oci.ParseDigest(id.Digest)
			if err != nil {
				continue // the registry has the words for it
			}
			ref.Digest = d
		} else if _, err := oci.ParseTag(id.Tag); err != nil {
			continue
		}
		err := c.bring(ctx, caller, repository, ref)
		if _, isFault := fault.Of(err); err != nil && !isFault {
			return nil, err
		}
		if absent(err) {
			continue
		}
		failed[i] = err
		if first == nil {
			first = err
		}
	}
	results, err := c.registry.PullImages(ctx, caller, repository, ids)
	if errors.Is(err, fault.RepositoryNotFound) && first != nil {
		return nil, first
	}
	for i := range results {
		if failed[i] != nil && errors.Is(results[i].Err, fault.ImageNotFound) {
			results[i].Err = failed[i]
		}
	}
	return results, err
}

// bring sees to it that what a reference names is here, and that a tag is not older than its rule lets it be. nil
// means that the registry may answer with what it has.
func (c *Cache) bring(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) error {
	from, ok, err := c.origin(ctx, repository)
	if err != nil || !ok {
		return err
	}
	stored, missing := c.registry.StatImage(ctx, caller, repository, ref)
	switch {
	case missing == nil:
		old, err := c.tooOld(ctx, from, ref, stored.Digest)
		if err != nil || !old {
			return err
		}
	case !absent(missing):
		return missing
	}
	at, noSecret := c.endpoint(from.rule)
	if missing == nil && (noSecret != nil || !c.worthAsking(at.URL)) {
		return nil //nolint:nilerr // what is here will do
	}
	// Who may not import learns what is here and nothing else, in ECR's way.
	if denied := c.registry.MayImport(ctx, caller, repository); denied != nil {
		if errors.Is(denied, fault.AccessDenied) {
			return missing
		}
		return denied
	}
	if noSecret != nil {
		return secretGone(noSecret)
	}
	f := c.fly(repository+"@"+ref.String(), func(ctx context.Context) error {
		err := c.importImage(ctx, at, from, ref)
		c.tellFailure(ctx, from, ref, err)
		return err
	})
	return c.land(ctx, f, from, missing)
}

// land waits for a flight: longer where nothing is stored, and without caring for its outcome where something is.
func (c *Cache) land(ctx context.Context, f *flight, from origin, missing error) error {
	if missing != nil {
		err := f.wait(ctx)
		if absent(err) {
			return missing
		}
		return err
	}
	short, cancel := context.WithTimeout(ctx, shortPatience)
	defer cancel()
	if err := f.wait(short); err != nil && ctx.Err() == nil && !absent(err) {
		c.log.LogAttrs(ctx, slog.LevelWarn, "an upstream registry did not say what is new: serving what is stored",
			slog.String("repository", from.repository), slog.String("upstream", from.rule.Upstream), slog.Any("error", err))
	}
	return ctx.Err()
}

// absent tells whether an error says that something is not there, be it here or upstream.
func absent(err error) bool {
	return errors.Is(err, fault.ImageNotFound) || errors.Is(err, fault.RepositoryNotFound) || errors.Is(err, fault.LayerNotFound) ||
		errors.Is(err, fault.LayerDamaged) // which a fetch heals
}

// secretGone words what a pull makes of a rule whose secret left the configuration.
func secretGone(err error) error {
	return fault.Wrap(fault.UpstreamDenied, err, "The upstream registry cannot be asked: %v", err)
}

// tooOld tells whether the upstream should be asked what a tag names now. A digest never grows old, and what was
// pushed here is nobody else's to move.
func (c *Cache) tooOld(ctx context.Context, from origin, ref oci.Reference, stored oci.Digest) (bool, error) {
	if ref.Tag == "" {
		return false, nil
	}
	check, err := c.store.Checked(ctx, from.repository, ref.Tag)
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading when %s:%s was checked: %w", from.repository, ref.Tag, err)
	}
	return check.Digest == stored && c.now().Sub(check.At) >= from.rule.TTL, nil
}

// importImage gets what a reference names upstream and stores it, unless it is here and as new as there.
func (c *Cache) importImage(ctx context.Context, at Endpoint, from origin, ref oci.Reference) error {
	// Another flight may have landed since whoever wanted this one looked.
	stored, err := c.registry.StatImage(ctx, c.self, from.repository, ref)
	switch {
	case err == nil:
		old, err := c.tooOld(ctx, from, ref, stored.Digest)
		if err != nil || !old {
			return err
		}
		if same, err := c.unchanged(ctx, at, from, ref, stored.Digest); same || err != nil {
			return err
		}
	case !absent(err):
		return err
	}
	found, err := c.fetchManifest(ctx, at, from, ref)
	if err != nil {
		return err
	}
	kept := found.Digest
	err = c.keep(ctx, from, found, ref.Tag, stored.Digest)
	switch {
	case errors.Is(err, fault.TagImmutable):
		kept, err = stored.Digest, nil // the repository says that its tags stay, so the stored one does
	case errors.Is(err, registry.ErrConflict):
		return nil // somebody set or removed the tag while the upstream answered, and it is the repository's
	}
	if err != nil || ref.Tag == "" {
		return err
	}
	if kept == found.Digest {
		c.tell(ctx, from, ref, event.Event{Digest: kept, MediaType: found.MediaType})
	}
	return c.checked(ctx, from, ref.Tag, kept)
}

// unchanged asks upstream by HEAD whether a tag still names what is stored. A tag that is gone there stays here.
func (c *Cache) unchanged(ctx context.Context, at Endpoint, from origin, ref oci.Reference, stored oci.Digest) (bool, error) {
	var found Found
	err := c.ask(at, func() (err error) {
		found, err = c.upstream.Head(ctx, at, from.name, ref)
		return err
	})
	switch {
	case absent(err), err == nil && found.Digest == stored:
		return true, c.checked(ctx, from, ref.Tag, stored)
	default:
		return false, err
	}
}

func (c *Cache) checked(ctx context.Context, from origin, name string, d oci.Digest) error {
	if err := c.store.SetChecked(ctx, from.repository, name, Check{Digest: d, At: c.now()}); err != nil {
		return fmt.Errorf("noting that %s:%s was checked: %w", from.repository, name, err)
	}
	return nil
}

// fetchManifest gets a manifest and makes sure that it is what was asked for.
func (c *Cache) fetchManifest(ctx context.Context, at Endpoint, from origin, ref oci.Reference) (Found, error) {
	var found Found
	err := c.ask(at, func() (err error) {
		found, err = c.upstream.Manifest(ctx, at, from.name, ref)
		return err
	})
	if err != nil {
		return Found{}, err
	}
	want := ref.Digest
	if want == "" {
		want = found.Digest
	}
	if want == "" {
		want = oci.FromBytes(found.Body)
	}
	if !want.Matches(found.Body) {
		return Found{}, fault.Wrap(fault.UpstreamUnavailable, errUnusable, "The upstream registry %s sent a manifest for %s that is not %s", at.URL, ref, want)
	}
	found.Digest = want
	return found, nil
}

// errUnusable is behind the fault of a manifest that came and is none.
var errUnusable = errors.New("it cannot be stored")

// keep stores a manifest in a repository that is made when it is needed: under no tag, or under one that must name was
// still, or nothing where was is empty. Otherwise it answers registry.ErrConflict.
func (c *Cache) keep(ctx context.Context, from origin, found Found, tag string, was oci.Digest) error {
	push := registry.Push{
		Repository: from.repository, Manifest: found.Body, MediaType: found.MediaType, Digest: found.Digest, Source: event.PullThrough,
	}
	if tag != "" {
		push.Tags, push.TagsFrom = []string{tag}, &was
	}
	_, err := c.registry.PutImage(ctx, c.self, push)
	if errors.Is(err, fault.RepositoryNotFound) {
		if _, err := c.registry.EnsureRepository(ctx, c.self, from.repository, registry.ForPullThrough); err != nil {
			return err
		}
		_, err = c.registry.PutImage(ctx, c.self, push)
	}
	for _, code := range []fault.Code{fault.ManifestInvalid, fault.ManifestNotJSON, fault.ManifestTooLarge, fault.ManifestTypeUnsupported} {
		if errors.Is(err, code) {
			return fault.Wrap(fault.UpstreamUnavailable, errUnusable, "The upstream registry %s sent a manifest that cannot be stored: %v", from.rule.Upstream, err)
		}
	}
	return err
}
