package sbom_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata") //nolint:gochecknoglobals // a flag

func digest(s string) oci.Digest { return oci.FromBytes([]byte(s)) }

// image is one with everything that documents tell: a base, a distribution's package of another source, Node's with a scope, a
// package that the distribution has brought, one that is only claimed, a problem.
func image() scan.Contents {
	return scan.Contents{
		Repository: "shop/web",
		Image:      registry.Image{Digest: digest("image")},
		Inventory: inventory.Image{
			OS: inventory.OS{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"},
			Packages: []inventory.Found{
				{
					Package:   inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3.0.11-1", Source: "openssl", SourceVersion: "3.0.11-1", Arch: "amd64"},
					Ecosystem: "Debian", Release: "12", Path: "var/lib/dpkg/status", Format: "dpkg",
				},
				{
					Package:   inventory.Package{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0", Source: "@babel/core", SourceVersion: "7.0.0"},
					Ecosystem: "npm", Path: "srv/node_modules/@babel/core/package.json", Format: "node", Layer: 1,
				},
				{
					Package:   inventory.Package{Type: inventory.PyPI, Name: "six", Version: "1.16.0", Source: "six", SourceVersion: "1.16.0"},
					Ecosystem: "PyPI", Path: "usr/lib/python3/dist-packages/six.egg-info", Format: "python", Owned: true,
				},
				{
					Package:   inventory.Package{Type: inventory.Maven, Name: "org.apache:log4j", Version: "2.0", Source: "org.apache:log4j", SourceVersion: "2.0"},
					Ecosystem: "Maven", Path: string(digest("theirs")), Format: sbom.Claim, Layer: 1,
				},
			},
			Problems: []string{"layer 2 of 2: more than 500000 entries"},
		},
		Layers: []scan.Layer{
			{DiffID: digest("0"), Digest: digest("blob 0"), Instruction: "ADD rootfs.tar / # <debian & more>"},
			{DiffID: digest("1"), Digest: digest("blob 1"), Instruction: "RUN npm ci " + strings.Repeat("ü", 200)},
		},
		Base:      &scan.Base{Repository: "base/debian", Digest: digest("base"), Layers: 1},
		ScannedAt: time.Date(2026, 11, 27, 3, 4, 5, 678, time.UTC),
		Revision:  3,
	}
}

func write(t testing.TB, f sbom.Format, c scan.Contents) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sbom.Write(&b, f, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, f := range sbom.Formats() {
		got := write(t, f, image())
		if again := write(t, f, image()); !bytes.Equal(got, again) {
			t.Errorf("%s: written twice, it is two documents", f)
		}
		file := filepath.Join("testdata", string(f)+".json")
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), ","), strings.Split(string(got), ",")); diff != "" {
			t.Errorf("%s (-want +got; -update rewrites it):\n%s", f, diff)
		}
	}
	if err := sbom.Write(&bytes.Buffer{}, "csv", image()); err == nil {
		t.Error("there is a format csv")
	}
}

// TestCycloneDXIsRead has the library read what was written.
func TestCycloneDXIsRead(t *testing.T) {
	t.Parallel()
	c := image()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(write(t, sbom.FormatCycloneDX, c)), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.Metadata.Component.Version != string(c.Image.Digest) || bom.Metadata.Timestamp != "2026-11-27T03:04:05Z" {
		t.Errorf("it says of itself: %+v, of the image %+v", bom, bom.Metadata.Component)
	}
	refs := map[string]bool{"image": true}
	var purls []string
	for _, p := range *bom.Components {
		if refs[p.BOMRef] {
			t.Errorf("two are called %s", p.BOMRef)
		}
		refs[p.BOMRef] = true
		if p.Type == cdx.ComponentTypeLibrary {
			purls = append(purls, p.PackageURL)
		}
	}
	var want []string
	for _, f := range c.Inventory.Packages {
		want = append(want, inventory.PURL(f, c.Inventory.OS))
	}
	if !slices.Equal(purls, want) {
		t.Errorf("packages are %q, want %q", purls, want)
	}
	if (*bom.Compositions)[0].Aggregate != cdx.CompositionAggregateIncomplete {
		t.Error("a problem leaves it complete")
	}
}

// TestSPDXIsRead has the library read what was written, and check its relationships.
func TestSPDXIsRead(t *testing.T) {
	t.Parallel()
	c := image()
	doc, err := json.Read(bytes.NewReader(write(t, sbom.FormatSPDX, c)))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	if roots, err := spdxlib.GetDescribedPackageIDs(doc); err != nil || len(roots) != 1 || roots[0] != "Image" {
		t.Errorf("it describes %v, %v", roots, err)
	}
	const others = 3 // the image, its base, the operating system
	if len(doc.Packages) != len(c.Inventory.Packages)+others {
		t.Errorf("%d packages", len(doc.Packages))
	}
	for i, f := range c.Inventory.Packages {
		p := doc.Packages[i+others]
		if p.PackageName != f.Name || p.PackageVersion != f.Version || p.PackageLicenseConcluded != "NOASSERTION" ||
			p.PackageExternalReferences[0].Locator != inventory.PURL(f, c.Inventory.OS) {
			t.Errorf("%+v is %+v", f, p)
		}
	}
	if got := doc.Packages[others].Annotations[0].AnnotationComment; !strings.Contains(got, "\nlayer:index: 0\n") || !strings.HasSuffix(got, "\nfromBase: true") {
		t.Errorf("of the first package it says %q", got)
	}
}

// many is an image of n packages in five layers.
func many(n int) scan.Contents {
	c := image()
	c.Layers = append(c.Layers, c.Layers[0], c.Layers[0], c.Layers[1])
	c.Inventory.Packages = nil
	for i := range n {
		name := fmt.Sprintf("package-%d", i)
		c.Inventory.Packages = append(c.Inventory.Packages, inventory.Found{
			Package:   inventory.Package{Type: inventory.NPM, Name: name, Version: "1.2.3", Source: name, SourceVersion: "1.2.3"},
			Ecosystem: "npm", Path: "usr/share/nodejs/" + name + "/package.json", Format: "node", Layer: i % 5, Owned: i%2 == 0,
		})
	}
	return c
}

func BenchmarkWrite(b *testing.B) {
	for _, f := range sbom.Formats() {
		b.Run(string(f), func(b *testing.B) {
			c := many(1861)
			for b.Loop() {
				b.SetBytes(int64(len(write(b, f, c))))
			}
		})
	}
}
