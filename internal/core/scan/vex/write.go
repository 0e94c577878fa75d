package vex

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Draft is an exception to be written as a document.
type Draft struct {
	Vulnerability string
	Aliases       []string
	Host          string // of the registry; may be empty
	Repository    string
	Digest        oci.Digest // empty: every image of the repository
	Packages      []string   // names or purls; none: all
	Status        Status     // NotAffected where it is empty
	Justification string     // of Justifications; may be empty
	Owner         string
	Reason        string
	Made          time.Time
	Expires       time.Time
}

// Write makes a document of a draft. The same draft makes the same bytes. What [Parse] would refuse is an error here.
func Write(d Draft) ([]byte, error) {
	product := wireProduct{wireComponent: wireComponent{ID: imagePURL(d.Host, d.Repository, d.Digest)}}
	for _, p := range d.Packages {
		product.Subcomponents = append(product.Subcomponents, wireComponent{ID: p})
	}
	s := wireStatement{
		Vulnerability: wireVulnerability{Name: d.Vulnerability, Aliases: d.Aliases}, Products: []wireProduct{product},
		Status: cmp.Or(d.Status, NotAffected), Justification: d.Justification,
	}
	if s.Status == NotAffected {
		s.ImpactStatement = d.Reason
	} else {
		s.StatusNotes = d.Reason
	}
	if d.Justification != "" && s.Status != NotAffected {
		return nil, errors.New("a justification says why an image is not affected, and this one is " + string(s.Status))
	}
	w := wireDocument{
		Context: contextURI + ".0", Author: d.Owner, Timestamp: d.Made.UTC().Format(time.RFC3339), Version: 1, Tooling: "berth vex add",
		Statements: []wireStatement{s},
	}
	if !d.Expires.IsZero() {
		w.Statements[0].Expires = d.Expires.UTC().Format(time.RFC3339)
	}
	body, err := encode(w)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	const enough = 16
	w.ID = "urn:berth:vex:" + hex.EncodeToString(sum[:enough])
	if body, err = encode(w); err != nil {
		return nil, err
	}
	if _, err := Parse(body); err != nil {
		return nil, err
	}
	return body, nil
}

func encode(w wireDocument) ([]byte, error) {
	body, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding a document: %w", err)
	}
	return append(body, '\n'), nil
}

// FileName is a good name for the file of a draft: cve-2026-1-openssl.json.
func (d Draft) FileName() string {
	parts := []string{d.Vulnerability}
	for _, p := range d.Packages {
		if pkg, ok := parsePURL(p); ok {
			p = pkg.name
		}
		parts = append(parts, p)
	}
	words := strings.FieldsFunc(strings.ToLower(strings.Join(parts, "-")), func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '.')
	})
	const most = 100
	name := strings.Trim(strings.Join(slices.Compact(words), "-"), ".")
	return name[:min(len(name), most)] + ".json"
}
