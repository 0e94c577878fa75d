package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxReferrers bounds how many referrers of one image come along. Who pushes to an upstream decides how many
// there are.
const maxReferrers = 100

// Referrers is registry.Referrers. Those that the upstream has are fetched before, as often as a tag would be
// looked at.
func (c *Cache) Referrers(ctx context.Context, caller identity.Caller, repository string, subject oci.Digest, filter registry.ReferrerFilter, limit int, token string) (registry.Page[registry.Image], error) {
	if token == "" {
		if err := c.bringReferrers(ctx, caller, repository, subject); err != nil {
			return registry.Page[registry.Image]{}, err
		}
	}
	return c.registry.Referrers(ctx, caller, repository, subject, filter, limit, token)
}

// bringReferrers fetches what refers to an image that came from upstream. Where the subject itself is not here
// nothing is fetched: a question about a digest makes no repository.
func (c *Cache) bringReferrers(ctx context.Context, caller identity.Caller, repository string, subject oci.Digest) error {
	from, ok, err := c.origin(ctx, repository)
	if err != nil || !ok {
		return err
	}
	if _, err := c.registry.StatImage(ctx, caller, repository, oci.Reference{Digest: subject}); err != nil {
		if absent(err) {
			return nil
		}
		return err
	}
	var unknown error // what to say where the upstream was never asked
	switch check, err := c.store.Checked(ctx, repository, subject.String()); {
	case errors.Is(err, registry.ErrNoRow):
		unknown = fault.New(fault.ImageNotFound, "Requested image not found")
	case err != nil:
		return fmt.Errorf("reading when the referrers of %s were checked: %w", subject, err)
	case c.now().Sub(check.At) < from.rule.TTL:
		return nil
	}
	at, noSecret := c.endpoint(from.rule)
	if c.registry.MayImport(ctx, caller, repository) != nil || unknown == nil && (noSecret != nil || !c.worthAsking(at.URL)) {
		return nil //nolint:nilerr // what is here will do
	}
	if noSecret != nil {
		return secretGone(noSecret)
	}
	f := c.fly(repository+"@referrers:"+subject.String(), func(ctx context.Context) error {
		return c.importReferrers(ctx, at, from, subject)
	})
	if err := c.land(ctx, f, from, unknown); !absent(err) {
		return err
	}
	return nil
}

func (c *Cache) importReferrers(ctx context.Context, at Endpoint, from origin, subject oci.Digest) error {
	var list []oci.Descriptor
	err := c.ask(at, func() (err error) {
		list, err = c.upstream.Referrers(ctx, at, from.name, subject)
		return err
	})
	if err != nil && !absent(err) {
		return err
	}
	for _, d := range list[:min(len(list), maxReferrers)] {
		ref := oci.Reference{Digest: d.Digest}
		err := c.importImage(ctx, at, from, ref)
		if errors.Is(err, errUnusable) { // who pushed it there is not to hide all others here
			c.log.LogAttrs(ctx, slog.LevelWarn, "a referrer did not come from upstream", slog.String("repository", from.repository),
				slog.String("upstream", from.rule.Upstream), slog.String("digest", d.Digest.String()), slog.Any("error", err))
			continue
		}
		if err != nil && !absent(err) {
			return err
		}
	}
	return c.checked(ctx, from, subject.String(), "")
}
