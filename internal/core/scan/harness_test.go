package scan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account    = "123456789012"
	repo       = "team/app"
	configType = "application/vnd.oci.image.config.v1+json"
	layerType  = "application/vnd.oci.image.layer.v1.tar"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// content is what a layer of these tests is: it says itself what an extractor would find.
type content struct {
	Seed    string            `json:"seed,omitempty"`
	Files   []inventory.File  `json:"files,omitempty"`
	OS      *inventory.OS     `json:"os,omitempty"`
	Removes []string          `json:"removes,omitempty"`
	Problem string            `json:"problem,omitempty"`
	DiffID  oci.Digest        `json:"diffId,omitempty"`
	Extra   map[string]string `json:"extra,omitempty"`
	Later   []inventory.File  `json:"later,omitempty"` // what extractors of later revisions than the first find
	Worse   string            `json:"worse,omitempty"` // their problem
}

// reader is an extractor that believes what a layer says.
type reader struct {
	mu       sync.Mutex
	revision int
	reads    map[oci.Digest]int
	before   func(ctx context.Context, d oci.Digest) error // or nil
}

func (r *reader) Revision() int { return r.revision }

func (r *reader) Extract(ctx context.Context, blob oci.Descriptor, in io.Reader) (inventory.Layer, error) {
	r.mu.Lock()
	r.reads[blob.Digest]++
	before := r.before
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx, blob.Digest); err != nil {
			return inventory.Layer{}, err
		}
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return inventory.Layer{}, err
	}
	var c content
	if err := json.Unmarshal(raw, &c); err != nil {
		return inventory.Layer{Problem: "it is no tar"}, nil //nolint:nilerr // the layer's fault
	}
	l := inventory.Layer{DiffID: oci.FromBytes(raw), Files: c.Files, Whiteouts: c.Removes, Problem: c.Problem}
	if r.revision > 1 {
		l.Files, l.Problem = append(l.Files, c.Later...), c.Problem+c.Worse
	}
	if c.OS != nil {
		l.Releases = []inventory.Release{{Path: "etc/os-release", OS: *c.OS}}
	}
	return l, nil
}

func (r *reader) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, k := range r.reads {
		n += k
	}
	return n
}

// bench is a registry that scans, on a real database and a real directory, with a clock that the test moves.
type bench struct {
	t        testing.TB
	db       *metadb.DB
	registry *registry.Registry
	service  *scan.Service
	reader   *reader
	events   event.Dispatcher
	heard    []event.Event

	mu    sync.Mutex
	now   time.Time
	opens int // blobs that scans began to read
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newBench(t, db))
	})
}

func newBench(t testing.TB, db *metadb.DB) *bench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t: t, db: db, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC),
		reader: &reader{revision: 1, reads: map[oci.Digest]int{}},
	}
	b.registry = registry.New(registry.Config{
		Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: b.clock, TrashWindow: time.Hour, Scanner: true, PinnedDeployments: 2,
	})
	b.service = scan.New(b.config())
	b.events = event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"scan": b.service, "test": b}, Now: b.clock}
	b.scanning(registry.Basic, registry.ScanOnPush)
	b.create(repo)
	return b
}

func (b *bench) config() scan.Config {
	return scan.Config{
		Registry: b.registry, Store: b.db, Work: b.db.Scans(), Layers: b.db.Judging(), Inventory: b.db.Judging(), Extractor: b.reader, Now: b.clock,
		Saver:      scan.NewJudge(scan.JudgeConfig{Store: b.db.Judging(), Now: b.clock}),
		Advisories: b.db.ScanReports(), Reads: b.db.ScanReports(), Names: b.db.Judging(), Exceptions: b.db.ScanExceptions(),
		Read: func(oci.Descriptor) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.opens++
		},
	}
}

// feed is an origin of advisories of one source.
type feed struct {
	source     string
	advisories []advisory.Advisory
	at         time.Time
}

func (f feed) String() string { return "test" }

func (f feed) Read(_ context.Context, _ map[string]advisory.Source, each func(advisory.Feed) error) error {
	return each(advisory.Feed{Source: f.source, AsOf: f.at, Entries: func(yield func(advisory.Advisory, error) bool) {
		for _, a := range f.advisories {
			if !yield(a, nil) {
				return
			}
		}
	}})
}

// advise imports advisories in the place of those that a source had, and judges by them.
func (b *bench) advise(source string, all ...advisory.Advisory) {
	b.t.Helper()
	_, err := advisory.Import(b.t.Context(), b.db.Advisories(), feed{source, all, b.clock()}, advisory.Options{Force: true, Now: b.clock})
	if err != nil {
		b.t.Fatalf("importing %s: %v", source, err)
	}
	b.judge()
}

// judge judges all images by what advisories say now.
func (b *bench) judge() {
	b.t.Helper()
	if _, err := scan.NewJudge(scan.JudgeConfig{Store: b.db.Judging(), Now: b.clock}).JudgeOnce(b.t.Context()); err != nil {
		b.t.Fatalf("judging: %v", err)
	}
}

// below is an advisory of versions below one, or of all where there is none.
func below(id, ecosystem, release, name, fixed, vector string, aliases ...string) advisory.Advisory {
	a := advisory.Advisory{
		ID: id, Aliases: aliases, Summary: "summary of " + id, URL: "https://advisories.example/" + id,
		Published: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Modified: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
	}
	events := []advisory.Event{{Introduced: "0"}}
	if fixed != "" {
		events = append(events, advisory.Event{Fixed: fixed})
	}
	a.Affected = []advisory.Affected{{Ecosystem: ecosystem, Release: release, Name: name, Ranges: []advisory.Range{{Events: events}}}}
	if v, ok := advisory.ParseVector(vector); ok {
		a.Vectors = []advisory.Vector{v}
	}
	return a
}

// report asks for findings.
func (b *bench) report(tag string, q scan.Query) scan.Report {
	b.t.Helper()
	r, err := b.service.Report(b.t.Context(), root, repo, registry.ImageID{Tag: tag}, q)
	if err != nil {
		b.t.Fatalf("Report: %v", err)
	}
	return r
}

// Handle implements event.Handler.
func (b *bench) Handle(_ context.Context, e event.Event) error {
	b.heard = append(b.heard, e)
	return nil
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) create(name string) {
	b.t.Helper()
	if _, err := b.registry.CreateRepository(b.t.Context(), root, registry.NewRepository{Name: name, Mutability: registry.Mutable}); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

func (b *bench) scanning(kind registry.ScanKind, f registry.ScanFrequency) {
	b.t.Helper()
	s := registry.Scanning{Kind: kind, Rules: []registry.ScanRule{{Frequency: f, Filters: []string{"*"}}}}
	if err := b.registry.PutScanning(b.t.Context(), root, s); err != nil {
		b.t.Fatalf("PutScanning: %v", err)
	}
}

func (b *bench) blob(mediaType string, raw []byte) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes(raw)
	_, err := b.registry.PutLayer(b.t.Context(), root, repo, d, registry.Part{Start: registry.Anywhere, Size: int64(len(raw)), Body: bytes.NewReader(raw)})
	if err != nil {
		b.t.Fatalf("PutLayer: %v", err)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

func (b *bench) json(v any) []byte {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// layer uploads a layer.
func (b *bench) layer(c content) oci.Descriptor {
	b.t.Helper()
	return b.blob(layerType, b.json(c))
}

// image pushes an image of layers, whose configuration tells the truth.
func (b *bench) image(tag string, layers ...oci.Descriptor) registry.Image {
	b.t.Helper()
	var diffs []oci.Digest
	var history []map[string]any
	for i, l := range layers {
		diffs = append(diffs, l.Digest)
		history = append(history, map[string]any{"created_by": fmt.Sprintf("RUN step %d", i+1)}, map[string]any{"created_by": "ENV a=b", "empty_layer": true})
	}
	return b.imageOf(tag, map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": diffs}, "history": history}, layers...)
}

func (b *bench) imageOf(tag string, config any, layers ...oci.Descriptor) registry.Image {
	b.t.Helper()
	raw, isRaw := config.([]byte)
	if !isRaw {
		raw = b.json(config)
	}
	if layers == nil {
		layers = []oci.Descriptor{}
	}
	manifest := b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": b.blob(configType, raw), "layers": layers})
	pushed, err := b.registry.PutImage(b.t.Context(), root, registry.Push{Repository: repo, Tags: []string{tag}, Manifest: manifest})
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return pushed.Image
}

// once does one scan and gives its error.
func (b *bench) once() error {
	b.t.Helper()
	_, err := b.service.ScanOnce(b.t.Context())
	return err
}

// work scans all that waits.
func (b *bench) work() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.service.ScanOnce(b.t.Context()); err != nil {
			b.t.Fatalf("ScanOnce: %v", err)
		}
	}
}

// stored gives an image's scan as its row has it.
func (b *bench) stored(img registry.Image) registry.Scan {
	b.t.Helper()
	scanning, err := b.registry.Scanning(b.t.Context(), root)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := b.db.Read().Scan(b.t.Context(), img.ID, scanning.Kind)
	if err != nil && !errors.Is(err, registry.ErrNoRow) {
		b.t.Fatalf("Scan: %v", err)
	}
	return s
}

func (b *bench) wantScan(img registry.Image, status registry.ScanStatus, words string) {
	b.t.Helper()
	if s := b.stored(img); s.Status != status || !bytes.Contains([]byte(s.Description), []byte(words)) {
		b.t.Errorf("the scan is %s, %q; want %s and words about %q", s.Status, s.Description, status, words)
	}
}

var debian = &inventory.OS{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"}

// dpkg is a dpkg database with packages, as name and version by turns.
func dpkg(packages ...string) inventory.File {
	f := inventory.File{Path: "var/lib/dpkg/status", Format: "dpkg"}
	for i := 0; i < len(packages); i += 2 {
		f.Packages = append(f.Packages, inventory.Package{
			Type: inventory.Deb, Name: packages[i], Version: packages[i+1], Source: packages[i], SourceVersion: packages[i+1], Arch: "amd64",
		})
	}
	return f
}
