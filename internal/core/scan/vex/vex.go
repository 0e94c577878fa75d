// Package vex is what somebody says of vulnerabilities of an image, in OpenVEX 0.2 (https://github.com/openvex/spec): that one does
// not affect it, or has been mended in it.
//
// Such a word suppresses a finding, so it must be somebody's, have a reason and an end. OpenVEX has an author and a supplier, a
// justification and an impact statement, and no end: Berth reads a member "expires" of a statement or of the document (RFC 3339),
// which other readers pass over. [Parse] refuses a document with an exception that lacks one of the three.
//
// The words are shared by both sides of Berth: documents that are attached to images in the registry, and those of a workspace.
package vex

import (
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// MediaType is the media type of a document, and the artifact type of one that is attached to an image.
const MediaType = "application/vnd.openvex+json"

// Status is what a statement says.
type Status string

// The statuses.
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Excepts tells whether what has the status need not stop anything.
func (s Status) Excepts() bool { return s == NotAffected || s == Fixed }

// Justifications are OpenVEX's words for why something is not affected.
func Justifications() []string {
	return []string{
		"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
		"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
	}
}

// Document is a document of one or more statements.
type Document struct {
	ID         string
	Author     string
	Timestamp  time.Time
	Statements []Statement
}

// Statement is what is said of one vulnerability in some products. What it has from its document is filled in.
type Statement struct {
	Vulnerability string
	Aliases       []string
	Products      []Product // none: what the document is attached to
	Status        Status
	Justification string // of Justifications, or empty
	Owner         string // the supplier, or the document's author
	Reason        string // justification, impact statement and notes
	Timestamp     time.Time
	Expires       time.Time // from when on it does not count; zero: none is given, which an exception may not
}

// Product is what a statement is about: an image, the images of a repository, or, where it names neither, packages in whatever
// image the document is about. [Product.Unknown] ones are about nothing that is known here.
type Product struct {
	ID         string     // as it is in the document
	Digest     oci.Digest // of an image
	Repository string     // without host; empty where Digest is set, unless the document names both
	Packages   []Package  // none: all
}

// Unknown tells whether it names nothing that is known here.
func (p Product) Unknown() bool { return p.Digest == "" && p.Repository == "" && len(p.Packages) == 0 }

// Target is where a finding is: a package of an image in a repository. What is not known is empty.
type Target struct {
	Digests    []oci.Digest // of the image, and of indexes that it is in
	Repository string
	Package    Package
	Source     string // the source package's name
}

// Names tells whether the statement is about a vulnerability that has these names, one of which suffices.
func (s Statement) Names(names ...string) bool {
	own := append([]string{s.Vulnerability}, s.Aliases...)
	return slices.ContainsFunc(names, func(n string) bool {
		return slices.ContainsFunc(own, func(o string) bool { return SameVulnerability(o, n) })
	})
}

// SameVulnerability tells whether two names are the same.
func SameVulnerability(a, b string) bool { return a != "" && strings.EqualFold(a, b) }

// Covers tells whether the statement, which must be an exception, is about a finding. It does not look at the time.
func (s Statement) Covers(names []string, at Target) bool {
	return s.Status.Excepts() && s.Names(names...) && (len(s.Products) == 0 ||
		slices.ContainsFunc(s.Products, func(p Product) bool { return p.covers(at) }))
}

func (p Product) covers(at Target) bool {
	switch {
	case p.Unknown():
		return false
	case p.Digest != "" && !slices.Contains(at.Digests, p.Digest):
		return false
	case p.Digest == "" && p.Repository != "" && p.Repository != at.Repository:
		return false
	case len(p.Packages) == 0:
		return true
	}
	return slices.ContainsFunc(p.Packages, func(own Package) bool { return own.Covers(at.Package, at.Source) })
}

// Exceptions gives the statements that except something, without products that a later statement of the document says otherwise of.
func (d Document) Exceptions() []Statement {
	var all []Statement
	for i, s := range d.Statements {
		if !s.Status.Excepts() {
			continue
		}
		revoked := func(p Product) bool {
			for j, later := range d.Statements {
				after := later.Timestamp.After(s.Timestamp) || later.Timestamp.Equal(s.Timestamp) && j > i
				if after && !later.Status.Excepts() && s.Names(append([]string{later.Vulnerability}, later.Aliases...)...) && later.touches(p) {
					return true
				}
			}
			return false
		}
		if len(s.Products) == 0 {
			if !revoked(Product{}) {
				all = append(all, s)
			}
			continue
		}
		if s.Products = slices.DeleteFunc(slices.Clone(s.Products), revoked); len(s.Products) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// touches tells whether a statement may be about the same as a product. In doubt it is.
func (s Statement) touches(p Product) bool {
	return len(s.Products) == 0 || slices.ContainsFunc(s.Products, func(own Product) bool {
		if own.Digest != "" && p.Digest != "" && own.Digest != p.Digest {
			return false
		}
		if own.Digest == "" && p.Digest == "" && own.Repository != "" && p.Repository != "" && own.Repository != p.Repository {
			return false
		}
		return len(own.Packages) == 0 || len(p.Packages) == 0 || slices.ContainsFunc(own.Packages, func(a Package) bool {
			return slices.ContainsFunc(p.Packages, func(b Package) bool { return a.Name == b.Name })
		})
	})
}
