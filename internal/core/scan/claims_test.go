package scan_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

// TestSBOMs has an image scanned whose build has attached an SBOM, and ours attached to it: what is claimed is matched and told, what
// is attached says all of it, and nothing goes on for ever.
func TestSBOMs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		c := b.config()
		var attacher *sbom.Attacher
		c.Claims = func(ctx context.Context, r registry.Repository, d oci.Digest, found inventory.Image, top int) (inventory.Image, error) {
			return attacher.Claimed(ctx, r, d, found, top)
		}
		b.service = scan.New(c)
		attacher = sbom.New(sbom.Config{Registry: b.registry, Store: b.db, Inventory: b.service, Now: b.clock})
		b.events.Handlers = map[string]event.Handler{"scan": b.service, "sbom": attacher}
		settle := func() {
			t.Helper()
			for range 5 { // scans make events, and events scans
				b.work()
				if _, err := b.events.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := b.db.Scans().WaitingScans(t.Context(), b.clock(), 10); err != nil || n > 0 {
				t.Errorf("%d scans wait, %v", n, err)
			}
		}
		if _, err := attacher.PutSettings(t.Context(), root, sbom.Settings{Repositories: []string{"team/*"}, Formats: []sbom.Format{sbom.FormatSPDX}}); err != nil {
			t.Fatal(err)
		}
		b.advise("Debian", below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", mediumVector, "CVE-2026-0001"))
		b.advise("Go", below("GO-2026-0002", "Go", "", "example.com/module", "1.5.0", criticalVector, "CVE-2026-0002"))
		img := b.image("one", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}}))
		settle()
		attached := func() []sbom.Document {
			t.Helper()
			page, err := b.registry.Referrers(t.Context(), root, repo, img.Digest, registry.ReferrerFilter{ArtifactTypes: []string{sbom.TypeSPDX}}, 0, "")
			if err != nil {
				t.Fatal(err)
			}
			var list []sbom.Document
			for _, r := range page.Items {
				list = append(list, b.document(r))
			}
			return list
		}
		findings := func() []string {
			t.Helper()
			var list []string
			for _, f := range b.report("one", scan.Query{}).Findings {
				list = append(list, f.Vulnerability+" "+f.Packages[0].Name)
			}
			slices.Sort(list)
			return list
		}
		if got := attached(); len(got) != 1 || len(got[0].Packages) != 1 || got[0].Packages[0].Name != "openssl" {
			t.Errorf("attached is %+v", got)
		}
		if got := findings(); !slices.Equal(got, []string{"CVE-2026-0001 openssl"}) {
			t.Errorf("findings are %q", got)
		}
		reads := b.reader.total()

		document := b.blob(sbom.TypeCycloneDX, []byte(`{"components":[{"purl":"pkg:golang/example.com/module@v1.4.0"},{"purl":"pkg:deb/debian/curl@7?distro=debian-12"}]}`))
		manifest := b.json(map[string]any{
			"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": sbom.TypeCycloneDX,
			"config": b.blob("application/vnd.oci.empty.v1+json", []byte("{}")), "layers": []oci.Descriptor{document},
			"subject": oci.Descriptor{MediaType: img.MediaType, Digest: img.Digest, Size: img.ManifestSize},
		})
		pushed, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest})
		if err != nil {
			t.Fatal(err)
		}
		settle()
		if got := findings(); !slices.Equal(got, []string{"CVE-2026-0001 openssl", "CVE-2026-0002 example.com/module"}) {
			t.Errorf("with what is claimed, findings are %q", got)
		}
		if b.reader.total() != reads {
			t.Error("a claim had layers read again")
		}
		if got := attached(); len(got) != 2 || len(got[1].Packages) != 2 {
			t.Errorf("attached is now %+v", got)
		}
		whole, err := b.service.Contents(t.Context(), root, repo, registry.ImageID{Tag: "one"})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, p := range whole.Inventory.Packages {
			told = append(told, fmt.Sprint(p.Name, " ", p.Format, " ", p.Path))
		}
		if want := []string{"openssl dpkg var/lib/dpkg/status", "example.com/module sbom " + pushed.Image.Digest.String()}; !slices.Equal(told, want) {
			t.Errorf("it has %q, want %q", told, want)
		}
	})
}

// document reads what an artifact has attached.
func (b *bench) document(img registry.Image) sbom.Document {
	b.t.Helper()
	stored, err := b.db.Read().ManifestIn(b.t.Context(), repo, oci.Reference{Digest: img.Digest})
	if err != nil {
		b.t.Fatal(err)
	}
	m, err := oci.ParseManifest(stored.MediaType, stored.Manifest)
	if err != nil {
		b.t.Fatal(err)
	}
	blob, err := b.registry.Layer(b.t.Context(), root, repo, m.Layers[0].Digest)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := blob.Open(b.t.Context(), 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	doc, err := sbom.Parse(r, m.Layers[0].MediaType)
	if err != nil {
		b.t.Fatal(err)
	}
	return doc
}
