package sbom

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Bounds of what is read of a document that somebody has attached. The largest that tools write of real images have some 25 MB.
const (
	MaxDocument = 32 << 20
	MaxClaimed  = 20_000 // packages
	maxNested   = 16     // components in components
	typeInToto  = "application/vnd.in-toto+json"
)

// Errors of Parse, besides those of the reader and of JSON.
var (
	ErrType  = errors.New("no type of SBOM that is read here")
	ErrLimit = errors.New("a larger SBOM than is read")
)

// Document is what an SBOM says.
type Document struct {
	// OS is what its packages of an operating system are for, as their package URLs say (distro); those for others are left out.
	OS       inventory.OS
	Packages []inventory.Package
	// Skipped counts those without a package URL, or with one of a type that is unknown here.
	Skipped int
}

// Parse reads an SBOM as JSON: SPDX 2, CycloneDX, or an in-toto statement with one of them as its predicate, as BuildKit attests
// images. It is a stranger's: no more of it is in memory than its bytes and what is taken from it.
func Parse(r io.Reader, mediaType string) (Document, error) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	p := parser{known: map[inventory.Package]struct{}{}}
	members, ok := map[string]members{
		TypeSPDX:      {"packages": p.spdx},
		TypeCycloneDX: {"components": p.components(0)},
		typeInToto: {"predicate": func(dec *json.Decoder) error {
			return eachMember(dec, members{"packages": p.spdx, "components": p.components(0)})
		}},
	}[mediaType]
	if !ok {
		return Document{}, fmt.Errorf("%q: %w", mediaType, ErrType)
	}
	limited := &io.LimitedReader{R: r, N: MaxDocument + 1}
	err := eachMember(json.NewDecoder(limited), members)
	switch {
	case limited.N <= 0:
		return Document{}, fmt.Errorf("more than %d bytes: %w", MaxDocument, ErrLimit)
	case err != nil:
		return Document{}, err
	}
	return p.document, nil
}

type parser struct {
	document Document
	known    map[inventory.Package]struct{}
}

// members are what is read of an object; what it has besides is passed over.
type members map[string]func(*json.Decoder) error

func eachMember(dec *json.Decoder, want members) error {
	if there, err := begin(dec, '{'); err != nil || !there {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := name.(string)
		read := want[key]
		if read == nil {
			read = func(dec *json.Decoder) error {
				var skipped json.RawMessage
				return dec.Decode(&skipped)
			}
		}
		if err := read(dec); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// each reads one element of an array after the other.
func each(dec *json.Decoder, read func(*json.Decoder) error) error {
	if there, err := begin(dec, '['); err != nil || !there {
		return err
	}
	for dec.More() {
		if err := read(dec); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// begin begins an array or object, or passes over a null and tells false.
func begin(dec *json.Decoder, want json.Delim) (there bool, err error) {
	t, err := dec.Token()
	switch {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != want:
		return false, fmt.Errorf("no SBOM: %v where %v belongs", t, want)
	}
	return true, nil
}

func text(to *string) func(*json.Decoder) error {
	return func(dec *json.Decoder) error { return dec.Decode(to) }
}

// spdx reads packages of SPDX 2.
func (p *parser) spdx(dec *json.Decoder) error {
	return each(dec, func(dec *json.Decoder) error {
		var purl string
		references := func(dec *json.Decoder) error {
			return each(dec, func(dec *json.Decoder) error {
				var kind, locator string
				err := eachMember(dec, members{"referenceType": text(&kind), "referenceLocator": text(&locator)})
				if kind == "purl" && purl == "" {
					purl = locator
				}
				return err
			})
		}
		if err := eachMember(dec, members{"externalRefs": references}); err != nil {
			return err
		}
		return p.take(purl)
	})
}

// components reads components of CycloneDX, and those in them.
func (p *parser) components(depth int) func(*json.Decoder) error {
	return func(dec *json.Decoder) error {
		if depth > maxNested {
			return fmt.Errorf("components in components, %d deep: %w", depth, ErrLimit)
		}
		return each(dec, func(dec *json.Decoder) error {
			var purl string
			if err := eachMember(dec, members{"purl": text(&purl), "components": p.components(depth + 1)}); err != nil {
				return err
			}
			return p.take(purl)
		})
	}
}

// take adds what a package URL names.
func (p *parser) take(purl string) error {
	pkg, os, ok := parsePURL(purl)
	if ok && pkg.Type.System() {
		if p.document.OS == (inventory.OS{}) {
			p.document.OS = os
		}
		ok = os == p.document.OS
	}
	if !ok {
		p.document.Skipped++
		return nil
	}
	if _, again := p.known[pkg]; again {
		return nil
	}
	if len(p.known) == MaxClaimed {
		return fmt.Errorf("more than %d packages: %w", MaxClaimed, ErrLimit)
	}
	p.known[pkg] = struct{}{}
	p.document.Packages = append(p.document.Packages, pkg)
	return nil
}
