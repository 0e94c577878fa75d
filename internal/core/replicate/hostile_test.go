package replicate_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// liar is a destination that says it lacks what it was not asked about.
type liar struct {
	*wire
	lacks []oci.Digest
}

func (l liar) Prepare(ctx context.Context, repository string, d oci.Digest, layers []oci.Digest) (replicate.Lack, error) {
	lack, err := l.wire.Prepare(ctx, repository, d, layers)
	lack.Layers = slices.Concat(lack.Layers, lack.Layers, l.lacks)
	return lack, err
}

// TestADestinationGetsWhatItIsToGet sends no layer of another image, and none twice, whatever the destination says.
func TestADestinationGetsWhatItIsToGet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		private := b.layer(repo, "of an older image").Digest
		b.service.Remotes[eu] = liar{b.eu, []oci.Digest{private}}
		b.rules([]replicate.Destination{eu})
		d := b.image(repo, "new", "v1")
		b.settle()
		b.wantStatus(d, "eu-west-1=COMPLETE")
		if slices.Contains(b.eu.calls, "layer "+private.String()) {
			t.Error("a layer was sent that the image does not have")
		}
		if len(b.eu.calls) != 3 {
			t.Errorf("sent were %v, want two layers and the image", b.eu.calls)
		}
	})
}

// TestWhatIsNotHereYet replicates an image of the pull-through cache one of whose layers nobody has pulled: perhaps for
// ever.
func TestWhatIsNotHereYet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		config := b.layer(repo, "{}")
		raw, err := json.Marshal(map[string]any{
			"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config,
			"layers": []oci.Descriptor{{MediaType: config.MediaType, Digest: oci.FromBytes([]byte("later")), Size: 5}},
		})
		if err != nil {
			t.Fatal(err)
		}
		self := identity.Service(account, "pull-through")
		p, err := b.PutImage(t.Context(), self, registry.Push{Repository: repo, Manifest: raw, Tags: []string{"v1"}, Source: event.PullThrough})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		b.service.Remotes[eu] = counting{b.eu, &asked}
		b.settle()
		for range 24 * 60 {
			b.now = b.now.Add(time.Minute)
			b.send(b.side)
		}
		b.wantStatus(p.Image.Digest, "eu-west-1=IN_PROGRESS")
		if len(b.failed) != 1 {
			t.Errorf("it was reported %d times in a day, want once", len(b.failed))
		}
		if asked > 40 {
			t.Errorf("the destination was asked %d times in a day", asked)
		}
		backfill := b.start(eu) // which does not wait for it
		b.fill()
		b.send(b.side)
		b.fill()
		b.wantBackfill(backfill.ID, "COMPLETE  1/0/1 [ImageIncomplete]", repo+":v1@"+p.Image.Digest.String()+" FAILED ImageIncomplete []")
		b.wantStatus(p.Image.Digest, "eu-west-1=IN_PROGRESS")
		b.layer(repo, "later")
		b.now = b.now.Add(time.Hour)
		b.send(b.side)
		b.wantContent(b.eu.side, repo, is("v1", p.Image.Digest))
		b.wantStatus(p.Image.Digest, "eu-west-1=COMPLETE")
	})
}

type counting struct {
	*wire
	asked *int
}

func (c counting) Prepare(ctx context.Context, repository string, d oci.Digest, layers []oci.Digest) (replicate.Lack, error) {
	*c.asked++
	return c.wire.Prepare(ctx, repository, d, layers)
}

// TestADestinationThatTheFileNamesNoMore has many images waiting for one: they rest together.
func TestADestinationThatTheFileNamesNoMore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		delete(b.service.Remotes, eu)
		for i := range 10 {
			b.image(repo, string(rune('a'+i)))
		}
		b.settle()
		for range 60 {
			b.now = b.now.Add(time.Minute)
			b.send(b.side)
		}
		if len(b.failed) > 70 {
			t.Errorf("%d reports in an hour", len(b.failed))
		}
	})
}
