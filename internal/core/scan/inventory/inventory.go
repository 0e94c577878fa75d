// Package inventory is what an image has installed: read once per layer, put together per image.
//
// A [Layer] is what one layer says by itself, keyed by the digest of its uncompressed tar. Every fact in it is a function of one
// file's path and bytes, which is why it holds for every image that has the layer. [Merge] puts the layers of an image together: what
// a higher layer hides or replaces, which layer brought each package, which release the packages are of. docs/design/scanning.md has
// the argument.
package inventory

import "github.com/hoopstat-haus/berth/internal/core/oci"

// Type is the type of a package, as package URLs have it (https://github.com/package-url/purl-spec).
type Type string

// The types.
const (
	Deb      Type = "deb"
	APK      Type = "apk"
	RPM      Type = "rpm"
	PyPI     Type = "pypi"
	NPM      Type = "npm"
	Go       Type = "golang"
	Maven    Type = "maven" // names are group:artifact
	Gem      Type = "gem"
	Cargo    Type = "cargo"
	NuGet    Type = "nuget"
	Composer Type = "composer"
)

// System tells packages of an operating system from those of a language.
func (t Type) System() bool { return t == Deb || t == APK || t == RPM }

// Package is one version of a package, as a file says that it is installed. Names and versions are valid UTF-8 without control
// characters, of at most [MaxName] and [MaxVersion] bytes.
type Package struct {
	Type    Type   `json:"t"`
	Name    string `json:"n"`
	Version string `json:"v"`
	// Source and SourceVersion are what advisories know it by: the source package of a distribution, a PyPI name normalised by
	// PEP 503, the name itself elsewhere; judging writes it as its ecosystem compares names (advisory.Name). They are never empty.
	Source        string `json:"s"`
	SourceVersion string `json:"sv"`
	Arch          string `json:"a,omitempty"`
}

// Bounds of what is taken from an image.
const (
	MaxName    = 512
	MaxVersion = 256
)

// OS is what an os-release file says (os-release(5)); zero where an image has none.
type OS struct {
	ID         string `json:"id,omitempty"`         // debian, alpine, ubuntu …
	VersionID  string `json:"versionId,omitempty"`  // 12, 3.20.3, 24.04
	PrettyName string `json:"prettyName,omitempty"` // for people
}

// File is a file that an extractor has read.
type File struct {
	Path     string    `json:"p"`           // cleaned, without a slash at its ends: var/lib/dpkg/status
	Format   string    `json:"f"`           // which extractor: dpkg, apk, rpm, python, node, gobinary, java, ruby, rust, dotnet, php
	Packages []Package `json:"k,omitempty"` // none: it hides what a lower layer has at its path all the same
	// Owned: a package of the operating system, installed in this layer, has brought the file. Its packages are the distribution's to
	// look after, whose advisories know what has been mended in it.
	Owned bool `json:"o,omitempty"`
}

// Link is a symbolic link.
type Link struct {
	Path   string `json:"p"`
	Target string `json:"t"` // as it is in the archive
}

// Release is an os-release file.
type Release struct {
	Path string `json:"p"` // etc/os-release, usr/lib/os-release
	OS   OS     `json:"o"`
}

// Layer is what one layer says. Lists are in order of path.
type Layer struct {
	DiffID    oci.Digest `json:"-"` // of the uncompressed tar
	Revision  int        `json:"-"` // of the extractors
	Files     []File     `json:"files,omitempty"`
	Releases  []Release  `json:"releases,omitempty"`
	Whiteouts []string   `json:"whiteouts,omitempty"` // paths that it removes from lower layers
	Opaque    []string   `json:"opaque,omitempty"`    // directories of which it hides what lower layers have in them; "" is the root
	Links     []Link     `json:"links,omitempty"`     // symbolic links that may stand where a lower layer has a directory
	// Others are the hashes (PathHash) of everything else that is not a directory, rising: what replaces a file of a lower layer
	// without being read itself.
	Others []uint64 `json:"-"`
	// Dirs are the hashes (PathHash) of the directories that the layer has an entry of, rising: such a one replaces a file, or a
	// symbolic link, that a lower layer has at its path. A directory that is there only since something is in it replaces nothing:
	// what is written into it goes where a lower layer's link leads.
	Dirs []uint64 `json:"-"`
	// Problem says which limit was hit, or what could not be read, so that there may be more in the layer; empty: that is all.
	Problem string `json:"problem,omitempty"`
}

// Found is a package in an image.
type Found struct {
	Package
	Ecosystem string // OSV's, without release: Debian, npm; empty where no advisories are of such packages
	Release   string // of the distribution, as OSV has it: 12, v3.20, 22.04:LTS; empty for languages
	Path      string // of the file that says so
	Format    string
	Layer     int  // which layer brought it, 0 the lowest
	Owned     bool // see File
	// Unvouched: nothing but an SBOM says so, which somebody attached who may not answer for the image's findings.
	Unvouched bool
}

// Image is what an image has.
type Image struct {
	OS       OS
	Packages []Found // in order of type, name, version, path
	Problems []string
}
