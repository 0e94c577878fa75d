package usage_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// modelImage is an image of the model.
type modelImage struct {
	repository, app string
	layers          []string // contents; the configuration too
}

// gauges computes by the words of usage.go what a world of images weighs.
func gauges(images []modelImage, repositories []string) map[string]float64 {
	all := map[string]float64{}
	measure := func(name string, in func(modelImage) bool) {
		distinct, logical, n := map[string]bool{}, 0, 0
		for _, i := range images {
			if in(i) {
				n++
				for _, l := range i.layers {
					distinct[l] = true
					logical += len(l)
				}
			}
		}
		unique, shared := 0, 0
		for l := range distinct {
			if slices.ContainsFunc(images, func(i modelImage) bool { return !in(i) && slices.Contains(i.layers, l) }) {
				shared += len(l)
			} else {
				unique += len(l)
			}
		}
		for metric, v := range map[string]int{"ImageCount": n, "LogicalBytes": logical, "UniqueBytes": unique, "SharedBytes": shared, "StoredBytes": unique + shared} {
			all[metric+" "+name] = float64(v)
		}
	}
	for _, r := range repositories {
		measure(r, func(i modelImage) bool { return i.repository == r })
		for _, app := range []string{"api", "web"} {
			if slices.ContainsFunc(images, func(i modelImage) bool { return i.repository == r && i.app == app }) {
				measure(app+" "+r, func(i modelImage) bool { return i.repository == r && i.app == app })
			}
		}
	}
	return all
}

// TestGaugesAreWhatImagesWeigh pushes and deletes random images of a few layers that they share, and compares.
func TestGaugesAreWhatImagesWeigh(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		world := 0
		rapid.Check(t, func(r *rapid.T) {
			world++
			b.now = b.now.Add(24 * time.Hour)
			repositories := []string{fmt.Sprintf("one/%d", world), fmt.Sprintf("two/%d", world)}
			for _, name := range repositories {
				b.create(name)
			}
			var images []modelImage
			for n := range rapid.IntRange(0, 7).Draw(r, "images") {
				i := modelImage{
					repository: rapid.SampledFrom(repositories).Draw(r, "repository"),
					app:        rapid.SampledFrom([]string{"", "api", "web"}).Draw(r, "app"),
					layers:     []string{fmt.Sprintf("configuration %d of %d", n, world)},
				}
				for _, l := range rapid.SliceOfNDistinct(rapid.IntRange(1, 5), 1, 4, rapid.ID[int]).Draw(r, "layers") {
					i.layers = append(i.layers, strings.Repeat(fmt.Sprintf("layer %d of %d;", l, world), l))
				}
				var tags []string
				if i.app != "" {
					tags = []string{fmt.Sprintf("%s-%07x", i.app, n)}
				}
				m := b.manifest(i.repository, i.layers[0], i.layers[1:]...)
				b.push(i.repository, m, tags...)
				if rapid.IntRange(0, 4).Draw(r, "deleted") == 0 {
					b.remove(i.repository, m)
					continue
				}
				images = append(images, i)
			}
			b.gauge()
			got := b.latest(repositories)
			want := gauges(images, repositories)
			for name := range got { // what is in the trash has a test of its own
				if strings.HasPrefix(name, "TrashBytes") {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				r.Fatalf("%v (-want +got):\n%s", images, diff)
			}
			for _, name := range repositories { // the next world's rounds are none the longer
				if _, err := b.registry.DeleteRepository(t.Context(), root, name, true); err != nil {
					r.Fatalf("DeleteRepository: %v", err)
				}
			}
		})
	})
}

func (b *bench) remove(repository string, manifest []byte) {
	b.t.Helper()
	if err := b.registry.DeleteImage(b.t.Context(), root, repository, oci.Reference{Digest: oci.FromBytes(manifest)}); err != nil {
		b.t.Fatalf("DeleteImage: %v", err)
	}
}

// gauge makes a whole round.
func (b *bench) gauge() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.usage.GaugeOnce(b.t.Context()); err != nil {
			b.t.Fatalf("GaugeOnce: %v", err)
		}
	}
}

// latest gives the gauges of now of some repositories; each must have been written once.
func (b *bench) latest(repositories []string) map[string]float64 {
	b.t.Helper()
	all := map[string]float64{}
	for _, r := range repositories {
		for _, m := range b.metrics(usage.Filter{Namespace: usage.NamespaceBerth, Dimensions: []usage.Dimension{{Name: usage.DimensionRepository, Value: r}}}) {
			names := []string{m.Name}
			for _, d := range m.Dimensions {
				names = append(names, d.Value)
			}
			for _, p := range b.points(m, b.now.Add(-time.Minute), b.now.Add(time.Minute), time.Minute) {
				if p.Count != 1 {
					b.t.Fatalf("%v was gauged %v times", names, p.Count)
				}
				all[strings.Join(names, " ")] = p.Sum
			}
		}
	}
	return all
}

func TestTrashAndFindingsAreGauged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(repo)
		kept := b.manifest(repo, "kept", "shared")
		b.push(repo, kept)
		gone := b.manifest(repo, "gone", "shared", "only this one")
		b.push(repo, gone)
		b.remove(repo, gone)
		b.gauge()
		got := b.latest([]string{repo})
		if want := float64(len("gone") + len("only this one")); got["TrashBytes "+repo] != want {
			t.Errorf("%v bytes of trash, want %v", got["TrashBytes "+repo], want)
		}
		if _, ok := got["FindingCount "+repo+" HIGH"]; ok {
			t.Error("a repository that was never scanned has a count of findings")
		}
	})
}

// TestManyAppsAreGaugedInPieces has more apps than a transaction takes, and a crash after each piece.
func TestManyAppsAreGaugedInPieces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(repo)
		b.create("other")
		const apps = 230
		m := b.manifest(repo, "configuration", "layer")
		for n := range apps {
			m := append(slices.Clone(m), []byte(strings.Repeat(" ", n))...) // other bytes, the same layers
			b.push(repo, m, fmt.Sprintf("app%d-latest", n))
		}
		pieces := 0
		for more := true; more; pieces++ {
			c := b.config()
			c.Store = &crashing{Store: b.db.Usage(), after: true} // written, and nobody heard of it
			b.usage = usage.New(c)
			if _, err := b.usage.GaugeOnce(t.Context()); err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("GaugeOnce: %v", err)
			}
			var err error
			b.usage = usage.New(b.config())
			if more, err = b.usage.GaugeOnce(t.Context()); err != nil {
				t.Fatalf("GaugeOnce: %v", err)
			}
		}
		got := b.latest([]string{repo, "other"})
		if len(got) != 6+5*apps+6 || got["SharedBytes app229 "+repo] != float64(len("configuration")+len("layer")) {
			t.Errorf("%d gauges in %d pieces, want %d", len(got), pieces, 6+5*apps+6)
		}
		// The round is over: nobody begins another one before the next hour, on any replica.
		if more, err := usage.New(b.config()).GaugeOnce(t.Context()); more || err != nil {
			t.Errorf("a second round: %v, %v", more, err)
		}
		if n := len(b.latest([]string{repo})); n != 6+5*apps {
			t.Errorf("%d gauges after that, each once: want %d", n, 6+5*apps)
		}
	})
}

// slow is a store that lets another replica come between.
type slow struct {
	usage.Store
	meanwhile func()
}

func (s *slow) Count(ctx context.Context, b usage.Batch) (bool, error) {
	if m := s.meanwhile; m != nil {
		s.meanwhile = nil
		m()
	}
	return s.Store.Count(ctx, b)
}

// TestASlowReplicaIsOvertaken claims a piece and loses it: what it measured counts for nothing.
func TestASlowReplicaIsOvertaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(repo)
		c := b.config()
		c.Store = &slow{b.db.Usage(), func() {
			b.now = b.now.Add(30 * time.Minute)
			b.gauge()
		}}
		if _, err := usage.New(c).GaugeOnce(t.Context()); err != nil {
			t.Fatalf("GaugeOnce: %v", err)
		}
		m := usage.NewMetric(usage.NamespaceBerth, usage.ImageCount, usage.Dimension{Name: usage.DimensionRepository, Value: repo})
		if all := b.points(m, noon, noon.Add(2*time.Hour), time.Minute); len(all) != 1 || all[0].Count != 1 {
			t.Errorf("gauged %+v, want one point, of the replica that took over", all)
		}
	})
}
