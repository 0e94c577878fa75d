package metadb_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// deletion runs a request that may remove what is in places. It tells, of an answer, which of them may be gone and which
// surely are.
func (c *client) deletion(what string, ps []place, f func(ctx context.Context, r *registry.Registry) (may, surely []place, err error), allowed ...fault.Code) {
	start := c.tick()
	over := c.expect.takes(ps, c.clock(), start)
	var may, surely []place
	res := c.request(what, func(ctx context.Context, r *registry.Registry) (err error) {
		may, surely, err = f(ctx, r)
		return err
	}, append(allowed, fault.RepositoryNotFound)...)
	switch {
	case res.unknown:
		over(res.end, ps, nil)
	case res.err != nil:
		over(res.end, nil, nil)
	default:
		over(res.end, may, surely)
	}
}

// deleteDigest deletes as docker and other clients of the distribution API do.
func (c *client) deleteDigest(repo string, t *thing) {
	ps := c.expect.company(repo, t)
	c.deletion("delete "+repo+"@"+t.name, ps, func(ctx context.Context, r *registry.Registry) ([]place, []place, error) {
		return ps, ps[:1], r.DeleteImage(ctx, simRoot, repo, oci.Reference{Digest: t.digest})
	}, fault.ImageNotFound, fault.ImageReferenced)
}

func (c *client) deleteTag(repo, tag string) {
	ps := []place{{repo, tag}}
	c.deletion("untag "+repo+":"+tag, ps, func(ctx context.Context, r *registry.Registry) ([]place, []place, error) {
		return ps, ps, r.DeleteImage(ctx, simRoot, repo, oci.Reference{Tag: tag})
	}, fault.ImageNotFound)
}

// batchDelete deletes as ECR's API does: a tag takes the image along if it was the last.
func (c *client) batchDelete(repo string) {
	var ids []registry.ImageID
	var ps []place
	name := "batch delete " + repo
	for range 1 + c.rng.IntN(3) {
		if c.rng.IntN(2) == 0 {
			t := c.thing()
			ids, ps = append(ids, registry.ImageID{Digest: t.digest.String()}), append(ps, c.expect.company(repo, t)...)
			name += " @" + t.name
			continue
		}
		tag := c.u.tags[c.rng.IntN(len(c.u.tags))]
		ids, ps = append(ids, registry.ImageID{Tag: tag}), append(ps, place{repo, tag})
		for _, t := range c.u.images { // whatever it points to
			ps = append(ps, c.expect.company(repo, t)...)
		}
		name += " :" + tag
	}
	c.deletion(name, ps, func(ctx context.Context, r *registry.Registry) (may, surely []place, err error) {
		results, err := r.DeleteImages(ctx, simRoot, repo, ids)
		for _, res := range results {
			if f, ok := fault.Of(res.Err); res.Err != nil && (!ok || f.Code != fault.ImageNotFound && f.Code != fault.ImageReferenced) {
				return nil, nil, res.Err
			}
			for _, gone := range res.Gone {
				may = append(may, c.expect.company(repo, c.u.byName[oci.Digest(gone.Digest)])...)
				if gone.Tag != "" {
					may, surely = append(may, place{repo, gone.Tag}), append(surely, place{repo, gone.Tag})
				}
			}
			if res.Err == nil && res.ID.Tag == "" {
				surely = append(surely, place{repo, res.ID.Digest})
			}
		}
		return may, surely, err
	})
}

// expire deletes what has no tag, as lifecycle policies do.
func (c *client) expire(repo string) {
	var ds []oci.Digest
	var ps []place
	for _, t := range c.u.images {
		if c.rng.IntN(2) == 0 {
			ds, ps = append(ds, t.digest), append(ps, c.expect.company(repo, t)...)
		}
	}
	tagged := c.rng.IntN(4) == 0
	c.deletion("expire in "+repo, ps, func(ctx context.Context, r *registry.Registry) (may, surely []place, err error) {
		results, err := r.DeleteImagesIf(ctx, simRoot, repo, ds, func(registry.Queries) (registry.Still, error) {
			return func(img registry.Image) (bool, string, error) {
				return tagged || len(img.Tags) == 0, "It was its time.", nil
			}, nil
		})
		for _, res := range results {
			if len(res.Gone) > 0 {
				may = append(may, c.expect.company(repo, c.u.byName[oci.Digest(res.ID.Digest)])...)
				surely = append(surely, place{repo, res.ID.Digest})
			}
		}
		return may, surely, err
	})
}

func (c *client) deleteRepository(repo string) {
	ps := c.expect.everything(repo)
	force := c.rng.IntN(4) > 0
	c.deletion(fmt.Sprintf("delete repository %s (force %v)", repo, force), ps, func(ctx context.Context, r *registry.Registry) ([]place, []place, error) {
		_, err := r.DeleteRepository(ctx, simRoot, repo, force)
		return ps, ps, err
	}, fault.RepositoryNotEmpty)
}

func (c *client) createRepository(repo string) {
	c.request("create repository "+repo, func(ctx context.Context, r *registry.Registry) error {
		_, err := r.CreateRepository(ctx, simRoot, registry.NewRepository{Name: repo})
		return err
	}, fault.RepositoryExists)
}

func (c *client) deleteLayer(repo string, d oci.Digest) {
	ps := []place{{repo, "#" + string(d)}}
	c.deletion(c.name("delete", repo, d), ps, func(ctx context.Context, r *registry.Registry) ([]place, []place, error) {
		return ps, nil, r.DeleteLayer(ctx, simRoot, repo, d)
	}, fault.LayerNotFound, fault.LayerInUse)
}

// restore brings back what a deletion took.
func (c *client) restore(repo string) {
	_ = c.wait(request{c.sim, c.actor, nil}, "thinks")
	var id registry.ImageID
	var purge time.Time
	for _, n := range slices.Sorted(maps.Keys(c.known.trash)) {
		if t := c.known.trash[n]; t.repo == repo && (id.Digest == "" || c.rng.IntN(2) == 0) {
			id, purge = registry.ImageID{Digest: t.what}, time.UnixMicro(t.purge)
		}
	}
	byTag := id.Digest == "" || c.rng.IntN(3) == 0
	if byTag {
		id = registry.ImageID{Tag: c.u.tags[c.rng.IntN(len(c.u.tags))]}
	}
	var ps []place // whatever may come along
	for _, t := range c.u.images {
		ps = append(ps, place{repo, string(t.digest)})
	}
	for _, t := range c.u.tags {
		ps = append(ps, place{repo, t})
	}
	life, trash := c.expect.life(repo, id.Digest), c.expect.life(repo, "#trash")
	before := *life
	start := c.tick()
	over := c.expect.puts(ps, start)
	var came []place
	res := c.request("restore "+repo+" "+id.Tag+c.imageName(id.Digest), func(ctx context.Context, r *registry.Registry) error {
		results, err := r.RestoreImages(ctx, simRoot, repo, []registry.ImageID{id}, registry.RestoreOptions{})
		if err != nil {
			return err
		}
		came = append(came, place{repo, string(results[0].Image.Digest)})
		for _, d := range results[0].Along {
			came = append(came, place{repo, string(d)})
		}
		return results[0].Err
	}, fault.RepositoryNotFound, fault.ImageNotFound, fault.ReferencedImagesNotFound)
	quiet := before.taking+before.putting == 0 && life.taking == 0 && life.takeEnd < start && life.putEnd < start && life.putting == 1 &&
		trash.taking == 0 && trash.takeEnd < start
	if res.is(fault.ImageNotFound) && !byTag && quiet && !res.unknown && c.clock().Before(purge) {
		c.fail("%s: %s was in the trash of %s, and does not come back: %v", c.actor.name, c.imageName(id.Digest), repo, res.err)
	}
	over(res.end, false, res.err == nil || res.unknown, "")
	if res.err != nil || res.unknown {
		return
	}
	for _, p := range came {
		c.expect.life(p.repo, p.what).putFrom = max(start, c.expect.life(p.repo, p.what).putFrom)
	}
}

// purge empties the trash, or ends one image in it.
func (c *client) purge(repo string) {
	c.deletion("purge "+repo, []place{{repo, "#trash"}}, func(ctx context.Context, r *registry.Registry) (may, surely []place, err error) {
		if c.rng.IntN(4) == 0 {
			_, err = r.EmptyTrash(ctx, simRoot, repo)
		} else {
			_, err = r.PurgeImages(ctx, simRoot, repo, []oci.Digest{c.thing().digest, c.thing().digest})
		}
		return []place{{repo, "#trash"}}, nil, err
	}, fault.ImageNotFound)
}

func (c *client) thing() *thing { return c.u.images[c.rng.IntN(len(c.u.images))] }

func (c *client) someBlob() oci.Digest {
	for {
		if t := c.thing(); len(t.blobs) > 0 {
			return t.blobs[c.rng.IntN(len(t.blobs))]
		}
	}
}

// work is what a client does in its life.
func (c *client) work() {
	for range 1 + c.rng.IntN(3) {
		repo := c.repo()
		if c.damages && c.rng.IntN(6) == 0 {
			c.damage()
		}
		switch c.rng.IntN(24) {
		default:
			c.push(repo, c.thing(), c.tags(2))
		case 8, 9:
			c.deleteDigest(repo, c.thing())
		case 10:
			c.deleteTag(repo, c.u.tags[c.rng.IntN(len(c.u.tags))])
		case 11, 12:
			c.batchDelete(repo)
		case 13, 14:
			c.expire(repo)
		case 15, 16:
			c.pull(repo, c.u.tags[c.rng.IntN(len(c.u.tags))])
		case 17:
			if c.rng.IntN(3) == 0 {
				c.deleteRepository(repo)
			}
			c.createRepository(repo)
		case 18:
			c.deleteLayer(repo, c.someBlob())
		case 20, 21, 22:
			c.restore(repo)
		case 23:
			c.purge(repo)
		case 19:
			c.layer(repo, c.someBlob())
		}
	}
}
