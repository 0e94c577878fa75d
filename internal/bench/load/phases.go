// Package load is what the bench does to a registry: its content, its client, and the phases that are
// measured.
//
// The client shares the processors with the server it measures, so everything that can be prepared is
// prepared outside the timed parts, and what cannot is made cheap (see package wire). Both registries get
// the same bytes in the same requests in the same order.
package load

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// The repositories that the phases use. A round of put-tag gets its own, so that each begins empty.
const (
	pushRepository  = "bench/push"
	pullRepository  = "bench/pull"
	largeRepository = "bench/large"
	listRepository  = "bench/list"
	tagsRepository  = "bench/tags-" // and the round
)

// many is how many clients a registry is put under load with.
const many = 16

// verifyEvery says for one in how many pulls the digest is computed too.
const verifyEvery = 32

// Sizes say how much there is of everything.
type Sizes struct {
	Images      int   // that are pulled and asked for
	Listed      int   // images in the repository that is listed by ECR's API
	Tags        int   // in the listing
	Layer       int64 // bytes of a large layer
	LargePushes int64 // at most, per run: each takes room on the disk
	Duration    time.Duration
	Rounds      int
}

// Phase is one thing that is measured.
type Phase struct {
	Name    string
	Title   string
	Limits  Limits
	prepare func(t *Target, round int) Operation
}

// Run measures the phase once.
func (p Phase) Run(ctx context.Context, t *Target, round int, now func() time.Time) (Sample, error) {
	sample, err := Measure(ctx, t, p.Limits, now, p.prepare(t, round))
	if err != nil {
		return sample, fmt.Errorf("phase %s: %w", p.Name, err)
	}
	return sample, nil
}

// Plan is the content and the phases of a run.
type Plan struct {
	sizes   Sizes
	content *Content
	images  []Image
	tags    []string // of the images
	large   Layer    // the one that is pulled
}

// NewPlan prepares everything that does not need a server.
func NewPlan(sizes Sizes) (*Plan, error) {
	content, err := NewContent(sizes.Layer)
	if err != nil {
		return nil, fmt.Errorf("making content: %w", err)
	}
	p := &Plan{sizes: sizes, content: content, images: make([]Image, sizes.Images), tags: make([]string, sizes.Images)}
	for i := range p.images {
		p.images[i] = content.Image(uint64(i))
		p.tags[i] = fmt.Sprintf("app-%012x", i) // as from people who tag by commit
	}
	p.large, err = content.Layer(0)
	return p, err
}

// LargeLayer is the layer that is pulled.
func (p *Plan) LargeLayer() Layer { return p.large }

// Repositories lists what must exist on a registry that does not create repositories by itself.
func (p *Plan) Repositories() []string {
	return append(p.tagsRepositories(), pushRepository, pullRepository, largeRepository, listRepository, manyRepository, fewRepository)
}

func (p *Plan) tagsRepositories() []string {
	var names []string
	for round := range p.sizes.Rounds {
		names = append(names, tagsRepository+strconv.Itoa(round))
	}
	return names
}

// Fill pushes what the phases read: the images, the large layer, the tags of the listing. It verifies
// that the large layer comes back as it went.
func (p *Plan) Fill(ctx context.Context, t *Target, now func() time.Time) error {
	t.next.Store(uint64(len(p.images)) + 1)
	all := Limits{Clients: many, Duration: time.Hour}

	all.Operations = int64(len(p.images))
	if _, err := Measure(ctx, t, all, now, func(c *Client, n int64) (int64, error) {
		return 0, c.PushImage(pullRepository, p.tags[n], p.images[n])
	}); err != nil {
		return fmt.Errorf("filling with images: %w", err)
	}
	if _, err := Measure(ctx, t, Limits{Clients: 1, Duration: time.Hour, Operations: 1}, now, func(c *Client, _ int64) (int64, error) {
		if err := c.PushBlob(largeRepository, p.large.Digest, p.large.Body, p.large.Tail); err != nil {
			return 0, err
		}
		if err := c.GetVerified(largeRepository, p.large); err != nil {
			return 0, err
		}
		return 0, nil
	}); err != nil {
		return fmt.Errorf("filling with layers: %w", err)
	}
	// The tags of a repository are spread over all images: ECR lets one image have 1,000.
	images := int64(len(p.images))
	for _, repository := range append(p.tagsRepositories(), listRepository) {
		all.Operations = images
		if _, err := Measure(ctx, t, all, now, func(c *Client, n int64) (int64, error) {
			return 0, c.PushImage(repository, listTag(n), p.images[n])
		}); err != nil {
			return fmt.Errorf("filling %s: %w", repository, err)
		}
	}
	all.Operations = int64(p.sizes.Tags) - images
	if _, err := Measure(ctx, t, all, now, func(c *Client, n int64) (int64, error) {
		return 0, c.PutManifest(listRepository, listTag(n+images), p.images[n%images].Manifest)
	}); err != nil {
		return fmt.Errorf("filling with tags: %w", err)
	}
	return nil
}

// Names of the phases, for those who look their results up.
const (
	Push1     = "push-1"
	Push16    = "push-16"
	Pull16    = "pull-16"
	Head16    = "head-16"
	Tag16     = "tag-16"
	List      = "list"
	LargePush = "large-push"
	LargePull = "large-pull"
	// Listing is no phase that is compared: distribution has no such API.
	Listing = "listing"
)

// Phases lists the phases in the order in which they are measured.
func (p *Plan) Phases() []Phase {
	limits := func(clients int) Limits { return Limits{Clients: clients, Duration: p.sizes.Duration} }
	large := limits(1)
	large.Operations = p.sizes.LargePushes
	return []Phase{
		{Push1, "small images pushed, 1 client", limits(1), p.pushImages},
		{Push16, "small images pushed, 16 clients", limits(many), p.pushImages},
		{Pull16, "small images pulled, 16 clients", limits(many), p.pullImages},
		{Head16, "HEAD manifest by tag, 16 clients", limits(many), p.headManifests},
		{Tag16, "tags put, 16 clients", limits(many), p.putTags},
		{List, fmt.Sprintf("full listings of %d tags, 1 client", p.sizes.Tags), limits(1), p.listTags},
		{LargePush, fmt.Sprintf("%d MiB layers pushed, 1 client", p.sizes.Layer>>20), large, p.pushLayers},
		{LargePull, fmt.Sprintf("%d MiB layers pulled, 1 client", p.sizes.Layer>>20), limits(1), p.pullLayer},
	}
}

func (p *Plan) pushImages(t *Target, _ int) Operation {
	return func(c *Client, _ int64) (int64, error) {
		n := t.next.Add(1)
		return 0, c.PushImage(pushRepository, "n"+strconv.FormatUint(n, 10), p.content.Image(n))
	}
}

func (p *Plan) pullImages(*Target, int) Operation {
	return func(c *Client, number int64) (int64, error) {
		n := number % int64(len(p.images))
		return 0, c.PullImage(pullRepository, p.tags[n], p.images[n], number%verifyEvery == 0)
	}
}

func (p *Plan) headManifests(*Target, int) Operation {
	return func(c *Client, number int64) (int64, error) {
		n := number % int64(len(p.images))
		return 0, c.HeadManifest(pullRepository, p.tags[n], p.images[n])
	}
}

func (p *Plan) putTags(_ *Target, round int) Operation {
	repository := tagsRepository + strconv.Itoa(round)
	return func(c *Client, number int64) (int64, error) {
		return 0, c.PutManifest(repository, "n"+strconv.FormatInt(number, 10), p.images[number%int64(len(p.images))].Manifest)
	}
}

func (p *Plan) listTags(*Target, int) Operation {
	return func(c *Client, _ int64) (int64, error) {
		return 0, c.ListTags(listRepository, p.sizes.Tags)
	}
}

func (p *Plan) pushLayers(t *Target, _ int) Operation {
	return func(c *Client, _ int64) (int64, error) {
		layer, err := p.content.Layer(t.next.Add(1))
		if err != nil {
			return 0, err
		}
		return layer.Size(), c.PushBlob(largeRepository, layer.Digest, layer.Body, layer.Tail)
	}
}

func (p *Plan) pullLayer(*Target, int) Operation {
	target := "/v2/" + largeRepository + "/blobs/" + p.large.Digest
	return func(c *Client, _ int64) (int64, error) {
		return p.large.Size(), c.Get(target, p.large.Size())
	}
}

func listTag(n int64) string { return fmt.Sprintf("example-calculator-app-%07x", n) }
