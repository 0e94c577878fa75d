package pullthrough

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Layer is registry.Layer. One that is upstream still is read while it is being stored.
func (c *Cache) Layer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Content, error) {
	content, missing := c.registry.Layer(ctx, caller, repository, d)
	if missing == nil || !absent(missing) {
		return content, missing
	}
	from, at, ok, err := c.behind(ctx, caller, repository, d)
	if err != nil {
		return registry.Content{}, err
	}
	if !ok {
		return registry.Content{}, missing
	}
	f := c.fetch(at, from, d)
	if err := f.header(ctx); err != nil {
		return registry.Content{}, orMissing(err, missing)
	}
	open := func(ctx context.Context, offset, length int64) (readCloser, error) {
		return c.follow(ctx, f, offset, length)
	}
	return registry.ArrivingContent(registry.Layer{Digest: d, Size: f.length()}, open), nil
}

// StatLayer is registry.StatLayer. One that is upstream still counts as being here, once an image here refers to it.
func (c *Cache) StatLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Layer, error) {
	l, missing := c.registry.StatLayer(ctx, caller, repository, d)
	if missing == nil || !absent(missing) {
		return l, missing
	}
	return c.upstreamLayer(ctx, caller, repository, d, missing)
}

// ReferencedLayer is registry.ReferencedLayer. What it gives for a layer that is upstream still can be linked to, not
// opened: whoever follows the link comes to Layer.
func (c *Cache) ReferencedLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Content, error) {
	content, missing := c.registry.ReferencedLayer(ctx, caller, repository, d)
	if missing == nil || !absent(missing) {
		return content, missing
	}
	l, err := c.upstreamLayer(ctx, caller, repository, d, missing)
	return registry.ArrivingContent(l, func(ctx context.Context, offset, length int64) (readCloser, error) {
		whole, err := c.Layer(ctx, caller, repository, d)
		if err != nil {
			return nil, err
		}
		return whole.Open(ctx, offset, length)
	}), err
}

// LayersAvailable is registry.LayersAvailable. What cannot be had from upstream is not available.
func (c *Cache) LayersAvailable(ctx context.Context, caller identity.Caller, repository string, digests []string) ([]registry.LayerAvailability, error) {
	results, err := c.registry.LayersAvailable(ctx, caller, repository, digests)
	if err != nil {
		return nil, err
	}
	for i := range results {
		r := &results[i]
		if r.Found || r.Err != nil {
			continue
		}
		l, err := c.upstreamLayer(ctx, caller, repository, oci.Digest(r.Digest), fault.LayerNotFound)
		if _, isFault := fault.Of(err); err != nil && !isFault {
			return nil, err
		}
		r.Layer, r.Found = l, err == nil
	}
	return results, nil
}

// PutImage is registry.PutImage. A push may count on layers of the repository's images that are upstream still, since
// StatLayer said that they are there: they are fetched first. What is pushed here is then whole, and needs no upstream.
// So are the manifests of an index's images.
func (c *Cache) PutImage(ctx context.Context, caller identity.Caller, p registry.Push) (registry.Pushed, error) {
	pushed, missing := c.registry.PutImage(ctx, caller, p)
	if errors.Is(missing, fault.ReferencedImagesNotFound) {
		if err := c.bringImages(ctx, caller, p); err != nil {
			return registry.Pushed{}, orMissing(err, missing)
		}
		pushed, missing = c.registry.PutImage(ctx, caller, p)
	}
	if !errors.Is(missing, fault.ReferencedLayersNotFound) {
		return pushed, missing
	}
	m, err := oci.ParseManifest(p.MediaType, p.Manifest)
	if err != nil {
		return registry.Pushed{}, err
	}
	var arriving []*fetch
	for _, l := range m.Blobs() {
		if _, err := c.registry.StatLayer(ctx, c.self, p.Repository, l.Digest); err == nil {
			continue
		} else if !absent(err) {
			return registry.Pushed{}, err
		}
		from, at, ok, err := c.behind(ctx, caller, p.Repository, l.Digest)
		if err != nil {
			return registry.Pushed{}, err
		}
		if !ok {
			return registry.Pushed{}, missing
		}
		arriving = append(arriving, c.fetch(at, from, l.Digest))
	}
	for _, f := range arriving {
		if err := f.wait(ctx); err != nil {
			return registry.Pushed{}, orMissing(err, missing)
		}
	}
	return c.registry.PutImage(ctx, caller, p)
}

// bringImages fetches the manifests of the images of an index on its way in.
func (c *Cache) bringImages(ctx context.Context, caller identity.Caller, p registry.Push) error {
	m, err := oci.ParseManifest(p.MediaType, p.Manifest)
	if err != nil {
		return err
	}
	for _, child := range m.Children {
		if !oci.IsManifestType(child.MediaType) {
			continue
		}
		if err := c.bring(ctx, caller, p.Repository, oci.Reference{Digest: child.Digest}); err != nil {
			return err
		}
	}
	return nil
}

// upstreamLayer describes a layer that is upstream still, or gives the error missing.
func (c *Cache) upstreamLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest, missing error) (registry.Layer, error) {
	from, at, ok, err := c.behind(ctx, caller, repository, d)
	if err != nil {
		return registry.Layer{}, err
	}
	if !ok {
		return registry.Layer{}, missing
	}
	size := int64(0)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.ask(at, func() (err error) {
		size, err = c.upstream.LayerSize(ctx, at, from.name, d)
		return err
	})
	if err != nil {
		return registry.Layer{}, orMissing(err, missing)
	}
	return registry.Layer{Digest: d, Size: size}, nil
}

func orMissing(err, missing error) error {
	if absent(err) {
		return missing
	}
	return err
}

// behind tells where a layer that is not here comes from. Only what an image here refers to is fetched, and only for
// callers who may import; the caller's right to read it was asked before.
func (c *Cache) behind(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (origin, Endpoint, bool, error) {
	from, ok, err := c.origin(ctx, repository)
	if err != nil || !ok {
		return origin{}, Endpoint{}, false, err
	}
	switch wanted, err := c.registry.RefersTo(ctx, c.self, repository, d); {
	case absent(err), err == nil && !wanted:
		return origin{}, Endpoint{}, false, nil
	case err != nil:
		return origin{}, Endpoint{}, false, err
	}
	if err := c.registry.MayImport(ctx, caller, repository); err != nil {
		if errors.Is(err, fault.AccessDenied) {
			err = nil
		}
		return origin{}, Endpoint{}, false, err
	}
	at, err := c.endpoint(from.rule)
	if err != nil {
		return origin{}, Endpoint{}, false, secretGone(err)
	}
	return from, at, true, nil
}
