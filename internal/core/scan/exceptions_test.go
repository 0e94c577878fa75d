package scan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	vexAccount = "123456789012"
	vexRepo    = "team/app"
)

var vexRoot = identity.Caller{Account: vexAccount, ARN: "arn:aws:iam::123456789012:root", UserID: vexAccount, Root: true}

// vexBench is a registry that enforces permissions, on a real database and a real directory, with a clock that the test moves.
type vexBench struct {
	t          *testing.T
	registry   *registry.Registry
	exceptions *scan.Exceptions
	db         *metadb.DB
	events     event.Dispatcher
	now        time.Time
	heard      []event.Event
	repoID     int64
}

func eachVex(t *testing.T, test func(t *testing.T, b *vexBench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := &vexBench{t: t, db: db, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
		now := func() time.Time { return b.now }
		directory := identity.NewDirectory(identity.Config{Store: db, Account: vexAccount, Now: now})
		service := access.New(access.Config{Store: db.Access(), Directory: directory, Account: vexAccount, Region: "us-east-1", Now: now})
		b.registry = registry.New(registry.Config{
			Store: db, Blobs: blobs, Account: vexAccount, Region: "us-east-1", Now: now, Access: service, TrashWindow: time.Hour, Scanner: true,
		})
		b.exceptions = scan.NewExceptions(scan.ExceptionsConfig{Registry: b.registry, Store: db, Rows: db.ScanExceptions(), Now: now, Notify: func() {}})
		b.events = event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"exceptions": b.exceptions, "heard": b}, Now: now}
		repo, err := b.registry.CreateRepository(t.Context(), vexRoot, registry.NewRepository{Name: vexRepo, Mutability: registry.Mutable})
		if err != nil {
			t.Fatal(err)
		}
		b.repoID = repo.ID
		test(t, b)
	})
}

// user makes somebody who may do the actions.
func (b *vexBench) user(name string, actions ...string) identity.Caller {
	b.t.Helper()
	c := identity.Caller{Account: vexAccount, ARN: "arn:aws:iam::" + vexAccount + ":user/" + name, UserID: "AIDA" + strings.ToUpper(name) + "0000000000000"}
	err := b.db.Access().Update(b.t.Context(), func(tx access.Tx) error {
		p := access.Principal{ID: c.UserID, Kind: access.User, Name: name, Path: "/", ARN: c.ARN, CreatedAt: b.now}
		if err := tx.InsertPrincipal(b.t.Context(), p); err != nil {
			return err
		}
		document := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["%s"],"Resource":"*"}]}`, strings.Join(actions, `","`))
		return tx.PutInlinePolicy(b.t.Context(), c.UserID, access.InlinePolicy{Name: "own", Document: document})
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *vexBench) layer(mediaType, content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: strings.NewReader(content)}
	if _, err := b.registry.PutLayer(b.t.Context(), vexRoot, vexRepo, d, part); err != nil && !errors.Is(err, fault.LayerExists) {
		b.t.Fatalf("PutLayer: %v", err)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (b *vexBench) put(who identity.Caller, members map[string]any, tags ...string) registry.Pushed {
	b.t.Helper()
	members["schemaVersion"], members["mediaType"] = 2, oci.MediaTypeOCIManifest
	if _, index := members["manifests"]; index {
		members["mediaType"] = oci.MediaTypeOCIIndex
	}
	raw, err := json.Marshal(members)
	if err != nil {
		b.t.Fatal(err)
	}
	pushed, err := b.registry.PutImage(b.t.Context(), who, registry.Push{Repository: vexRepo, Manifest: raw, Tags: tags})
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return pushed
}

func (b *vexBench) image(seed string, tags ...string) registry.Image {
	b.t.Helper()
	return b.put(vexRoot, map[string]any{
		"config": b.layer("application/vnd.oci.image.config.v1+json", "config of "+seed),
		"layers": []oci.Descriptor{b.layer("application/vnd.oci.image.layer.v1.tar", "layer of "+seed)},
	}, tags...).Image
}

// attach pushes a document and has its event handled.
func (b *vexBench) attach(who identity.Caller, subject registry.Image, document string) registry.Pushed {
	b.t.Helper()
	pushed := b.put(who, map[string]any{
		"artifactType": vex.MediaType, "config": b.layer("application/vnd.oci.empty.v1+json", "{}"),
		"layers":  []oci.Descriptor{b.layer(vex.MediaType, document)},
		"subject": oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.ManifestSize},
	})
	b.work()
	return pushed
}

func (b *vexBench) work() {
	b.t.Helper()
	if _, err := b.events.Once(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// holding names the exceptions of an image.
func (b *vexBench) holding(d oci.Digest) string {
	b.t.Helper()
	list, err := b.db.ScanExceptions().Exceptions(b.t.Context(), b.repoID, d)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, strings.TrimSuffix(e.Vulnerability+" "+e.Package, " "))
	}
	return strings.Join(names, ", ")
}

// problems lists why documents of an image do not count.
func (b *vexBench) problems(d oci.Digest) []string {
	b.t.Helper()
	_, _, documents, err := b.exceptions.List(b.t.Context(), vexRoot, vexRepo, registry.ImageID{Digest: d.String()})
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, d := range documents {
		all = append(all, d.Problem)
	}
	return all
}

// Handle notes events.
func (b *vexBench) Handle(_ context.Context, e event.Event) error {
	b.heard = append(b.heard, e)
	return nil
}

// excepting writes a document of one exception; products is a list in JSON, or empty.
func excepting(name, products string) string {
	if products != "" {
		products = `,"products":[` + products + `]`
	}
	return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"alice","timestamp":"2026-11-01T00:00:00Z","version":1,"expires":"2026-12-01T00:00:00Z",
		"statements":[{"vulnerability":{"name":"` + name + `","aliases":["GHSA-1"]},"status":"not_affected","impact_statement":"it is never called"` + products + `}]}`
}

var pusher = []string{"ecr:PutImage", "ecr:BatchDeleteImage"}

// TestWhoMayExcept: a document counts by the right of who pushed it, when it was pushed.
func TestWhoMayExcept(t *testing.T) {
	t.Parallel()
	eachVex(t, func(t *testing.T, b *vexBench) {
		img := b.image("a")
		dev, boss := b.user("dev", pusher...), b.user("boss", append(pusher, "ecr:PutImageScanningConfiguration")...)
		document := excepting("CVE-1", "")
		b.attach(dev, img, document)
		if got := b.holding(img.Digest); got != "" {
			t.Errorf("what dev says counts: %s", got)
		}
		want := []string{"whoever attached it may not ecr:PutImageScanningConfiguration on the repository"}
		if diff := cmp.Diff(want, b.problems(img.Digest)); diff != "" {
			t.Errorf("why not (-want +got):\n%s", diff)
		}
		if p := b.attach(dev, img, document); !p.Unchanged {
			t.Errorf("pushed again by dev: %+v", p)
		}
		if p := b.attach(boss, img, document); p.Unchanged || !p.Known {
			t.Errorf("pushed again by boss: %+v", p)
		}
		if got := b.holding(img.Digest); got != "CVE-1" {
			t.Errorf("when boss says the same, there are %q", got)
		}
		list, err := b.db.ScanExceptions().Exceptions(t.Context(), b.repoID, img.Digest)
		if err != nil {
			t.Fatal(err)
		}
		wantOne := []scan.Exception{{
			ID: list[0].ID, Repository: vexRepo, Digest: img.Digest, Vulnerability: "CVE-1", Aliases: []string{"GHSA-1"}, Status: "not_affected", Owner: "alice",
			Reason: "it is never called", Document: list[0].Document, CreatedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		}}
		if diff := cmp.Diff(wantOne, list); diff != "" {
			t.Errorf("the exception (-want +got):\n%s", diff)
		}
		b.attach(dev, img, document)
		if got := b.holding(img.Digest); got != "CVE-1" {
			t.Errorf("after dev pushed it again there are %q", got)
		}
		if _, _, _, err := b.exceptions.List(t.Context(), dev, vexRepo, registry.ImageID{Digest: img.Digest.String()}); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("dev may list: %v", err)
		}
	})
}

// TestWhatIsExcepted: products, and where they hold.
func TestWhatIsExcepted(t *testing.T) {
	t.Parallel()
	eachVex(t, func(t *testing.T, b *vexBench) {
		one, two := b.image("one"), b.image("two")
		index := b.put(vexRoot, map[string]any{"manifests": []oci.Descriptor{{MediaType: one.MediaType, Digest: one.Digest, Size: one.ManifestSize}}}).Image
		product := func(id string) string { return `{"@id":"` + id + `"}` }
		b.attach(vexRoot, one, excepting("CVE-own", ""))
		b.attach(vexRoot, one, excepting("CVE-two", product("pkg:oci/app@"+two.Digest.String())))
		b.attach(vexRoot, one, excepting("CVE-all", product("pkg:oci/app?repository_url=host.test/"+vexRepo)))
		b.attach(vexRoot, one, excepting("CVE-package", product("pkg:deb/debian/openssl")+`,{"@id":"pkg:oci/app@`+one.Digest.String()+`","subcomponents":[{"@id":"zlib"}]}`))
		b.attach(vexRoot, index, excepting("CVE-index", ""))
		b.attach(vexRoot, two, excepting("CVE-elsewhere", product("pkg:oci/other")))
		b.attach(vexRoot, two, strings.Replace(excepting("CVE-endless", ""), `"expires"`, `"x"`, 1))
		b.attach(vexRoot, two, "no document")
		for d, want := range map[oci.Digest]string{
			one.Digest: "CVE-own, CVE-all, CVE-package openssl, CVE-package zlib, CVE-index",
			two.Digest: "CVE-two, CVE-all", index.Digest: "CVE-all, CVE-index", oci.FromBytes(nil): "CVE-all",
		} {
			if got := b.holding(d); got != want {
				t.Errorf("of %s there are %q, want %q", d, got, want)
			}
		}
		got := b.problems(two.Digest)
		if len(got) != 3 || got[0] != "it excepts nothing in this repository" || !strings.Contains(got[1], `has no end: add "expires"`) || !strings.Contains(got[2], "no OpenVEX") {
			t.Errorf("why not: %q", got)
		}
	})
}

// TestExceptionsGoAndComeBack with what says them.
func TestExceptionsGoAndComeBack(t *testing.T) {
	t.Parallel()
	eachVex(t, func(t *testing.T, b *vexBench) {
		img := b.image("a", "v1")
		dev := b.user("dev", pusher...)
		said := b.attach(vexRoot, img, excepting("CVE-1", "")).Image
		wants := func(what, want string) {
			t.Helper()
			b.work()
			if got := b.holding(img.Digest); got != want {
				t.Errorf("%s there are %q, want %q", what, got, want)
			}
		}
		id := func(d oci.Digest) []registry.ImageID { return []registry.ImageID{{Digest: d.String()}} }
		remove := func(d oci.Digest) {
			t.Helper()
			if res, err := b.registry.DeleteImages(t.Context(), dev, vexRepo, id(d)); err != nil || res[0].Err != nil {
				t.Fatalf("deleting: %+v, %v", res, err)
			}
		}
		restore := func(who identity.Caller, d oci.Digest) {
			t.Helper()
			if res, err := b.registry.RestoreImages(t.Context(), who, vexRepo, id(d), registry.RestoreOptions{}); err != nil || res[0].Err != nil {
				t.Fatalf("restoring: %+v, %v", res, err)
			}
		}
		wants("at first", "CVE-1")
		remove(img.Digest)
		wants("with the image deleted", "")
		restore(dev, img.Digest)
		wants("with the image restored, by somebody who may not except,", "CVE-1")
		remove(said.Digest)
		wants("with the document deleted", "")
		restore(dev, said.Digest)
		wants("with the document restored by somebody who may not except", "")
		remove(said.Digest)
		restore(vexRoot, said.Digest)
		wants("with the document restored by root", "CVE-1")
		if _, err := b.registry.DeleteRepository(t.Context(), vexRoot, vexRepo, true); err != nil {
			t.Fatal(err)
		}
		wants("with the repository deleted", "")
	})
}

// TestExpiry: one event for each exception, whatever number of replicas looks.
func TestExpiry(t *testing.T) {
	t.Parallel()
	eachVex(t, func(t *testing.T, b *vexBench) {
		img := b.image("a")
		b.attach(vexRoot, img, excepting("CVE-1", `{"@id":"pkg:deb/debian/openssl"}`))
		b.attach(vexRoot, img, strings.ReplaceAll(excepting("CVE-2", ""), "2026-12-01", "2026-12-02"))
		once := func() {
			t.Helper()
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if more, err := b.exceptions.ExpireOnce(t.Context()); more || err != nil {
						t.Errorf("ExpireOnce: %v, %v", more, err)
					}
				})
			}
			wg.Wait()
			b.heard = nil
			b.work()
		}
		if once(); len(b.heard) > 0 {
			t.Errorf("before the time there are %+v", b.heard)
		}
		b.now = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
		once()
		var got []string
		for _, e := range b.heard {
			got = append(got, fmt.Sprint(e.Kind, " ", e.Repository, " ", e.Digest == img.Digest, " ", e.Reason))
		}
		want := []string{"exception.expired team/app true The exception for CVE-1 in openssl has expired, on 2026-12-01T00:00:00Z: it is alice's to renew, or the finding to be fixed."}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if once(); len(b.heard) > 0 {
			t.Errorf("told again: %+v", b.heard)
		}
	})
}

// TestDocumentsAreBounded: a document as large as a layer is not read.
func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	eachVex(t, func(t *testing.T, b *vexBench) {
		img := b.image("a")
		b.attach(vexRoot, img, string(bytes.Repeat([]byte(" "), vex.MaxSize+1)))
		if got := b.problems(img.Digest); len(got) != 1 || !strings.Contains(got[0], "more than 1048576 bytes") {
			t.Errorf("why not: %q", got)
		}
	})
}
