package gc_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestSweepRacesPushes pushes, mounts, deletes and deletes whole repositories while two replicas sweep, with a grace of a
// millisecond, so that nothing but the transactions themselves protects what is pushed. A push may be refused, since it was
// slower than the grace. One that was accepted must be whole.
func TestSweepRacesPushes(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := newRace(t, db)
		var pushers, sweepers sync.WaitGroup
		for range 2 {
			sweepers.Go(func() { r.sweep(gc.New(r.config)) })
		}
		for seed := range 4 {
			pushers.Go(func() { r.push(rand.New(rand.NewPCG(uint64(seed), 1)), 150) }) //nolint:gosec // not a secret
		}
		pushers.Wait()
		r.over.Store(true)
		sweepers.Wait()
		t.Logf("%d images were accepted, %d refused", r.accepted.Load(), r.refused.Load())
		if r.accepted.Load() < 50 {
			t.Error("this is too few to tell anything")
		}
		r.check()
		r.empty()
	})
}

type race struct {
	*bench
	repositories      []string
	over              atomic.Bool
	accepted, refused atomic.Int64
}

func newRace(t *testing.T, db *metadb.DB) *race {
	t.Helper()
	const grace = time.Millisecond
	r := &race{bench: &bench{t: t, db: db, dir: t.TempDir()}, repositories: []string{"aa", "bb", "cc"}}
	var err error
	if r.blobs, err = diskblob.Open(r.dir); err != nil {
		t.Fatal(err)
	}
	r.Registry = registry.New(registry.Config{
		Store: db, Blobs: r.blobs, Account: account, Region: "us-east-1", Now: time.Now, Grace: grace, TrashWindow: grace,
	})
	r.config = gc.Config{Rows: db.Garbage(), Blobs: r.blobs, Walker: r.blobs, Now: time.Now, Grace: grace, UploadTTL: time.Hour}
	for _, name := range r.repositories {
		r.create(name)
	}
	return r
}

func (r *race) sweep(s *gc.Service) {
	for !r.over.Load() {
		if _, err := s.SweepOnce(r.t.Context()); err != nil {
			r.t.Errorf("SweepOnce: %v", err)
		}
	}
}

func (r *race) push(random *rand.Rand, times int) {
	content := func() string { return fmt.Sprint("layer ", random.IntN(5)) }
	somewhere := func() string { return r.repositories[random.IntN(len(r.repositories))] }
	for range times {
		var err error
		switch name := somewhere(); random.IntN(12) {
		case 0:
			_, err = r.DeleteRepository(r.t.Context(), root, name, true)
			if err == nil {
				_, err = r.CreateRepository(r.t.Context(), root, registry.NewRepository{Name: name})
			}
		case 1:
			err = r.DeleteLayer(r.t.Context(), root, name, oci.FromBytes([]byte(content())))
		case 2, 3:
			err = r.DeleteImage(r.t.Context(), root, name, oci.Reference{Tag: content()[6:]})
		default:
			err = r.pushImage(name, content(), content(), random.IntN(2) == 0, somewhere())
		}
		if _, is := fault.Of(err); err != nil && !is {
			r.t.Errorf("%v, want success or a fault", err)
		}
	}
}

// pushImage pushes an image of one layer, which it mounts where that goes.
func (r *race) pushImage(name, config, layer string, mount bool, from string) error {
	ctx := r.t.Context()
	c, err := r.tryLayer(ctx, name, config)
	if err != nil {
		return err
	}
	l := oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: oci.FromBytes([]byte(layer)), Size: int64(len(layer))}
	mounted := false
	if mount {
		if _, mounted, err = r.MountLayer(ctx, root, name, l.Digest, from); err != nil {
			return err
		}
	}
	if !mounted {
		if l, err = r.tryLayer(ctx, name, layer); err != nil {
			return err
		}
	}
	_, err = r.PutImage(ctx, root, registry.Push{Repository: name, Manifest: manifest(c, l), Tags: []string{layer[6:]}})
	if err == nil {
		r.accepted.Add(1)
	} else {
		r.refused.Add(1)
	}
	return err
}

// check reads all that the images refer to.
func (r *race) check() {
	r.t.Helper()
	images := 0
	for _, name := range r.repositories {
		repository, err := r.db.Read().Repository(r.t.Context(), name)
		if err != nil {
			continue // deleted at the end
		}
		page, err := r.db.Read().Images(r.t.Context(), repository.ID, registry.ImageQuery{Limit: 1000})
		if err != nil {
			r.t.Fatal(err)
		}
		for _, img := range page {
			images++
			whole, err := r.db.Read().ManifestIn(r.t.Context(), name, oci.Reference{Digest: img.Digest})
			if err != nil {
				r.t.Fatal(err)
			}
			for i := range 5 {
				content := fmt.Sprint("layer ", i)
				d := oci.FromBytes([]byte(content))
				if strings.Contains(string(whole.Manifest), d.String()) {
					r.checkLayer(name, d, content)
				}
			}
		}
	}
	r.t.Logf("%d images are there at the end", images)
}

func (r *race) checkLayer(name string, d oci.Digest, content string) {
	r.t.Helper()
	c, err := r.Layer(r.t.Context(), root, name, d)
	if err != nil {
		r.t.Errorf("an image of %s refers to %q: %v", name, content, err)
		return
	}
	rc, err := c.Open(r.t.Context(), 0, -1)
	if err != nil {
		r.t.Errorf("layer %q of %s: %v", content, name, err)
		return
	}
	got, err := io.ReadAll(rc)
	if cerr := rc.Close(); err != nil || cerr != nil || string(got) != content {
		r.t.Errorf("layer %q of %s reads as %q, %v", content, name, got, err)
	}
}

// empty deletes all: nothing may stay behind.
func (r *race) empty() {
	r.t.Helper()
	for _, name := range r.repositories {
		_, _ = r.DeleteRepository(r.t.Context(), root, name, true)
	}
	// A layer whose repository was deleted while it came has bytes and no row: the walk's.
	late := r.config
	late.Now = func() time.Time { return time.Now().Add(3 * day) }
	late.May = r.May
	r.gc = gc.New(late)
	r.bench.sweep()
	if _, err := r.gc.AllowStrays(r.t.Context(), root); err != nil { // there may be many
		r.t.Fatal(err)
	}
	r.walk()
	late.Now = func() time.Time { return time.Now().Add(4 * day) }
	r.gc = gc.New(late)
	r.bench.sweep()
	r.wantFiles("after everything was deleted", 0)
}
