package sbom

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// types are the types of packages that are known.
var types = []inventory.Type{
	inventory.Deb, inventory.APK, inventory.RPM, inventory.PyPI, inventory.NPM, inventory.Go, inventory.Maven, inventory.Gem,
	inventory.Cargo, inventory.NuGet, inventory.Composer,
}

// parsePURL reads a package URL (package-url/purl-spec) as extractors name packages, and the operating system that a system's package
// is for. It tells false where there is no such package: without a version, or of another type.
func parsePURL(text string) (pkg inventory.Package, os inventory.OS, ok bool) {
	text, ok = strings.CutPrefix(text, "pkg:")
	if !ok || len(text) > 2*(inventory.MaxName+inventory.MaxVersion)+1024 {
		return pkg, os, false
	}
	text, _, _ = strings.Cut(text, "#")
	text, query, _ := strings.Cut(text, "?")
	kind, path, ok := strings.Cut(strings.TrimLeft(text, "/"), "/")
	at := strings.LastIndexByte(path, '@')
	pkg.Type = inventory.Type(strings.ToLower(kind))
	if !ok || at <= 0 || !slices.Contains(types, pkg.Type) {
		return pkg, os, false
	}
	namespace, name := "", strings.Trim(path[:at], "/")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	}
	var wrong bool
	plain := func(s string) string {
		u, err := url.PathUnescape(s)
		wrong = wrong || err != nil || !utf8.ValidString(u) || strings.ContainsFunc(u, unicode.IsControl)
		return u
	}
	namespace, pkg.Name, pkg.Version = plain(namespace), plain(name), plain(path[at+1:])
	qualifiers, err := url.ParseQuery(strings.ReplaceAll(query, "+", "%2B")) // in package URLs a plus is a plus
	if err != nil {
		return pkg, os, false
	}
	pkg.Arch = plain(qualifiers.Get("arch"))
	pkg.Source, pkg.SourceVersion = pkg.Name, pkg.Version
	if pkg.Type.System() {
		os = systemOf(plain(qualifiers.Get("distro")))
		asSystem(&pkg, plain(qualifiers.Get("epoch")), plain(qualifiers.Get("upstream")))
	} else {
		asLanguage(&pkg, namespace)
	}
	fits := pkg.Name != "" && pkg.Version != "" && len(pkg.Arch) <= inventory.MaxVersion &&
		len(pkg.Name) <= inventory.MaxName && len(pkg.Source) <= inventory.MaxName &&
		len(pkg.Version) <= inventory.MaxVersion && len(pkg.SourceVersion) <= inventory.MaxVersion
	return pkg, os, fits && !wrong
}

// systemOf reads the qualifier distro: debian-12, opensuse-leap-15.6.
func systemOf(distro string) inventory.OS {
	const most = 64
	if len(distro) > most {
		return inventory.OS{}
	}
	if i := strings.LastIndexByte(distro, '-'); i > 0 {
		return inventory.OS{ID: distro[:i], VersionID: distro[i+1:]}
	}
	return inventory.OS{ID: distro}
}

// asSystem fills in the epoch and the source package, which tools name in the qualifier upstream: openssl, openssl@3.0.11-1, or, of
// RPM, openssl-3.0.7-27.el9.src.rpm.
func asSystem(pkg *inventory.Package, epoch, upstream string) {
	if pkg.Type == inventory.RPM && epoch != "" && epoch != "0" && !strings.Contains(pkg.Version, ":") {
		pkg.Version = epoch + ":" + pkg.Version
	}
	pkg.SourceVersion = pkg.Version
	name, version, _ := strings.Cut(upstream, "@")
	if pkg.Type == inventory.RPM {
		name = strings.TrimSuffix(name, ".src.rpm")
		for range 2 { // release and version, which are the package's own
			if i := strings.LastIndexByte(name, '-'); i > 0 {
				name = name[:i]
			}
		}
		version = ""
	}
	if name != "" {
		pkg.Source = name
	}
	if version != "" {
		pkg.SourceVersion = version
	}
}

// asLanguage writes names and versions as extractors do.
func asLanguage(pkg *inventory.Package, namespace string) {
	if namespace != "" {
		between := "/"
		if pkg.Type == inventory.Maven {
			between = ":"
		}
		pkg.Name = namespace + between + pkg.Name
	}
	pkg.Source = pkg.Name
	if pkg.Type == inventory.PyPI {
		pkg.Source = advisory.Name("PyPI", pkg.Name)
	}
	if pkg.Type == inventory.Go {
		pkg.SourceVersion = strings.TrimPrefix(strings.TrimPrefix(pkg.Version, "v"), "go")
	}
}
