package lifecycle_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "hoopstat-haus/prod"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// bench is a service over a real registry and database, with a clock that the test moves.
type bench struct {
	*lifecycle.Service
	t        *testing.T
	db       *metadb.DB
	registry *registry.Registry
	repo     registry.Repository
	now      time.Time
}

// each runs the test on every database there is, with one empty repository.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, db: db, now: noon}
		clock := func() time.Time { return b.now }
		b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock, PinnedDeployments: 2})
		b.Service = lifecycle.New(lifecycle.Config{Registry: b.registry, Store: db, Rows: db.Lifecycle(), Now: clock})
		if b.repo, err = b.registry.CreateRepository(t.Context(), root, registry.NewRepository{Name: repo}); err != nil {
			t.Fatal(err)
		}
		test(t, b)
	})
}

// with is the same service with another part.
func (b *bench) with(change func(*lifecycle.Config)) *lifecycle.Service {
	c := b.Config
	change(&c)
	return lifecycle.New(c)
}

func (b *bench) update(f func(ctx context.Context, tx registry.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), func(tx registry.Tx) error { return f(b.t.Context(), tx) }); err != nil {
		b.t.Fatalf("Update: %v", err)
	}
}

func digestOf(name string) oci.Digest { return oci.FromBytes([]byte("manifest of " + name)) }

// image stores an image of that name and so many days of age.
func (b *bench) image(name string, days int, tags ...string) registry.Image {
	b.t.Helper()
	return b.imageWith(name, days, "", nil, tags...)
}

func (b *bench) imageWith(name string, days int, subject string, children []string, tags ...string) registry.Image {
	b.t.Helper()
	img := registry.Image{
		Digest: digestOf(name), MediaType: oci.MediaTypeOCIManifest, Size: 10, ManifestSize: 10,
		PushedAt: b.now.AddDate(0, 0, -days), Manifest: []byte("manifest of " + name),
	}
	if subject != "" {
		img.Subject = digestOf(subject)
	}
	var refs registry.References
	for _, c := range children {
		refs.Children = append(refs.Children, digestOf(c))
	}
	b.update(func(ctx context.Context, tx registry.Tx) (err error) {
		if img.ID, err = tx.InsertImage(ctx, b.repo.ID, img, refs); err != nil {
			return err
		}
		for _, t := range tags {
			if err := tx.SetTag(ctx, b.repo.ID, t, img.ID, b.now); err != nil {
				return err
			}
		}
		return nil
	})
	return img
}

func (b *bench) put(text string) {
	b.t.Helper()
	if _, err := b.PutPolicy(b.t.Context(), root, repo, text); err != nil {
		b.t.Fatalf("PutPolicy: %v", err)
	}
}

func (b *bench) policy() registry.LifecyclePolicy {
	b.t.Helper()
	p, err := b.Policy(b.t.Context(), root, repo)
	if err != nil {
		b.t.Fatalf("Policy: %v", err)
	}
	return p
}

// apply runs the job until there is nothing left to do, and tells how often there was.
func (b *bench) apply(s *lifecycle.Service) int {
	b.t.Helper()
	for runs := range 20 {
		more, err := s.ApplyOnce(b.t.Context())
		if err != nil {
			b.t.Fatalf("ApplyOnce: %v", err)
		}
		if !more {
			return runs
		}
	}
	b.t.Fatal("ApplyOnce comes to no end")
	return 0
}

// wantThere checks which of the named images the repository has.
func (b *bench) wantThere(what string, all []string, want ...string) {
	b.t.Helper()
	var got []string
	for _, name := range all {
		_, err := b.db.Read().ImageByDigest(b.t.Context(), b.repo.ID, digestOf(name))
		if err == nil {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	// A copy: the caller's slice may be a table's, which another database's run reads at the same time.
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		b.t.Errorf("%s: the repository has %v, want %v", what, got, want)
	}
}

// events empties the outbox.
func (b *bench) events() []event.Event {
	b.t.Helper()
	events, err := b.db.Outbox().Claim(b.t.Context(), b.now.Add(time.Hour), b.now.Add(24*time.Hour), 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return events
}

// hand gives the events in the outbox to the service, as the dispatcher does.
func (b *bench) hand() {
	b.t.Helper()
	for _, e := range b.events() {
		if err := b.Handle(b.t.Context(), e); err != nil {
			b.t.Fatalf("Handle(%s): %v", e.Kind, err)
		}
	}
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("image-%04d", i)
	}
	return all
}

func wantFault(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code {
		t.Errorf("%s: %v, want the fault %q", what, err, code)
		return
	}
	if words != "" && f.Message != words {
		t.Errorf("%s says %s\nwant %s", what, f.Message, words)
	}
}

func wantSame[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
