package pullthrough_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account   = "123456789012"
	there     = "team/app"    // a repository of the upstream
	here      = "up/team/app" // what it is called in the cache
	secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:upstream"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// upstream is a whole Berth behind a proxy that counts, and does wrong when told to.
type upstream struct {
	t      *testing.T
	berth  *berthtest.Server
	url    string
	mu     sync.Mutex
	counts map[string]int
	wrong  func(w http.ResponseWriter, r *http.Request) bool // true when it answered itself
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{t: t, berth: berthtest.New(t), counts: map[string]int{}}
	u.berth.CreateRepository(t, there)
	target, err := url.Parse(u.berth.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target) // which leaves Host as it came: it is signed
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		if r.Header.Get("Authorization") != "" { // not the questions that are answered with a challenge
			u.counts[r.Method+" "+r.URL.Path]++
		}
		wrong := u.wrong
		u.mu.Unlock()
		if wrong == nil || !wrong(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

func (u *upstream) doWrong(f func(w http.ResponseWriter, r *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wrong = f
}

// asked tells how many requests came since it was last called, of a method and with a path that contains a text.
func (u *upstream) asked(method, path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for request, times := range u.counts {
		m, p, _ := strings.Cut(request, " ")
		if (method == "" || m == method) && strings.Contains(p, path) {
			n += times
		}
	}
	return n
}

func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.counts)
}

func (u *upstream) ref(tag string) name.Reference {
	u.t.Helper()
	ref, err := name.ParseReference(u.berth.Host + "/" + there + ":" + tag)
	if err != nil {
		u.t.Fatal(err)
	}
	return ref
}

func (u *upstream) auth() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "AWS", Password: u.berth.Password(u.t)})
}

// image pushes one of two layers under a tag.
func (u *upstream) image(tag string) v1.Image {
	u.t.Helper()
	img, err := random.Image(100_000, 2)
	if err == nil {
		err = remote.Write(u.ref(tag), img, u.auth())
	}
	if err != nil {
		u.t.Fatalf("pushing %s upstream: %v", tag, err)
	}
	return img
}

// index pushes an index of three images.
func (u *upstream) index(tag string) v1.ImageIndex {
	u.t.Helper()
	index, err := random.Index(10_000, 1, 3)
	if err == nil {
		err = remote.WriteIndex(u.ref(tag), index, u.auth())
	}
	if err != nil {
		u.t.Fatalf("pushing %s upstream: %v", tag, err)
	}
	return index
}

// bench is a cache on a real database and a real directory, with a clock that the test moves.
type bench struct {
	*pullthrough.Cache
	t        *testing.T
	registry *registry.Registry
	upstream *upstream
	mu       sync.Mutex
	at       time.Time
	told     []event.Event // guarded by mu
}

// each runs the test on every database there is, with a rule that makes up/… the upstream's.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		u := newUpstream(t)
		b := newBench(t, db, u)
		b.rule(pullthrough.Rule{Prefix: "up", Upstream: u.url, Credential: secretARN})
		test(t, b)
	})
}

func newBench(t *testing.T, db *metadb.DB, u *upstream) *bench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, upstream: u, at: time.Now()}
	b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: b.now, TrashWindow: 24 * time.Hour})
	secrets := map[string]pullthrough.Credentials{}
	if u != nil {
		secrets["upstream"] = pullthrough.Credentials{Username: u.berth.AccessKeyID, Password: u.berth.SecretAccessKey}
	}
	// Upstream goes by the true time, whatever the test makes of it here.
	client := ociclient.New(ociclient.Config{Now: time.Now, Pause: 2 * time.Second})
	dir := t.TempDir()
	b.Cache = pullthrough.New(pullthrough.Config{
		Registry: b.registry, Store: db.PullThrough(), Upstream: client, Secrets: secrets, Now: b.now,
		Spool:  func() (pullthrough.Spool, error) { return os.CreateTemp(dir, "") },
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Tell: func(_ context.Context, e event.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.told = append(b.told, e)
		},
	})
	t.Cleanup(func() {
		b.Close()
		client.Close()
	})
	return b
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func (b *bench) rule(r pullthrough.Rule) {
	b.t.Helper()
	if _, err := b.CreateRule(b.t.Context(), root, r); err != nil {
		b.t.Fatalf("CreateRule(%+v): %v", r, err)
	}
}

// pull gets an image that must come.
func (b *bench) pull(repository string, ref oci.Reference) registry.Image {
	b.t.Helper()
	img, err := b.Image(b.t.Context(), root, repository, ref)
	if err != nil {
		b.t.Fatalf("Image(%s, %s): %v", repository, ref, err)
	}
	return img
}

// read gets a layer's bytes.
func (b *bench) read(ctx context.Context, d oci.Digest, offset, length int64) ([]byte, error) {
	content, err := b.Layer(ctx, root, here, d)
	if err != nil {
		return nil, err
	}
	rc, err := content.Open(ctx, offset, length)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	defer rc.Close()
	if length < 0 {
		length = content.Size
	}
	return io.ReadAll(io.LimitReader(rc, length))
}

// stored tells whether the registry itself has an image.
func (b *bench) stored(ref oci.Reference) bool {
	b.t.Helper()
	_, err := b.registry.StatImage(b.t.Context(), root, here, ref)
	return err == nil
}

func (b *bench) storedLayer(d oci.Digest) bool {
	b.t.Helper()
	_, err := b.registry.StatLayer(b.t.Context(), root, here, d)
	return err == nil
}

func tagged(tag string) oci.Reference { return oci.Reference{Tag: tag} }

func digested(h v1.Hash) oci.Reference { return oci.Reference{Digest: oci.Digest(h.String())} }

func digestOf(t *testing.T, of interface{ Digest() (v1.Hash, error) }) oci.Digest {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return oci.Digest(h.String())
}

// layersOf lists an image's layers and its config by digest.
func layersOf(t *testing.T, img v1.Image) []oci.Digest {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	ds := []oci.Digest{oci.Digest(m.Config.Digest.String())}
	for _, l := range m.Layers {
		ds = append(ds, oci.Digest(l.Digest.String()))
	}
	return ds
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code {
		t.Errorf("%s: %v, want the fault %q", what, err, code)
	}
}
