package sbom_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
)

const inToto = "application/vnd.in-toto+json"

// TestOwnDocumentsAreRead: what is written is what is read.
func TestOwnDocumentsAreRead(t *testing.T) {
	t.Parallel()
	c := image()
	var want []inventory.Package
	for _, f := range c.Inventory.Packages {
		p := f.Package
		p.Source, p.SourceVersion = p.Name, p.Version // a package URL does not tell
		want = append(want, p)
	}
	for _, f := range sbom.Formats() {
		got, err := sbom.Parse(bytes.NewReader(write(t, f, c)), f.MediaType())
		if diff := cmp.Diff(want, got.Packages); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", f, err, diff)
		}
		if got.OS != (inventory.OS{ID: "debian", VersionID: "12"}) {
			t.Errorf("%s: the operating system is %+v", f, got.OS)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	component := func(purls ...string) string {
		var list []string
		for _, p := range purls {
			list = append(list, fmt.Sprintf(`{"type":"library","name":7,"purl":%q}`, p))
		}
		return `{"bomFormat":"CycloneDX","metadata":{"component":{"purl":"pkg:npm/itself@1"}},"components":[` + strings.Join(list, ",") + `]}`
	}
	tests := map[string]struct {
		document, mediaType string
		want                string // type name version source version, each after another
		os                  string
		skipped             int
		wrong               error
	}{
		"types": {
			component("pkg:npm/%40a/b@1", "pkg:golang/github.com/a/b@v1.2", "pkg:golang/stdlib@1.22.1", "pkg:maven/org.a/b@2", "pkg:pypi/A_b.c@3", "pkg:composer/a/b@4",
				"pkg:cargo/a@5", "pkg:gem/a@6", "pkg:nuget/A.B@7"), sbom.TypeCycloneDX,
			"npm @a/b 1 @a/b 1, golang github.com/a/b v1.2 github.com/a/b 1.2, golang stdlib 1.22.1 stdlib 1.22.1, maven org.a:b 2 org.a:b 2, pypi A_b.c 3 a-b-c 3, composer a/b 4 a/b 4, cargo a 5 a 5, gem a 6 a 6, nuget A.B 7 A.B 7", "", 0, nil,
		},
		"Debian, source": {
			component("pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&upstream=glibc&distro=debian-12", "pkg:deb/debian/a@1:2?upstream=b%403&distro=debian-12"),
			sbom.TypeCycloneDX + ";version=1.6", "deb libc6 2.36-9+deb12u4 glibc 2.36-9+deb12u4, deb a 1:2 b 3", "debian 12", 0, nil,
		},
		"plus as it is": {component("pkg:deb/debian/g++@1+b?upstream=c+d"), sbom.TypeCycloneDX, "deb g++ 1+b c+d 1+b", " ", 0, nil},
		"RPM": {
			component("pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm&distro=rhel-9.4"), sbom.TypeCycloneDX,
			"rpm openssl-libs 1:3.0.7-27.el9 openssl 1:3.0.7-27.el9", "rhel 9.4", 0, nil,
		},
		"two systems": {component("pkg:apk/alpine/a@1?distro=alpine-3.20.1", "pkg:deb/debian/b@1?distro=debian-12"), sbom.TypeCycloneDX, "apk a 1 a 1", "alpine 3.20.1", 1, nil},
		"twice":       {component("pkg:npm/a@1", "pkg:npm/a@1?x=y#z"), sbom.TypeCycloneDX, "npm a 1 a 1", "", 0, nil},
		"not taken": {
			component("pkg:npm/a", "pkg:weird/a@1", "npm/a@1", "", "pkg:npm/@1", "pkg:npm/a%0a@1", "pkg:npm/a%zz@1", "pkg:npm/"+strings.Repeat("a", 513)+"@1", "pkg:npm/a@"+strings.Repeat("1", 257)),
			sbom.TypeCycloneDX, "", "", 9, nil,
		},
		"nested":      {`{"components":[{"components":[{"purl":"pkg:npm/a@1","components":null}]}]}`, sbom.TypeCycloneDX, "npm a 1 a 1", "", 1, nil},
		"too nested":  {strings.Repeat(`{"components":[`, 18), sbom.TypeCycloneDX, "", "", 0, sbom.ErrLimit},
		"SPDX":        {`{"packages":[{"name":"x","externalRefs":[{"referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"},{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]},{"externalRefs":null}]}`, sbom.TypeSPDX, "npm a 1 a 1", "", 1, nil},
		"in-toto":     {`{"_type":"x","predicate":{"SPDXID":"y","packages":[{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"}]}]},"predicateType":"https://spdx.dev/Document"}`, inToto, "npm a 1 a 1", "", 0, nil},
		"other type":  {component("pkg:npm/a@1"), "application/json", "", "", 0, sbom.ErrType},
		"no document": {`[]`, sbom.TypeSPDX, "", "", 0, errAny},
		"half":        {`{"packages":[{"externalRefs":[`, sbom.TypeSPDX, "", "", 0, errAny},
		"too deep":    {`{"x":` + strings.Repeat("[", 100_000), sbom.TypeSPDX, "", "", 0, errAny},
		"too many":    {manyComponents(sbom.MaxClaimed + 1), sbom.TypeCycloneDX, "", "", 0, sbom.ErrLimit},
		"as many":     {manyComponents(sbom.MaxClaimed), sbom.TypeCycloneDX, "20000", "", 0, nil},
		"too large":   {`{"x":"` + strings.Repeat("a", sbom.MaxDocument) + `"}`, sbom.TypeCycloneDX, "", "", 0, sbom.ErrLimit},
		"too few":     {`{}`, sbom.TypeCycloneDX, "", "", 0, nil},
	}
	for name, tt := range tests {
		got, err := sbom.Parse(strings.NewReader(tt.document), tt.mediaType)
		if !errors.Is(err, tt.wrong) && (!errors.Is(tt.wrong, errAny) || err == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.wrong)
		}
		var list []string
		for _, p := range got.Packages {
			list = append(list, fmt.Sprintf("%s %s %s %s %s", p.Type, p.Name, p.Version, p.Source, p.SourceVersion))
		}
		packages := strings.Join(list, ", ")
		if len(list) > 1000 {
			packages = fmt.Sprint(len(list))
		}
		if packages != tt.want || got.Skipped != tt.skipped || strings.TrimSpace(got.OS.ID+" "+got.OS.VersionID) != strings.TrimSpace(tt.os) {
			t.Errorf("%s: %q of %+v, %d skipped", name, packages, got.OS, got.Skipped)
		}
	}
}

var errAny = errors.New("any error")

func manyComponents(n int) string {
	var b strings.Builder
	b.WriteString(`{"components":[{"purl":"pkg:npm/first@1"}`)
	for i := range n - 1 {
		fmt.Fprintf(&b, `,{"purl":"pkg:npm/p%d@1"}`, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add(write(f, sbom.FormatSPDX, image()), sbom.TypeSPDX)
	f.Add(write(f, sbom.FormatCycloneDX, image()), sbom.TypeCycloneDX)
	f.Add([]byte(`{"predicate":{"components":[{"purl":"pkg:rpm/a/b@1?epoch=2&upstream=a-1-2.src.rpm&distro=c-1","components":[null]}]}}`), inToto)
	f.Fuzz(func(t *testing.T, b []byte, mediaType string) {
		got, _ := sbom.Parse(bytes.NewReader(b), mediaType)
		for _, p := range got.Packages {
			for _, s := range []string{p.Name, p.Version, p.Source, p.SourceVersion, p.Arch} {
				if len(s) > inventory.MaxName || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
					t.Errorf("%q is taken from %q", s, b)
				}
			}
			if p.Name == "" || p.Version == "" || p.Source == "" || p.SourceVersion == "" {
				t.Errorf("%+v is taken from %q", p, b)
			}
		}
	})
}
