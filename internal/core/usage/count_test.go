package usage_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

const (
	ciSession = "arn:aws:sts::123456789012:assumed-role/ci/run-7"
	ciRole    = "arn:aws:iam::123456789012:role/ci"
)

// naive counts each event once, in a map: what it says, by the words of usage.go.
type naive map[string]float64

func (n naive) add(name string, v float64, dimensions ...string) {
	if v != 0 {
		n[name+" "+strings.Join(dimensions, " ")] += v
	}
}

func (n naive) image(name string, v float64, repository, app, principal string) {
	n.add(name, v, repository)
	if app != "" {
		n.add(name, v, app, repository)
	}
	if principal != "" {
		n.add(name, v, principal, repository)
	}
}

// world is what the model's events are about: an image of web, its index, and one of nobody's.
type world struct {
	child, index, plain oci.Digest
}

func newWorld(b *bench) world {
	b.create(repo)
	child := b.manifest(repo, "child", "layer of child")
	b.push(repo, child)
	index := b.index(child)
	b.push(repo, index, "web-0123abc", "web-latest")
	plain := b.manifest(repo, "plain", "layer of plain")
	b.push(repo, plain, "v1")
	return world{oci.FromBytes(child), oci.FromBytes(index), oci.FromBytes(plain)}
}

// count is what an event adds to the naive counts.
func (w world) count(n naive, e event.Event) {
	apps := map[oci.Digest]string{w.child: "web", w.index: "web"}
	who := strings.Replace(e.Actor, ciSession, ciRole, 1)
	switch e.Kind {
	case event.ImagePushed:
		if e.Source == event.Push {
			n.image("PushCount", 1, e.Repository, apps[e.Digest], who)
		}
	case event.ImageDeleted:
		n.image("DeleteCount", 1, e.Repository, map[bool]string{true: "web"}[len(e.Tags) > 0], who)
	case event.ImageScanned:
		n.add("ScanCount", 1, e.Repository)
		n.add("ScanCount", 1, e.Repository, e.ScanStatus)
	case event.Served:
		for _, t := range e.Traffic {
			n.add("CallCount", float64(t.Calls), "None", t.Operation, "ECR", "API")
			if t.Repository != repo && t.Fault != "" {
				continue
			}
			app := apps[t.Digest]
			n.add("RepositoryPullCount", float64(t.Pulls), t.Repository)
			n.image("PullCount", float64(t.Pulls), t.Repository, app, t.Principal)
			n.image("BytesIn", float64(t.BytesIn), t.Repository, app, t.Principal)
			n.image("BytesOut", float64(t.BytesOut), t.Repository, app, t.Principal)
			n.add("PullCount", float64(t.Pulls), t.Digest.String(), t.Repository)
			if t.Digest == w.child {
				n.add("PullCount", float64(t.Pulls), w.index.String(), t.Repository)
			}
		}
	}
}

// drawEvent makes up an event.
func (w world) drawEvent(r *rapid.T, id int64) event.Event {
	digest := rapid.SampledFrom([]oci.Digest{w.child, w.index, w.plain, oci.FromBytes([]byte("gone"))})
	actor := rapid.SampledFrom([]string{ciSession, root.ARN})
	e := event.Event{
		ID: id, At: noon.Add(time.Duration(rapid.IntRange(0, 100).Draw(r, "minute")) * time.Minute), Repository: repo, Actor: actor.Draw(r, "actor"),
		Kind:   rapid.SampledFrom([]event.Kind{event.ImagePushed, event.ImageDeleted, event.ImageScanned, event.Served, event.ImagePulled, event.RepositoryCreated}).Draw(r, "kind"),
		Digest: digest.Draw(r, "digest"), Source: rapid.SampledFrom([]event.Source{event.Push, event.Push, event.Replication, event.Restore}).Draw(r, "source"),
		ScanStatus: rapid.SampledFrom([]string{"COMPLETE", "FAILED"}).Draw(r, "status"),
	}
	if e.Kind == event.ImageDeleted && rapid.Bool().Draw(r, "tagged") {
		e.Tags = []string{"v1", "web-0123abc"}
	}
	for range rapid.IntRange(0, 4).Draw(r, "traffic") {
		if e.Kind != event.Served {
			break
		}
		t := event.Traffic{
			Minute: e.At, Service: "ecr", Operation: rapid.SampledFrom([]string{"BatchGetImage", "PutImage"}).Draw(r, "operation"), Repository: repo,
			Principal: rapid.SampledFrom([]string{ciRole, ""}).Draw(r, "principal"), Calls: int64(rapid.IntRange(1, 9).Draw(r, "calls")),
			BytesIn: int64(rapid.IntRange(0, 1).Draw(r, "in")) * 4096, BytesOut: int64(rapid.IntRange(0, 9).Draw(r, "out")) * 1000,
		}
		switch rapid.IntRange(0, 3).Draw(r, "sort") {
		case 0:
			t.Repository, t.Fault = "no/such", "RepositoryNotFoundException"
		case 1:
			t.Fault = "AccessDeniedException"
		case 2:
			t.Digest, t.Pulls = digest.Draw(r, "pulled"), int64(rapid.IntRange(1, 5).Draw(r, "pulls"))
		}
		e.Traffic = append(e.Traffic, t)
	}
	return e
}

var errCrash = errors.New("the lights went out")

// crashing is a store that breaks when it is told to: before it counts, or after.
type crashing struct {
	usage.Store
	before, after bool
}

func (c *crashing) Count(ctx context.Context, b usage.Batch) (bool, error) {
	if c.before {
		return false, errCrash
	}
	counted, err := c.Store.Count(ctx, b)
	if c.after {
		err = errors.Join(err, errCrash)
	}
	return counted, err
}

// TestEventsCountOnce hands on random events in any order, again and again, with crashes on either side of the commit and upkeep between,
// and compares with a count by hand.
func TestEventsCountOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		w := newWorld(b)
		store := &crashing{Store: b.db.Usage()}
		c := b.config()
		c.Store = store
		counting := usage.New(c)
		want, id := naive{}, int64(1_000_000)
		rapid.Check(t, func(r *rapid.T) {
			events := make([]event.Event, rapid.IntRange(1, 8).Draw(r, "events"))
			for i := range events {
				id++
				events[i] = w.drawEvent(r, id)
				w.count(want, events[i])
			}
			done := map[int64]bool{}
			for len(done) < len(events) {
				var some []event.Event
				for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(events)-1), 1, -1, rapid.ID[int]).Draw(r, "some") {
					some = append(some, events[i])
				}
				crash := rapid.IntRange(0, 3).Draw(r, "crash")
				store.before, store.after = crash == 0, crash == 1
				handle := func() error { return counting.HandleAll(t.Context(), some) }
				if rapid.Bool().Draw(r, "alone") {
					some = some[:1]
					handle = func() error { return counting.Handle(t.Context(), some[0]) }
				}
				if err := handle(); err == nil {
					for _, e := range some {
						done[e.ID] = true
					}
				} else if !errors.Is(err, errCrash) {
					r.Fatalf("Handle: %v", err)
				}
				if rapid.IntRange(0, 9).Draw(r, "upkeep") == 0 {
					b.now = noon.Add(time.Duration(rapid.IntRange(-2, 5).Draw(r, "hours")) * time.Hour)
					b.rollUp()
				}
			}
			b.now = noon
			if diff := cmp.Diff(map[string]float64(want), b.totals()); diff != "" {
				r.Fatalf("after %v (-want +got):\n%s", events, diff)
			}
		})
	})
}

// totals reads all metrics of the registry's own, by hours.
func (b *bench) totals() map[string]float64 {
	b.t.Helper()
	all := map[string]float64{}
	for _, m := range b.metrics(usage.Filter{}) {
		names := []string{}
		for _, d := range m.Dimensions {
			names = append(names, d.Value)
		}
		for _, p := range b.points(m, noon.Add(-time.Hour), noon.Add(3*time.Hour), time.Hour) {
			all[m.Name+" "+strings.Join(names, " ")] += p.Sum
		}
	}
	return all
}

func TestMarksOfEventsGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		e := event.Event{ID: 1 << 40, Kind: event.ImageScanned, At: noon, Repository: repo, ScanStatus: "COMPLETE"}
		again := func(want float64) {
			t.Helper()
			if err := b.usage.Handle(t.Context(), e); err != nil {
				t.Fatalf("Handle: %v", err)
			}
			if got := b.totals()["ScanCount "+repo]; got != want {
				t.Errorf("counted %v times, want %v", got, want)
			}
		}
		again(1)
		b.forget()
		again(1)
		b.now = noon.Add(3 * time.Hour)
		b.forget() // it is not in the outbox: nobody will bring it again
		b.now = noon
		again(2)
	})
}

func TestWhoseImageItIs(t *testing.T) {
	t.Parallel()
	tags := func(tags ...string) usage.Labels { return usage.Labels{Tags: tags} }
	says := func(name, app string) usage.Labels { return usage.Labels{Annotations: map[string]string{name: app}} }
	for name, tt := range map[string]struct {
		labels usage.Labels
		want   string
	}{
		"nothing":                      {usage.Labels{}, ""},
		"a version":                    {tags("v1.2.3", "latest"), ""},
		"a commit":                     {tags("web-0123abc"), "web"},
		"the newest":                   {tags("web-api-latest"), "web-api"},
		"a whole commit":               {tags("web-" + strings.Repeat("0a", 20)), "web"},
		"six digits":                   {tags("web-0123ab"), ""},
		"two apps":                     {tags("web-latest", "api-latest"), "api"},
		"a signature's tag":            {tags("sha256-" + strings.Repeat("ab", 32)), ""},
		"a signature's tag, as cosign": {tags("sha256-" + strings.Repeat("ab", 32) + ".sig"), ""},
		"a deployment":                 {tags("deploy-prod-web"), "web"},
		"an annotation first":          {usage.Labels{Tags: []string{"api-latest"}, Annotations: map[string]string{"vnd.berth.image.app": "web"}}, "web"},
		"a record's annotation":        {says("vnd.berth.deployment.app", "web"), "web"},
		"an annotation that rings":     {says("vnd.berth.image.app", "w\x1b[2Jeb"), ""},
		"an index's tags":              {usage.Labels{Tags: []string{"v1"}, Around: []usage.Labels{tags("web-latest"), tags("api-latest"), tags("v2")}}, "api"},
		"its own before the index's":   {usage.Labels{Tags: []string{"web-latest"}, Around: []usage.Labels{tags("api-latest")}}, "web"},
		"no app's name":                {tags("-latest", "_-0123abc", strings.Repeat("x", 65)+"-latest"), ""},
	} {
		if got := tt.labels.App(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func (b *bench) metrics(f usage.Filter) (all []usage.Metric) {
	b.t.Helper()
	for token := ""; ; {
		page, err := b.usage.Metrics(b.t.Context(), self, f, 0, token)
		if err != nil {
			b.t.Fatalf("Metrics: %v", err)
		}
		for _, l := range page.Items {
			l.Metric.Unit = ""
			all = append(all, l.Metric)
		}
		if token = page.Next; token == "" {
			return all
		}
	}
}

// TestOneImageInManyIndexes has a pull write no more rows than it may, however many indexes somebody has put the image into.
func TestOneImageInManyIndexes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(repo)
		child := b.manifest(repo, `{"os":"linux"}`, "a layer")
		b.push(repo, child)
		indexes := make([]oci.Digest, usage.MaxIndexes+5)
		for i := range indexes {
			index := b.json(map[string]any{
				"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "annotations": map[string]string{"n": strconv.Itoa(i)},
				"manifests": []oci.Descriptor{{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(child), Size: int64(len(child))}},
			})
			b.push(repo, index)
			indexes[i] = oci.FromBytes(index)
		}
		e := event.Event{ID: 1_000_000, At: b.now, Kind: event.Served, Traffic: []event.Traffic{{
			Minute: b.now, Service: "ecr", Operation: "BatchGetImage", Repository: repo, Digest: oci.FromBytes(child), Calls: 1, Pulls: 1,
		}}}
		if err := b.usage.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		for i, d := range indexes {
			m := usage.NewMetric(usage.NamespaceBerth, usage.PullCount, usage.Dimension{Name: usage.DimensionRepository, Value: repo}, usage.Dimension{Name: usage.DimensionImage, Value: d.String()})
			if got := len(b.points(m, b.now, b.now.Add(time.Minute), time.Minute)); (got == 1) != (i >= 5) {
				t.Errorf("the index of place %d of %d has %d points, want the newest %d credited", i, len(indexes), got, usage.MaxIndexes)
			}
		}
	})
}
