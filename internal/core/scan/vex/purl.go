package vex

import (
	"net/url"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Package is a package, as inventories name it. What is empty is any.
type Package struct {
	Type    string // of package URLs: deb, npm
	Name    string
	Version string
}

// Covers tells whether a package is among those that p names: by its own name, or that of its source package. What is not known of
// it (its type, as in what ECR says of findings) is not held against it.
func (p Package) Covers(other Package, source string) bool {
	return (p.Type == "" || other.Type == "" || p.Type == other.Type) && (p.Name == "" || p.Name == other.Name || p.Name == source) &&
		(p.Version == "" || p.Version == other.Version)
}

// purl is a package URL taken apart (https://github.com/package-url/purl-spec). Names are without encoding.
type purl struct {
	kind, namespace, name, version string
	qualifiers                     url.Values
}

// parsePURL reads a package URL.
func parsePURL(text string) (purl, bool) {
	rest, ok := strings.CutPrefix(text, "pkg:")
	if !ok {
		return purl{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	var p purl
	var err error
	if p.qualifiers, err = url.ParseQuery(query); err != nil {
		return purl{}, false
	}
	rest = strings.Trim(rest, "/")
	// An npm scope may stand as it is, so the version begins at the last @ of the last part.
	if at := strings.LastIndexByte(rest, '@'); at > strings.LastIndexByte(rest, '/')+1 {
		if p.version, err = url.PathUnescape(rest[at+1:]); err != nil {
			return purl{}, false
		}
		rest = rest[:at]
	}
	kind, rest, ok := strings.Cut(rest, "/")
	if !ok {
		return purl{}, false
	}
	p.kind = strings.ToLower(kind)
	if slash := strings.LastIndexByte(rest, '/'); slash >= 0 {
		if p.namespace, err = url.PathUnescape(strings.Trim(rest[:slash], "/")); err != nil {
			return purl{}, false
		}
		rest = rest[slash+1:]
	}
	if p.name, err = url.PathUnescape(rest); err != nil || p.name == "" || p.kind == "" {
		return purl{}, false
	}
	return p, true
}

// pack gives the package under the name that inventories have for it.
func (p purl) pack() Package {
	name := p.name
	switch p.kind {
	case "npm", "golang", "composer":
		if p.namespace != "" {
			name = p.namespace + "/" + name
		}
	case "maven":
		name = p.namespace + ":" + name
	case "pypi":
		name = normalPyPI(name)
	}
	return Package{Type: p.kind, Name: name, Version: p.version}
}

// normalPyPI writes a name as PEP 503 has it.
func normalPyPI(name string) string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	return strings.Join(parts, "-")
}

// image reads a purl of the type oci as an image or a repository. One that names neither by digest nor as a whole, but by a tag,
// which moves, is none.
func (p purl) image() (d oci.Digest, repository string, ok bool) {
	repository = p.name
	if at := p.qualifiers.Get("repository_url"); at != "" {
		host, path, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://"), "/")
		if !ok || host == "" {
			return "", "", false
		}
		repository = path
	}
	_, bad := oci.ParseRepositoryName(repository)
	if bad != nil {
		repository = ""
	}
	if p.version != "" {
		d, err := oci.ParseDigest(p.version)
		return d, repository, err == nil
	}
	if bad != nil {
		return "", "", false
	}
	return "", repository, p.qualifiers.Get("tag") == ""
}

// imagePURL writes an image, or without a digest a repository, as a purl.
func imagePURL(host, repository string, d oci.Digest) string {
	name := repository[strings.LastIndexByte(repository, '/')+1:]
	text := "pkg:oci/" + name
	if d != "" {
		text += "@" + strings.ReplaceAll(d.String(), ":", "%3A")
	}
	if host == "" && name == repository {
		return text
	}
	if host == "" {
		host = "localhost"
	}
	return text + "?repository_url=" + url.QueryEscape(host+"/"+repository)
}
