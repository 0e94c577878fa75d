package sbom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "shop/web"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// bench is a registry on a real database and a real directory, whose images have what the test says.
type bench struct {
	t        *testing.T
	db       *metadb.DB
	registry *registry.Registry
	attacher *sbom.Attacher
	contents scan.Contents
	fails    error
	now      time.Time
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, db: db, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
		clock := func() time.Time { return b.now }
		b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock, TrashWindow: time.Hour, Scanner: true})
		b.attacher = sbom.New(sbom.Config{Registry: b.registry, Store: db, Inventory: b, Now: clock})
		for _, name := range []string{repo, "other"} {
			if _, err := b.registry.CreateRepository(t.Context(), root, registry.NewRepository{Name: name, Mutability: registry.Immutable}); err != nil {
				t.Fatal(err)
			}
		}
		test(t, b)
	})
}

// Contents implements sbom.Inventory.
func (b *bench) Contents(_ context.Context, _ identity.Caller, repository string, _ registry.ImageID) (scan.Contents, error) {
	c := b.contents
	c.Repository = repository
	return c, b.fails
}

func (b *bench) set(repositories []string, formats ...sbom.Format) {
	b.t.Helper()
	if _, err := b.attacher.PutSettings(b.t.Context(), root, sbom.Settings{Repositories: repositories, Formats: formats}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) blob(repository, mediaType, content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: strings.NewReader(content)}
	if _, err := b.registry.PutLayer(b.t.Context(), root, repository, d, part); err != nil {
		b.t.Fatalf("PutLayer: %v", err)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (b *bench) put(repository string, members map[string]any, tags ...string) registry.Image {
	b.t.Helper()
	members["schemaVersion"] = 2
	raw, err := json.Marshal(members)
	if err != nil {
		b.t.Fatal(err)
	}
	mediaType, _ := members["mediaType"].(string)
	p, err := b.registry.PutImage(b.t.Context(), root, registry.Push{Repository: repository, Manifest: raw, MediaType: mediaType, Tags: tags})
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return p.Image
}

// push pushes an image, and has it be what Contents tells of.
func (b *bench) push(repository, seed string) registry.Image {
	b.t.Helper()
	img := b.put(repository, map[string]any{
		"mediaType": oci.MediaTypeOCIManifest,
		"config":    b.blob(repository, "application/vnd.oci.image.config.v1+json", "{}"+seed),
		"layers":    []oci.Descriptor{b.blob(repository, "application/vnd.oci.image.layer.v1.tar", seed)},
	})
	b.contents = image()
	b.contents.Image = img
	return img
}

// artifact attaches a document to an image.
func (b *bench) artifact(img registry.Image, artifactType, mediaType, document string) registry.Image {
	b.t.Helper()
	return b.put(repo, map[string]any{
		"mediaType": oci.MediaTypeOCIManifest, "artifactType": artifactType,
		"config":  b.blob(repo, "application/vnd.oci.empty.v1+json", "{}"),
		"layers":  []oci.Descriptor{b.blob(repo, mediaType, document)},
		"subject": oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
	})
}

func (b *bench) scanned(repository string, img registry.Image, status registry.ScanStatus) error {
	return b.attacher.Handle(b.t.Context(), event.Event{Kind: event.ImageScanned, Repository: repository, Digest: img.Digest, ScanStatus: string(status)})
}

func (b *bench) referrers(repository string, d oci.Digest) []registry.Image {
	b.t.Helper()
	p, err := b.registry.Referrers(b.t.Context(), root, repository, d, registry.ReferrerFilter{}, 0, "")
	if err != nil {
		b.t.Fatal(err)
	}
	return p.Items
}

func TestAttaching(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.push(repo, "one")
		handle := func(repository string, img registry.Image, status registry.ScanStatus, want int) {
			t.Helper()
			if err := b.scanned(repository, img, status); err != nil {
				t.Fatal(err)
			}
			if got := b.referrers(repository, img.Digest); len(got) != want {
				t.Fatalf("%d referrers, want %d", len(got), want)
			}
		}
		handle(repo, img, registry.ScanComplete, 0) // nobody wants any
		b.set([]string{"shop/*"}, sbom.Formats()...)
		handle(repo, img, registry.ScanFailed, 0)
		handle(repo, img, registry.ScanComplete, 2)
		handle(repo, img, registry.ScanComplete, 2) // told twice
		b.contents.ScannedAt = b.contents.ScannedAt.Add(time.Hour)
		handle(repo, img, registry.ScanComplete, 2) // scanned again, nothing new
		b.contents.Inventory.Packages = b.contents.Inventory.Packages[1:]
		handle(repo, img, registry.ScanComplete, 4)
		handle("other", b.push("other", "two"), registry.ScanComplete, 0)

		for i, f := range sbom.Formats() {
			r := b.referrers(repo, img.Digest)[i]
			if r.ArtifactType != f.MediaType() || r.Subject != img.Digest || len(r.Tags) != 0 {
				t.Errorf("the artifact is %+v", r)
			}
			stored, err := b.db.Read().ManifestIn(t.Context(), repo, oci.Reference{Digest: r.Digest})
			if err != nil {
				t.Fatal(err)
			}
			m, err := oci.ParseManifest(r.MediaType, stored.Manifest)
			if err != nil {
				t.Fatal(err)
			}
			content, err := b.registry.Layer(t.Context(), root, repo, m.Layers[0].Digest)
			if err != nil {
				t.Fatal(err)
			}
			body, err := content.Open(t.Context(), 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			c := image()
			c.Image = img
			if !bytes.Equal(raw, write(t, f, c)) {
				t.Errorf("the document is %.300s", raw)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestNotAttaching: what is refused is left, what may go later is an error.
func TestNotAttaching(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.set([]string{"*"}, sbom.FormatSPDX)
		img := b.push(repo, "one")
		for _, tt := range []struct {
			fails error
			again bool
		}{
			{fault.New(fault.ImageNotFound, "gone"), false},
			{fault.New(fault.Unavailable, "busy"), true},
			{errors.New("a disk"), true},
		} {
			b.fails = tt.fails
			if err := b.scanned(repo, img, registry.ScanComplete); (err != nil) != tt.again {
				t.Errorf("after %v: %v", tt.fails, err)
			}
		}
		b.fails = nil
		b.contents.Repository = "nowhere"
		if err := b.attacher.Attach(t.Context(), b.contents); err == nil {
			t.Error("an SBOM was attached in no repository")
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		if got, err := b.attacher.Settings(t.Context(), root); err != nil || len(got.Repositories) != 0 {
			t.Errorf("before there are any: %+v, %v", got, err)
		}
		want := sbom.Settings{Repositories: []string{"shop/*", "*"}, Formats: []sbom.Format{sbom.FormatSPDX}}
		b.set(want.Repositories, want.Formats...)
		got, err := b.attacher.Settings(t.Context(), root)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		many := slices.Repeat([]string{"a"}, 101)
		for where, s := range map[string]sbom.Settings{
			"'repositoryFilters'":          {Repositories: many, Formats: want.Formats},
			"'repositoryFilters.1.member'": {Repositories: []string{"A"}, Formats: want.Formats},
			"'repositoryFilters.2.member'": {Repositories: []string{"a", strings.Repeat("a", 257)}, Formats: want.Formats},
			"'formats.1.member'":           {Repositories: []string{"a"}, Formats: []sbom.Format{"csv"}},
			"'formats.2.member'":           {Repositories: []string{"a"}, Formats: []sbom.Format{sbom.FormatSPDX, sbom.FormatSPDX}},
			"'formats'":                    {Repositories: []string{"a"}},
		} {
			_, err := b.attacher.PutSettings(t.Context(), root, s)
			if f, _ := fault.Of(err); f == nil || !errors.Is(err, fault.InvalidParameter) || !strings.Contains(f.Message, where) {
				t.Errorf("%+v: %v, want a fault at %s", s, err, where)
			}
		}
		if kept, err := b.attacher.Settings(t.Context(), root); err != nil || !cmp.Equal(kept, want) {
			t.Errorf("after what was refused: %+v, %v", kept, err)
		}
		b.set(nil)
		if got, err := b.attacher.Settings(t.Context(), root); err != nil || len(got.Repositories)+len(got.Formats) != 0 {
			t.Errorf("after they were emptied: %+v, %v", got, err)
		}
		nobody := identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/nobody", UserID: "nobody"}
		if _, err := b.attacher.Settings(t.Context(), nobody); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("nobody sees them: %v", err)
		}
		if _, err := b.attacher.PutSettings(t.Context(), nobody, want); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("nobody sets them: %v", err)
		}
	})
}

func TestClaimed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.push(repo, "one")
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		claimed := func(want ...string) {
			t.Helper()
			found, err := b.attacher.Claimed(t.Context(), repository, img.Digest, inventory.Image{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range found.Packages {
				got = append(got, string(p.Type)+" "+p.Name+" "+p.Path)
			}
			if !slices.Equal(got, want) {
				t.Errorf("claimed is %q, want %q", got, want)
			}
		}
		components := func(purl string) string { return fmt.Sprintf(`{"components":[{"purl":%q}]}`, purl) }
		claimed()
		b.artifact(img, sbom.TypeSPDX, sbom.TypeSPDX, "no JSON")
		b.artifact(img, "application/vnd.other", sbom.TypeCycloneDX, components("pkg:cargo/other@1"))
		claimed()
		first := b.artifact(img, sbom.TypeCycloneDX, sbom.TypeCycloneDX, components("pkg:gem/first@1"))
		claimed("gem first " + string(first.Digest))
		b.artifact(img, sbom.TypeCycloneDX, sbom.TypeCycloneDX, components("pkg:gem/second@1")) // told already
		statement := b.artifact(img, "application/vnd.in-toto+json", "application/vnd.in-toto+json", `{"predicate":`+components("pkg:npm/third@1")+`}`)
		claimed("gem first "+string(first.Digest), "npm third "+string(statement.Digest))

		// Our own tell nothing of themselves.
		b.set([]string{"*"}, sbom.FormatCycloneDX)
		b.contents.Inventory.Packages = []inventory.Found{{Package: inventory.Package{Type: inventory.Go, Name: "ours", Version: "1"}, Format: "gobinary"}}
		if err := b.attacher.Attach(t.Context(), b.contents); err != nil {
			t.Fatal(err)
		}
		claimed("gem first "+string(first.Digest), "npm third "+string(statement.Digest))

		// BuildKit's attestations are beside the image, in its index.
		attestation := b.put(repo, map[string]any{
			"mediaType": oci.MediaTypeOCIManifest,
			"config":    b.blob(repo, "application/vnd.oci.image.config.v1+json", "{}"),
			"layers":    []oci.Descriptor{b.blob(repo, "application/vnd.in-toto+json", `{"predicate":`+components("pkg:pypi/fourth@1")+`}`)},
		})
		child := func(i registry.Image, annotations map[string]string) oci.Descriptor {
			return oci.Descriptor{MediaType: i.MediaType, Digest: i.Digest, Size: i.ManifestSize, Annotations: annotations}
		}
		b.put(repo, map[string]any{
			"mediaType": "application/vnd.oci.image.index.v1+json",
			"manifests": []oci.Descriptor{child(img, nil), child(attestation, map[string]string{"vnd.docker.reference.digest": img.Digest.String()})},
		})
		claimed("gem first "+string(first.Digest), "npm third "+string(statement.Digest), "pypi fourth "+string(attestation.Digest))
	})
}

// TestClaimsAreScanned: an SBOM that comes later has its image scanned again.
func TestClaimsAreScanned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		if err := b.registry.PutScanning(t.Context(), root, registry.Scanning{Kind: registry.Basic, Rules: []registry.ScanRule{{Frequency: registry.ScanOnPush, Filters: []string{"*"}}}}); err != nil {
			t.Fatal(err)
		}
		img := b.push(repo, "one")
		end := func() {
			t.Helper()
			err := b.db.Update(t.Context(), func(tx registry.Tx) error {
				return tx.PutScan(t.Context(), registry.Scan{ImageID: img.ID, Kind: registry.Basic, Status: registry.ScanComplete, RequestedAt: b.now, ChangedAt: b.now})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		come := func(artifactType string, source event.Source, subject oci.Digest, want registry.ScanStatus) {
			t.Helper()
			end()
			err := b.attacher.Handle(t.Context(), event.Event{
				Kind: event.ImagePushed, New: true, Repository: repo, RepositoryID: repository.ID, ArtifactType: artifactType, Source: source, Subject: subject,
			})
			if err != nil {
				t.Error(err)
			}
			s, err := b.db.Read().Scan(t.Context(), img.ID, registry.Basic)
			if err != nil || s.Status != want {
				t.Errorf("after a %s from %s the scan is %s, %v; want %s", artifactType, source, s.Status, err, want)
			}
		}
		come(sbom.TypeSPDX, event.Push, img.Digest, registry.ScanPending)
		come(sbom.TypeSPDX, event.Scan, img.Digest, registry.ScanComplete) // ours
		come("application/vnd.openvex+json", event.Push, img.Digest, registry.ScanComplete)
		come(sbom.TypeCycloneDX, event.Replication, digest("not here"), registry.ScanComplete)
	})
}

// TestClaimsAreBounded: many large documents are not all read, and what was read before them counts.
func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.push(repo, "one")
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		for _, purl := range []string{"pkg:gem/first@1", "pkg:npm/second@1"} {
			b.artifact(img, sbom.TypeCycloneDX, sbom.TypeCycloneDX, fmt.Sprintf(`{"components":[{"purl":%q}]}`, purl)+strings.Repeat(" ", 24<<20))
		}
		b.artifact(img, sbom.TypeCycloneDX, sbom.TypeCycloneDX, `{"components":[{"purl":"pkg:cargo/third@1"}]}`)
		found, err := b.attacher.Claimed(t.Context(), repository, img.Digest, inventory.Image{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range found.Packages {
			names = append(names, p.Name)
		}
		if slices.Sort(names); !slices.Equal(names, []string{"first", "third"}) {
			t.Errorf("claimed is %q, want what there is room for: first, third", names)
		}
	})
}
