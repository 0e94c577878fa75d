package signing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

// fragile is a store whose updates fail from the given one on: what a process that dies there comes to.
type fragile struct {
	registry.Store
	left int
}

var errDied = errors.New("the process died")

func (f *fragile) Update(ctx context.Context, do func(registry.Tx) error) error {
	if f.left--; f.left < 0 {
		return errDied
	}
	return f.Store.Update(ctx, do)
}

// TestDyingAnywhere has signing die at each of its steps, the first layer, the last manifest and all between,
// and another process go on.
func TestDyingAnywhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release}, signing.Rule{Profile: audit})
		for step, died := 0, true; died; step++ {
			if step == 50 {
				t.Fatal("signing never gets to its end")
			}
			img := b.image(repo, fmt.Sprint("app ", step))
			if _, err := b.events.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := b.config()
			c.Registry = registry.New(registry.Config{
				Store: &fragile{b.db, step}, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: b.clock,
			})
			c.Work = &failing{Work: b.db.Signing(), broken: true}
			_, err := signing.New(c).Once(t.Context())
			died = errors.Is(err, errDied)
			b.now = b.now.Add(5 * time.Minute)
			b.mustWork()
			b.signed(repo, img.Digest, release, audit)
			if r := b.referrers(repo, img.Digest, ""); len(r) != 3 {
				t.Errorf("after dying at step %d there are %d referrers, want 3", step, len(r))
			}
		}
	})
}

// TestOvertaken has others move the signature tag between our look at it and our push.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		img := b.image(repo, "app", "v1")
		tag := signatureTag(img.Digest)
		theirs := func(n int) {
			l := b.layer(repo, simpleSigning, fmt.Sprintf(`{"theirs":%d}`, n))
			l.Annotations = map[string]string{"dev.cosignproject.cosign/signature": "c2lnbmVk"}
			b.put(registry.Push{Repository: repo, Tags: []string{tag}}, map[string]any{
				"config": b.layer(repo, "application/vnd.oci.image.config.v1+json", "{}"), "layers": []oci.Descriptor{l},
			})
		}
		c := b.config()
		c.Store = &overtaken{b.db, 2, theirs}
		b.signer = signing.New(c)
		b.mustWork()
		b.signed(repo, img.Digest, release)
		m, err := b.manifest(repo, oci.Reference{Tag: tag})
		if err != nil || len(m.Layers) != 2 || m.Layers[0].Digest != oci.FromBytes([]byte(`{"theirs":0}`)) {
			t.Errorf("the tag's layers are %+v, %v: want their last one, then ours", m.Layers, err)
		}

		// Those who never stop leave it to a later attempt.
		busy := b.image(repo, "busy", "v2")
		tag = signatureTag(busy.Digest)
		c.Store = &overtaken{b.db, 100, theirs}
		b.signer = signing.New(c)
		if err := b.work(); err == nil || !strings.Contains(err.Error(), "moved 5 times meanwhile") {
			t.Errorf("signing under a tag that never rests: %v", err)
		}
		b.signer = signing.New(b.config())
		b.now = b.now.Add(time.Minute)
		b.mustWork()
		b.signed(repo, busy.Digest, release)
	})
}

// overtaken is a store where somebody is faster: after each of the first reads of a manifest, something
// happens.
type overtaken struct {
	registry.Store
	times int
	by    func(n int)
}

func (o *overtaken) Read() registry.Queries { return overtakenQueries{o.Store.Read(), o} }

type overtakenQueries struct {
	registry.Queries
	o *overtaken
}

func (q overtakenQueries) ManifestIn(ctx context.Context, repository string, ref oci.Reference) (registry.Image, error) {
	img, err := q.Queries.ManifestIn(ctx, repository, ref)
	if q.o.times > 0 {
		q.o.times--
		q.o.by(q.o.times)
	}
	return img, err
}
