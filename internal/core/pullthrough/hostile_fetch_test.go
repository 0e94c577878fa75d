package pullthrough_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// counted is a spool file that counts how many are open.
type counted struct {
	*os.File
	open *atomic.Int64
}

func (c counted) Close() error {
	c.open.Add(-1)
	return c.File.Close()
}

// TestASlowReaderKeepsNoSpool begins to read a layer, and goes on when all of it is stored.
func TestASlowReaderKeepsNoSpool(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		u := newUpstream(t)
		b := newBench(t, db, u)
		var open atomic.Int64
		b.remake(db, ociclient.New(ociclient.Config{Now: time.Now}), func() (pullthrough.Spool, error) {
			f, err := os.CreateTemp(t.TempDir(), "")
			open.Add(1)
			return counted{f, &open}, err
		})
		b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
		layer := layersOf(t, u.image("v1"))[1]
		b.pull(here, tagged("v1"))
		content, err := b.Layer(t.Context(), root, here, layer)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := content.Open(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		all := make([]byte, content.Size)
		if _, err := io.ReadFull(slow, all[:10]); err != nil {
			t.Fatal(err)
		}
		if _, err := b.read(t.Context(), layer, 0, -1); err != nil { // to the end, which is when all is stored
			t.Fatal(err)
		}
		if _, err := io.ReadFull(slow, all[10:20]); err != nil {
			t.Fatal(err)
		}
		if n := open.Load(); n != 0 {
			t.Errorf("%d spools are open when the layer is stored", n)
		}
		if _, err := io.ReadFull(slow, all[20:]); err != nil || oci.FromBytes(all) != layer {
			t.Errorf("the slow reader has something else: %v", err)
		}
		if n, err := slow.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d bytes, %v", n, err)
		}
	})
}

// broken panics where the upstream's answers are read.
type broken struct {
	pullthrough.Upstream
	layers atomic.Bool
}

func (u *broken) Manifest(ctx context.Context, at pullthrough.Endpoint, repository string, ref oci.Reference) (pullthrough.Found, error) {
	if !u.layers.Load() {
		panic("an answer that nobody thought of")
	}
	return u.Upstream.Manifest(ctx, at, repository, ref)
}

func (*broken) Layer(context.Context, pullthrough.Endpoint, string, oci.Digest) (io.ReadCloser, int64, error) {
	panic("a layer that nobody thought of")
}

// TestAPanicIsOnePullsOnly has fetches panic: they run in goroutines of their own, where that would end the server.
func TestAPanicIsOnePullsOnly(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		u := newUpstream(t)
		b := newBench(t, db, u)
		client := &broken{Upstream: ociclient.New(ociclient.Config{Now: time.Now})}
		b.remake(db, client, nil)
		b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
		layer := layersOf(t, u.image("v1"))[1]
		for range 40 { // more than there are slots
			if _, err := b.Image(t.Context(), root, here, tagged("v1")); err == nil {
				t.Fatal("a manifest came")
			}
		}
		client.layers.Store(true)
		b.pull(here, tagged("v1"))
		for range 40 {
			if _, err := b.read(t.Context(), layer, 0, -1); err == nil {
				t.Fatal("a layer came")
			}
		}
	})
}

// remake puts another cache in the bench's place.
func (b *bench) remake(db *metadb.DB, client pullthrough.Upstream, spool func() (pullthrough.Spool, error)) {
	b.t.Helper()
	cache := pullthrough.New(pullthrough.Config{
		Registry: b.registry, Store: db.PullThrough(), Upstream: client, Spool: spool, Now: b.now,
		Secrets: map[string]pullthrough.Credentials{"upstream": {Username: b.upstream.berth.AccessKeyID, Password: b.upstream.berth.SecretAccessKey}},
		Logger:  slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	b.Cache = cache
	b.t.Cleanup(func() {
		cache.Close()
		switch c := client.(type) {
		case *ociclient.Client:
			c.Close()
		case *broken:
			if c, ok := c.Upstream.(*ociclient.Client); ok {
				c.Close()
			}
		}
	})
}
