package replicate_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "hoopstat-haus/prod"
)

var (
	root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}
	eu   = replicate.Destination{Region: "eu-west-1", RegistryID: account}
	ap   = replicate.Destination{Region: "ap-east-1", RegistryID: account}
)

// side is one registry on a real database and a real directory.
type side struct {
	*registry.Registry
	t       *testing.T
	db      *metadb.DB
	service *replicate.Service
}

// bench is a registry, here, and two others that it may send to, with a clock that the test moves.
type bench struct {
	*side
	t      *testing.T
	now    time.Time
	eu, ap *wire
	failed []error // that were reported
}

// wire is the way to a destination.
type wire struct {
	*side
	down    error                     // what every call answers, where it is set
	refused map[oci.Digest]error      // what is answered about an image
	before  func(img replicate.Image) // called before an image is taken in
	calls   []string                  // what was sent, in order: layer sha256:…, image sha256:…
}

func (w *wire) Prepare(ctx context.Context, repository string, d oci.Digest, layers []oci.Digest) (replicate.Lack, error) {
	if err := errors.Join(w.down, w.refused[d]); err != nil {
		return replicate.Lack{}, err
	}
	m, err := w.PrepareReplica(ctx, root, repository, d, layers)
	return replicate.Lack(m), err
}

func (w *wire) PutLayer(ctx context.Context, repository string, d oci.Digest, size int64, body io.Reader) error {
	if w.down != nil {
		return w.down
	}
	w.calls = append(w.calls, "layer "+d.String())
	_, err := w.Registry.PutLayer(ctx, root, repository, d, registry.Part{Size: size, Body: body})
	return err
}

func (w *wire) PutImage(ctx context.Context, img replicate.Image) ([]string, error) {
	if w.before != nil {
		w.before(img)
	}
	if w.down != nil {
		return nil, w.down
	}
	w.calls = append(w.calls, "image "+img.Digest.String())
	p, err := w.PutReplica(ctx, root, registry.Push{
		Repository: img.Repository, Manifest: img.Manifest, MediaType: img.MediaType, Digest: img.Digest, Tags: img.Tags,
	})
	return p.Dropped, err
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b := &bench{t: t, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
		b.side = b.newSide(db, "us-east-1")
		b.eu = &wire{side: b.newSide(metadbtest.New(t), "eu-west-1"), refused: map[oci.Digest]error{}}
		b.ap = &wire{side: b.newSide(metadbtest.New(t), "ap-east-1"), refused: map[oci.Digest]error{}}
		b.service = b.newService(b.side, "us-east-1", map[replicate.Destination]replicate.Remote{eu: b.eu, ap: b.ap})
		b.create(b.side, repo)
		test(t, b)
	})
}

func (b *bench) newSide(db *metadb.DB, region string) *side {
	b.t.Helper()
	blobs, err := diskblob.Open(b.t.TempDir())
	if err != nil {
		b.t.Fatal(err)
	}
	now := func() time.Time { return b.now }
	return &side{t: b.t, db: db, Registry: registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: region, Now: now, TrashWindow: time.Hour})}
}

func (b *bench) newService(s *side, region string, remotes map[replicate.Destination]replicate.Remote) *replicate.Service {
	return replicate.New(replicate.Config{
		Registry: s.Registry, Database: s.db, Store: s.db.Replications(), Backfills: s.db.Backfills(), Region: region,
		Remotes: remotes, Now: func() time.Time { return b.now },
		Report: func(_ context.Context, _ replicate.Row, err error) { b.failed = append(b.failed, err) },
	})
}

func (b *bench) create(s *side, name string) {
	b.t.Helper()
	if _, err := s.CreateRepository(b.t.Context(), root, registry.NewRepository{Name: name}); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

// rules replicates the repositories of the prefixes to the destinations.
func (b *bench) rules(destinations []replicate.Destination, prefixes ...string) {
	b.t.Helper()
	c := replicate.Configuration{Rules: []replicate.Rule{{Destinations: destinations, Prefixes: prefixes}}}
	if err := b.service.PutConfiguration(b.t.Context(), root, c); err != nil {
		b.t.Fatalf("PutConfiguration: %v", err)
	}
}

// hear hands events to the service.
func (b *bench) hear(s *side) {
	b.t.Helper()
	d := event.Dispatcher{Outbox: s.db.Outbox(), Handlers: map[string]event.Handler{"replication": s.service}, Now: func() time.Time { return b.now }}
	for more := true; more; {
		var err error
		if more, err = d.Once(b.t.Context()); err != nil {
			b.t.Fatalf("handing on events: %v", err)
		}
	}
}

// send does what is due.
func (b *bench) send(s *side) {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.service.SendOnce(b.t.Context()); err != nil {
			b.t.Fatalf("SendOnce: %v", err)
		}
	}
}

func (b *bench) settle() {
	b.t.Helper()
	b.hear(b.side)
	b.send(b.side)
}

// layer pushes bytes.
func (s *side) layer(repository, content string) oci.Descriptor {
	s.t.Helper()
	d := oci.FromBytes([]byte(content))
	if _, err := s.PutLayer(s.t.Context(), root, repository, d, registry.Part{Size: int64(len(content)), Body: strings.NewReader(content)}); err != nil {
		s.t.Fatalf("PutLayer: %v", err)
	}
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

// image pushes an image of its own content.
func (s *side) image(repository, name string, tags ...string) oci.Digest {
	s.t.Helper()
	return s.put(repository, s.manifest(repository, name, ""), tags...)
}

// manifest makes one, of layers that it pushes, with a subject where one is given.
func (s *side) manifest(repository, name string, subject oci.Digest) map[string]any {
	s.t.Helper()
	m := map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest,
		"config": s.layer(repository, `{"name":"`+name+`"}`), "layers": []oci.Descriptor{s.layer(repository, "layer of "+name)},
	}
	if subject != "" {
		m["subject"] = oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: subject, Size: 1}
	}
	return m
}

func (s *side) put(repository string, manifest any, tags ...string) oci.Digest {
	s.t.Helper()
	raw, err := json.Marshal(manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.PutImage(s.t.Context(), root, registry.Push{Repository: repository, Manifest: raw, Tags: tags})
	if err != nil {
		s.t.Fatalf("PutImage: %v", err)
	}
	return p.Image.Digest
}

// index pushes an index of images.
func (s *side) index(repository string, images []oci.Digest, tags ...string) oci.Digest {
	s.t.Helper()
	children := []oci.Descriptor{}
	for _, d := range images {
		img, err := s.StatImage(s.t.Context(), root, repository, oci.Reference{Digest: d})
		if err != nil {
			s.t.Fatal(err)
		}
		children = append(children, oci.Descriptor{MediaType: img.MediaType, Digest: d, Size: img.ManifestSize})
	}
	return s.put(repository, map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": children}, tags...)
}

// tags lists what a repository has: tag=digest for tags, the digest alone for images without.
func (s *side) content(repository string) []string {
	s.t.Helper()
	page, err := s.ImageIDs(s.t.Context(), root, repository, registry.ImageFilter{}, 0, "")
	if err != nil {
		return nil
	}
	var all []string
	for _, id := range page.Items {
		all = append(all, strings.TrimPrefix(id.Tag+"="+id.Digest, "="))
	}
	slices.Sort(all)
	return all
}

func (b *bench) wantContent(s *side, repository string, want ...string) {
	b.t.Helper()
	slices.Sort(want)
	if got := s.content(repository); !slices.Equal(got, want) {
		b.t.Errorf("%s has\n got %v\nwant %v", repository, got, want)
	}
}

// status gives destination=status(code) for an image.
func (b *bench) status(d oci.Digest) string {
	b.t.Helper()
	_, rows, err := b.service.ImageStatus(b.t.Context(), root, repo, registry.ImageID{Digest: d.String()})
	if err != nil {
		b.t.Fatalf("ImageStatus: %v", err)
	}
	var all []string
	for _, r := range rows {
		all = append(all, strings.TrimSuffix(r.Destination.Region+"="+string(r.Status)+" "+r.FailureCode, " "))
	}
	return strings.Join(all, ", ")
}

func (b *bench) wantStatus(d oci.Digest, want string) {
	b.t.Helper()
	if got := b.status(d); got != want {
		b.t.Errorf("status is %q, want %q (reported: %v)", got, want, b.failed)
	}
}

type digest = oci.Digest

func is(tag string, d oci.Digest) string { return tag + "=" + d.String() }
