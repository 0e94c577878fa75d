package vex

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Bounds of a document. Nothing that somebody writes by hand, or that tools make of an image, comes near them.
const (
	MaxSize       = 1 << 20 // bytes
	maxDepth      = 32
	maxStatements = 2000
	maxProducts   = 500 // of a statement; as many packages of a product, and aliases
	maxPairs      = 2000
	maxName       = 512
	maxText       = 4 << 10
)

// contextURI is what documents of the version say that they are.
const contextURI = "https://openvex.dev/ns/v0.2"

// wireDocument is a document as it is written. Members that nothing here is decided by are left out.
type wireDocument struct {
	Context    string          `json:"@context"`
	ID         string          `json:"@id"`
	Author     string          `json:"author"`
	Timestamp  string          `json:"timestamp"`
	Version    int             `json:"version"`
	Tooling    string          `json:"tooling,omitempty"`
	Expires    string          `json:"expires,omitempty"`
	Statements []wireStatement `json:"statements"`
}

type wireStatement struct {
	Vulnerability   wireVulnerability `json:"vulnerability"`
	Timestamp       string            `json:"timestamp,omitempty"`
	Products        []wireProduct     `json:"products,omitempty"`
	Status          Status            `json:"status"`
	Supplier        string            `json:"supplier,omitempty"`
	StatusNotes     string            `json:"status_notes,omitempty"`
	Justification   string            `json:"justification,omitempty"`
	ImpactStatement string            `json:"impact_statement,omitempty"`
	Expires         string            `json:"expires,omitempty"`
}

type wireVulnerability struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

type wireProduct struct {
	wireComponent
	Subcomponents []wireComponent `json:"subcomponents,omitempty"`
}

type wireComponent struct {
	ID          string            `json:"@id,omitempty"`
	Identifiers map[string]string `json:"identifiers,omitempty"`
	Hashes      map[string]string `json:"hashes,omitempty"`
}

// Parse reads a document. Each of its exceptions (not_affected, fixed) has an owner, a reason and an end, or the error says what to
// add. It bounds what a stranger may send: [MaxSize] bytes, and numbers of everything in them.
func Parse(raw []byte) (Document, error) {
	if len(raw) > MaxSize {
		return Document{}, fmt.Errorf("the document has more than %d bytes", MaxSize)
	}
	if !utf8.Valid(raw) {
		return Document{}, errors.New("the document is not UTF-8")
	}
	if depth(raw) > maxDepth {
		return Document{}, fmt.Errorf("the document nests deeper than %d", maxDepth)
	}
	var w wireDocument
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&w); err != nil {
		return Document{}, fmt.Errorf("the document is no OpenVEX: %w", err)
	}
	if dec.More() {
		return Document{}, errors.New("the document goes on after its end")
	}
	return w.document()
}

// depth is how deep JSON nests, without reading it.
func depth(raw []byte) int {
	deep, deepest, inText := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			deep++
			deepest = max(deepest, deep)
		case c == '}' || c == ']':
			deep--
		}
	}
	return deepest
}

func (w wireDocument) document() (Document, error) {
	switch {
	case w.Context != contextURI && !strings.HasPrefix(w.Context, contextURI+"."):
		return Document{}, fmt.Errorf("the document's @context is %q, and not %s.0", clip(w.Context), contextURI)
	case len(w.Statements) == 0:
		return Document{}, errors.New("the document has no statements")
	case len(w.Statements) > maxStatements:
		return Document{}, fmt.Errorf("the document has more than %d statements", maxStatements)
	}
	at, err := moment("timestamp", w.Timestamp)
	if err != nil {
		return Document{}, fmt.Errorf("the document's %w", err)
	}
	until, err := moment("expires", w.Expires)
	if err != nil {
		return Document{}, fmt.Errorf("the document's %w", err)
	}
	author, err := plain("author", w.Author, maxName)
	if err != nil {
		return Document{}, fmt.Errorf("the document's %w", err)
	}
	d := Document{ID: clip(w.ID), Author: author, Timestamp: at}
	pairs := 0
	for i, ws := range w.Statements {
		s, err := ws.statement(Statement{Owner: author, Timestamp: at, Expires: until})
		if err != nil {
			return Document{}, fmt.Errorf("statement %d (%s) %w", i+1, cmp.Or(clip(ws.Vulnerability.Name), "of no vulnerability"), err)
		}
		for _, p := range s.Products {
			pairs += max(1, len(p.Packages))
		}
		if pairs > maxPairs {
			return Document{}, fmt.Errorf("the document is about more than %d products and packages of them", maxPairs)
		}
		d.Statements = append(d.Statements, s)
	}
	return d, nil
}

// statement reads a statement; what it does not say it has from its document, s.
func (w wireStatement) statement(s Statement) (Statement, error) {
	var err error
	if s.Vulnerability, err = plain("vulnerability.name", w.Vulnerability.Name, maxName); err != nil || s.Vulnerability == "" {
		return s, cmp.Or(err, errors.New(`has no vulnerability: add "vulnerability": {"name": "CVE-…"}`))
	}
	if len(w.Vulnerability.Aliases) > maxProducts || len(w.Products) > maxProducts {
		return s, fmt.Errorf("has more than %d aliases or products", maxProducts)
	}
	for _, a := range w.Vulnerability.Aliases {
		if a, err = plain("vulnerability.aliases", a, maxName); err != nil {
			return s, err
		}
		s.Aliases = append(s.Aliases, a)
	}
	if !slices.Contains([]Status{NotAffected, Affected, Fixed, UnderInvestigation}, w.Status) {
		return s, fmt.Errorf("has the status %q: it must be not_affected, affected, fixed or under_investigation", clip(string(w.Status)))
	}
	s.Status = w.Status
	if w.Justification != "" && !slices.Contains(Justifications(), w.Justification) {
		return s, fmt.Errorf("has the justification %q, which OpenVEX does not know", clip(w.Justification))
	}
	s.Justification = w.Justification
	if err := s.said(w); err != nil {
		return s, err
	}
	if err := s.about(w.Products); err != nil {
		return s, err
	}
	return s, s.answered()
}

// said reads who says it, why, when and until when.
func (s *Statement) said(w wireStatement) error {
	supplier, err := plain("supplier", w.Supplier, maxName)
	if err != nil {
		return err
	}
	s.Owner = cmp.Or(supplier, s.Owner)
	var reasons []string
	for _, text := range []struct{ name, text string }{
		{"justification", strings.ReplaceAll(w.Justification, "_", " ")}, {"impact_statement", w.ImpactStatement}, {"status_notes", w.StatusNotes},
	} {
		clean, err := plain(text.name, text.text, maxText)
		if err != nil {
			return err
		}
		if clean != "" && !slices.Contains(reasons, clean) {
			reasons = append(reasons, clean)
		}
	}
	s.Reason = strings.Join(reasons, ": ")
	at, err := moment("timestamp", w.Timestamp)
	if err != nil {
		return err
	}
	until, err := moment("expires", w.Expires)
	if err != nil {
		return err
	}
	if !at.IsZero() {
		s.Timestamp = at
	}
	if !until.IsZero() {
		s.Expires = until
	}
	return nil
}

// about reads the products.
func (s *Statement) about(products []wireProduct) error {
	for _, w := range products {
		if len(w.Subcomponents) > maxProducts {
			return fmt.Errorf("has a product with more than %d subcomponents", maxProducts)
		}
		p, err := w.product()
		if err != nil {
			return err
		}
		s.Products = append(s.Products, p)
	}
	if len(s.Products) > 0 && !slices.ContainsFunc(s.Products, func(p Product) bool { return !p.Unknown() }) {
		return fmt.Errorf("is about no image, repository or package that is known here: %q is none (an image is pkg:oci/NAME@sha256%%3A…, a repository pkg:oci/NAME?repository_url=HOST/REPOSITORY)",
			s.Products[0].ID)
	}
	return nil
}

// answered holds an exception to what it must have.
func (s Statement) answered() error {
	switch {
	case !s.Status.Excepts():
		return nil
	case s.Owner == "":
		return errors.New(`has no owner: add "supplier" to it, or "author" to the document`)
	case s.Reason == "":
		return errors.New(`has no reason: add "justification" and "impact_statement" to it, or "status_notes" where it is fixed`)
	case s.Expires.IsZero():
		return errors.New(`has no end: add "expires": "2027-01-31T00:00:00Z" (RFC 3339, Berth's addition to OpenVEX) to it, or to the document`)
	}
	return nil
}

func (w wireProduct) product() (Product, error) {
	id, err := w.name()
	if err != nil {
		return Product{}, err
	}
	p := Product{ID: id}
	pkg, isPURL := parsePURL(id)
	switch {
	case isPURL && pkg.kind == "oci":
		var ok bool
		if p.Digest, p.Repository, ok = pkg.image(); !ok {
			return Product{ID: id}, nil
		}
	case isPURL:
		p.Packages = []Package{pkg.pack()}
		return p, nil
	default:
		if at := strings.LastIndexByte(id, '@'); at >= 0 { // as docker writes an image
			p.Digest, _ = oci.ParseDigest(id[at+1:])
		}
	}
	if sum := cmp.Or(w.Hashes["sha-256"], w.Hashes["sha256"]); sum != "" && p.Digest == "" {
		p.Digest, _ = oci.ParseDigest("sha256:" + strings.ToLower(strings.TrimPrefix(sum, "sha256:")))
	}
	if p.Unknown() {
		return p, nil
	}
	for _, sub := range w.Subcomponents {
		name, err := sub.name()
		if err != nil {
			return Product{}, err
		}
		part := Package{Name: name}
		if pkg, ok := parsePURL(name); ok && pkg.kind != "oci" {
			part = pkg.pack()
		}
		if part.Name == "" { // it would be about all packages
			return Product{}, fmt.Errorf("has a subcomponent of %q without a name", id)
		}
		p.Packages = append(p.Packages, part)
	}
	return p, nil
}

// name is what the component is called: its purl if it has one.
func (w wireComponent) name() (string, error) {
	if purl := w.Identifiers["purl"]; purl != "" && !strings.HasPrefix(w.ID, "pkg:") {
		return plain("identifiers.purl", purl, maxName)
	}
	return plain("@id", w.ID, maxName)
}

// moment reads a time; none is the zero time.
func moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1970 { //nolint:mnd // before computers had time
		return time.Time{}, fmt.Errorf("%s is %q, and not a time such as 2027-01-31T00:00:00Z (RFC 3339)", name, clip(text))
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// plain is a text in one line, without what moves a cursor, of a bounded length.
func plain(name, text string, most int) (string, error) {
	if len(text) > most {
		return "", fmt.Errorf("%s has more than %d bytes", name, most)
	}
	text = strings.Join(strings.Fields(text), " ")
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%s has characters that cannot be printed", name)
	}
	return text, nil
}

// clip is a stranger's text for an error.
func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return strings.ToValidUTF8(text, "")
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
