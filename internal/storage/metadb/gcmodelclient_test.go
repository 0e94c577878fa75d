package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	simAccount = "123456789012"
	goneBytes  = fault.Code("bytes are gone") // stands for the blob store's error where that is allowed
)

var simRoot = identity.Caller{Account: simAccount, ARN: "arn:aws:iam::123456789012:root", UserID: simAccount, Root: true}

// client is a line of requests, each to some replica.
type client struct {
	*world
	actor *actor
	rng   *rand.Rand
	told  map[place]promise // layers that are there, it was told
}

// promise is that a layer stays until a time.
type promise struct {
	seq   int
	until time.Time
}

// result is what a request came to.
type result struct {
	err        error
	unknown    bool // its replica crashed
	start, end int
	began      time.Time
}

func (r result) is(codes ...fault.Code) bool {
	for _, c := range codes {
		if errors.Is(r.err, c) {
			return true
		}
	}
	return false
}

// request has some replica do something, after a while. Any error but the faults named is a failure of the test.
func (c *client) request(what string, f func(ctx context.Context, r *registry.Registry) error, allowed ...fault.Code) result {
	_ = c.wait(request{c.sim, c.actor, nil}, "thinks")
	rep := c.replicas[c.rng.IntN(len(c.replicas))]
	res := result{start: c.tick(), began: c.clock()}
	c.logf("%s on %s: %s …", c.actor.name, rep.name, what)
	res.err = f(c.in(context.Background(), c.actor, rep.process), rep.registry)
	res.unknown = rep.dead
	res.end = c.tick()
	c.logf("%s on %s: %s → %s", c.actor.name, rep.name, what, c.word(res))
	c.count(what, res)
	if lost := errors.Is(res.err, blob.ErrNotFound) && slices.Contains(allowed, goneBytes); res.err != nil && !res.unknown && !lost && !res.is(allowed...) {
		c.fail("%s: %s: %v", c.actor.name, what, res.err)
	}
	return res
}

func (c *client) word(r result) string {
	switch f, ok := fault.Of(r.err); {
	case r.unknown:
		return "crash"
	case r.err == nil:
		return "ok"
	case ok:
		return string(f.Code)
	default:
		return r.err.Error()
	}
}

func (c *client) repo() string { return c.u.repos[c.rng.IntN(len(c.u.repos))] }

func (c *client) tags(most int) []string {
	var tags []string
	for _, at := range c.rng.Perm(len(c.u.tags))[:c.rng.IntN(most+1)] {
		tags = append(tags, c.u.tags[at])
	}
	return tags
}

// push pushes an image as docker does: what it is made of, and then the manifest.
func (c *client) push(repo string, t *thing, tags []string) {
	for range 3 {
		for _, child := range t.children {
			if c.rng.IntN(4) > 0 {
				c.push(repo, child, nil)
			}
		}
		for _, at := range c.rng.Perm(len(t.blobs)) {
			c.layer(repo, t.blobs[at])
		}
		if c.rng.IntN(8) == 0 {
			return // it never comes back
		}
		if res := c.put(repo, t, tags); res.err == nil || res.is(fault.RepositoryNotFound) || c.rng.IntN(2) == 0 {
			return
		}
	}
}

// layer sees to it that a layer is there.
func (c *client) layer(repo string, d oci.Digest) {
	p := place{repo, string(d)}
	if _, told := c.told[p]; told && c.rng.IntN(2) == 0 {
		return // it remembers
	}
	delete(c.told, p)
	switch c.rng.IntN(8) {
	case 0: // without asking
	case 1:
		if c.available(repo, d) {
			return
		}
	case 2:
		if c.mount(repo, d) {
			return
		}
	default:
		if c.stat(repo, d) {
			return
		}
	}
	for range 3 {
		send := c.putLayer
		if c.rng.IntN(2) == 0 {
			send = c.upload
		}
		if res := send(repo, d); res.err == nil || res.is(fault.RepositoryNotFound) {
			return
		}
	}
}

func (c *client) isTold(repo string, d oci.Digest, res result, span time.Duration) {
	c.told[place{repo, string(d)}] = promise{res.start, res.began.Add(span)}
}

func (c *client) stat(repo string, d oci.Digest) bool {
	res := c.request(c.name("stat", repo, d), func(ctx context.Context, r *registry.Registry) error {
		_, err := r.StatLayer(ctx, simRoot, repo, d)
		return err
	}, fault.RepositoryNotFound, fault.LayerNotFound)
	if res.err == nil && !res.unknown {
		c.isTold(repo, d, res, c.grace/2)
		return true
	}
	return false
}

func (c *client) available(repo string, d oci.Digest) bool {
	found := false
	res := c.request(c.name("ask for", repo, d), func(ctx context.Context, r *registry.Registry) error {
		all, err := r.LayersAvailable(ctx, simRoot, repo, []string{d.String()})
		found = err == nil && all[0].Found
		return err
	}, fault.RepositoryNotFound)
	if found && !res.unknown {
		c.isTold(repo, d, res, c.grace/2)
	}
	return found && !res.unknown
}

func (c *client) mount(repo string, d oci.Digest) bool {
	mounted := false
	from := ""
	if c.rng.IntN(2) == 0 {
		from = c.repo()
	}
	res := c.request(c.name("mount", repo, d), func(ctx context.Context, r *registry.Registry) (err error) {
		_, mounted, err = r.MountLayer(ctx, simRoot, repo, d, from)
		return err
	}, fault.RepositoryNotFound)
	if mounted && !res.unknown {
		c.isTold(repo, d, res, c.grace)
	}
	return mounted && !res.unknown
}

func (c *client) body(ctx context.Context, b []byte) *body {
	return &body{ctx: ctx, left: b, piece: max(1, len(b)/(1+c.rng.IntN(2)))}
}

// tooLate holds it against whoever was quick to be told that its bytes, the second copy of what was lost, were looked for too long.
func (c *client) tooLate(res result) {
	if res.is(fault.Unavailable) && !res.unknown && c.clock().Sub(res.began) < min(c.grace, time.Hour)/2 {
		c.fail("%s: %v", c.actor.name, res.err)
	}
}

func (c *client) putLayer(repo string, d oci.Digest) result {
	b := c.u.blobs[d]
	res := c.request(c.name("send", repo, d), func(ctx context.Context, r *registry.Registry) error {
		_, err := r.PutLayer(ctx, simRoot, repo, d, registry.Part{Start: registry.Anywhere, Size: int64(len(b)), Body: c.body(ctx, b)})
		return err
	}, fault.RepositoryNotFound, fault.UploadInterrupted, fault.UploadNotFound, fault.Unavailable)
	c.tooLate(res)
	if res.is(fault.UploadInterrupted, fault.UploadNotFound) && !res.unknown && c.clock().Sub(res.began) < 24*time.Hour {
		c.fail("%s: sending a layer in one request, quickly: %v", c.actor.name, res.err)
	}
	if res.err == nil && !res.unknown {
		c.isTold(repo, d, res, c.grace)
	}
	return res
}

// upload sends a layer in pieces, unless it gives up.
func (c *client) upload(repo string, d oci.Digest) result {
	var id string
	res := c.request(c.name("begin", repo, d), func(ctx context.Context, r *registry.Registry) error {
		u, err := r.StartUpload(ctx, simRoot, repo, d.Algorithm())
		id = u.ID
		return err
	}, fault.RepositoryNotFound)
	if res.err != nil || res.unknown {
		return res
	}
	touched, crashed := res, false
	// lost tells whether an upload may be gone: its repository went, or it lay about for too long, or a crash left it unclear.
	lost := func() bool {
		l := c.expect.life(repo, "#repository")
		return crashed || l.taking > 0 || l.takeEnd > touched.start || !c.clock().Before(touched.began.Add(c.ttl))
	}
	left, at := c.u.blobs[d], int64(0)
	for pieces := c.rng.IntN(3); pieces > 0 && len(left) > 1; pieces-- {
		n := 1 + c.rng.IntN(len(left)-1)
		res = c.request(c.name("append", repo, d), func(ctx context.Context, r *registry.Registry) error {
			_, err := r.AppendUpload(ctx, simRoot, repo, id, registry.Part{Start: at, Size: int64(n), Body: c.body(ctx, left[:n])})
			return err
		}, fault.RepositoryNotFound, fault.UploadNotFound)
		switch {
		case res.unknown:
			crashed = true
			if at, left = c.resume(repo, id, d); at < 0 {
				return res
			}
			continue
		case res.is(fault.UploadNotFound) && !lost():
			c.fail("%s: an upload is gone: %v", c.actor.name, res.err)
		case res.err == nil:
			touched, at, left = res, at+int64(n), left[n:]
			continue
		}
		return res
	}
	switch c.rng.IntN(12) {
	case 0: // it never comes back
		return result{err: errCrash, unknown: true}
	case 1:
		return c.cancel(repo, id, d)
	}
	claimed := d
	if c.rng.IntN(12) == 0 {
		claimed = oci.FromBytes([]byte("something else"))
	}
	for {
		res = c.request(c.name("complete", repo, claimed), func(ctx context.Context, r *registry.Registry) error {
			completion := registry.Completion{Digest: claimed}
			if len(left) > 0 {
				completion.Last = &registry.Part{Start: at, Size: int64(len(left)), Body: c.body(ctx, left)}
			}
			_, err := r.CompleteUpload(ctx, simRoot, repo, id, completion)
			return err
		}, fault.RepositoryNotFound, fault.UploadNotFound, fault.LayerDigestMismatch, fault.Unavailable)
		c.tooLate(res)
		if res.is(fault.UploadNotFound) && !lost() && !res.unknown {
			c.fail("%s: an upload is gone: %v", c.actor.name, res.err)
		}
		if res.is(fault.LayerDigestMismatch) && claimed == d && !res.unknown {
			c.fail("%s: %v", c.actor.name, res.err)
		}
		if res.err == nil && !res.unknown {
			c.isTold(repo, d, res, c.grace)
		}
		if !res.unknown || crashed {
			return res
		}
		crashed = true
	}
}

// resume asks how far an upload is.
func (c *client) resume(repo, id string, d oci.Digest) (int64, []byte) {
	at := int64(-1)
	res := c.request(c.name("look at", repo, d), func(ctx context.Context, r *registry.Registry) error {
		u, err := r.Upload(ctx, simRoot, repo, id)
		at = u.Blob.Size
		return err
	}, fault.RepositoryNotFound, fault.UploadNotFound)
	if res.err != nil || res.unknown {
		return -1, nil
	}
	return at, c.u.blobs[d][at:]
}

func (c *client) cancel(repo, id string, d oci.Digest) result {
	res := c.request(c.name("cancel", repo, d), func(ctx context.Context, r *registry.Registry) error {
		return r.CancelUpload(ctx, simRoot, repo, id)
	}, fault.RepositoryNotFound, fault.UploadNotFound)
	if res.err == nil {
		res.err = errCrash // there is no layer
	}
	return res
}

// put pushes the manifest.
func (c *client) put(repo string, t *thing, tags []string) result {
	ps := []place{{repo, string(t.digest)}}
	for _, tag := range tags {
		ps = append(ps, place{repo, tag})
	}
	start := c.tick()
	over := c.expect.puts(ps, start)
	res := c.request(fmt.Sprintf("push %s:%v %s", repo, tags, t.name), func(ctx context.Context, r *registry.Registry) error {
		_, err := r.PutImage(ctx, simRoot, registry.Push{Repository: repo, Manifest: t.manifest, Tags: tags})
		return err
	}, fault.RepositoryNotFound, fault.ReferencedLayersNotFound, fault.ReferencedImagesNotFound)
	over(res.end, res.err == nil && !res.unknown, res.unknown, t.digest)
	if res.is(fault.ReferencedLayersNotFound) && !res.unknown {
		c.kept(repo, t, res)
	}
	if res.is(fault.ReferencedImagesNotFound) && !res.unknown {
		for _, child := range t.children {
			if c.expect.life(repo, string(child.digest)).must() && strings.Contains(res.err.Error(), string(child.digest)) {
				c.fail("%s: %s lacks %s, which is there: %v", c.actor.name, t.name, child.name, res.err)
			}
		}
	}
	return res
}

// kept checks that a manifest was not refused for want of a layer that was promised.
func (c *client) kept(repo string, t *thing, res result) {
	for _, d := range t.blobs {
		p, told := c.told[place{repo, string(d)}]
		if !told || !strings.Contains(res.err.Error(), string(d)) {
			continue
		}
		delete(c.told, place{repo, string(d)})
		l := c.expect.life(repo, "#"+string(d))
		if l.taking > 0 || l.takeEnd > p.seq || !c.clock().Before(p.until) || c.damagedBlob(d) {
			c.counts["refused late"]++
			continue
		}
		c.fail("%s was told that %s has %s, and is refused the image %s for it within its time", c.actor.name, repo, c.blobName(d), t.name)
	}
}

// pull reads an image whole.
func (c *client) pull(repo, tag string) {
	var img registry.Image
	res := c.request("pull "+repo+":"+tag, func(ctx context.Context, r *registry.Registry) (err error) {
		img, err = r.Image(ctx, simRoot, repo, oci.Reference{Tag: tag})
		return err
	}, fault.RepositoryNotFound, fault.ImageNotFound)
	if res.err != nil || res.unknown {
		return
	}
	t := c.u.byName[img.Digest]
	for _, d := range t.blobs {
		c.read(repo, t, d, res.start)
	}
}

// read reads a layer of an image that was there.
func (c *client) read(repo string, t *thing, d oci.Digest, since int) {
	var found bool
	var deadline time.Time
	res := c.request(c.name("read", repo, d), func(ctx context.Context, r *registry.Registry) error {
		content, err := r.Layer(ctx, simRoot, repo, d)
		if err != nil {
			return err
		}
		found, deadline = true, c.clock().Add(min(c.grace, time.Hour))
		rc, err := content.Open(ctx, 0, -1)
		if err != nil {
			return err
		}
		defer rc.Close()
		b, err := io.ReadAll(io.LimitReader(rc, content.Size))
		if err == nil && !d.Matches(b) {
			err = errors.New("these are other bytes")
		}
		return err
	}, fault.RepositoryNotFound, fault.LayerNotFound, goneBytes)
	switch l := c.expect.life(repo, string(t.digest)); {
	case res.err == nil || res.unknown || c.damagedBlob(d):
	case errors.Is(res.err, blob.ErrNotFound) && found && c.clock().Before(deadline):
		c.fail("%s: bytes went before their time: %v", c.actor.name, res.err)
	case res.is(fault.LayerNotFound) && l.taking == 0 && l.takeEnd < since:
		c.fail("%s: the image %s lacks %s", c.actor.name, t.name, c.blobName(d))
	}
}

func (c *client) name(what, repo string, d oci.Digest) string {
	return what + " " + repo + "/" + c.blobName(d)
}
