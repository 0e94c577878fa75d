package scan

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// AdvisoryReads reads advisories for people, those too that have been replaced where they are asked for by id: until the next judgement
// findings go by them.
type AdvisoryReads interface {
	// AdvisorySources gives those that have advisories, in order of name.
	AdvisorySources(ctx context.Context) ([]advisory.Source, error)
	// Heads gives what is short about advisories, by the ids of their rows; those that are gone are left out.
	Heads(ctx context.Context, ids []int64) (map[int64]Head, error)
	// Bodies gives advisories, without Affected, by the ids of their rows.
	Bodies(ctx context.Context, ids []int64) (map[int64]advisory.Advisory, error)
	// Entries gives what advisories say of packages, by the ids of their rows.
	AffectedBy(ctx context.Context, ids []int64) (map[int64][]advisory.Affected, error)
	// Mended gives the CVEs that errata mend, by the ids of their rows.
	Mended(ctx context.Context, ids []int64) (map[int64][]string, error)
	// Others gives what the sources that speak of no package say of vulnerabilities, in order of source.
	Others(ctx context.Context, vulnerabilities []string, sources []string) ([]Other, error)
}

// Head is what is short about an advisory.
type Head struct {
	OSVID         string
	Vulnerability string
}

// Other is what a source without packages says of a vulnerability.
type Other struct {
	Source        string
	Vulnerability string
	Advisory      advisory.Advisory
}

// sketch is a finding before anything is read but which advisories hit what.
type sketch struct {
	name       match.Name
	release    string
	key        int64 // match.Hit.Vulnerability
	severity   advisory.Severity
	system     bool
	exploited  bool
	fixable    int // of its packages
	day        int
	advisories []int64
	mends      []string // CVEs, where it goes by an erratum's name
	packages   []Package
	at         place
	exception  *Exception
}

// place is where a finding stands, as pages are cut by it. Suppressed ones come last.
type place struct {
	Suppressed    bool    `json:"x,omitempty"`
	Exploited     bool    `json:"k,omitempty"`
	Fixable       bool    `json:"f,omitempty"`
	Severity      int     `json:"s"` // 0 is the worst
	EPSS          float64 `json:"e,omitempty"`
	Vulnerability string  `json:"v"`
	Package       string  `json:"p"`
}

func (p place) compare(o place) int {
	yes := func(a, b bool) int { // true first
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	return cmp.Or(yes(o.Suppressed, p.Suppressed)*1, yes(p.Exploited, o.Exploited), yes(p.Fixable, o.Fixable), cmp.Compare(p.Severity, o.Severity),
		-cmp.Compare(p.EPSS, o.EPSS), cmp.Compare(p.Vulnerability, o.Vulnerability), cmp.Compare(p.Package, o.Package))
}

// token makes a place one that pages go on from.
func (p place) token() string {
	b, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// maxToken bounds a token: two names of bounded length, and numbers.
const maxToken = 4 << 10

// parsePlace reads a token; an empty one is before everything.
func parsePlace(token string) (*place, error) {
	if token == "" {
		return nil, nil //nolint:nilnil // there is no place
	}
	bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
	bad.Code = fault.PageTokenInvalid
	if len(token) > maxToken {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, bad
	}
	var p place
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if dec.Decode(&p) != nil || p.token() != token {
		return nil, bad
	}
	return &p, nil
}

var bySeverity = []advisory.Severity{ //nolint:gochecknoglobals // a table
	advisory.Critical, advisory.High, advisory.Medium, advisory.Low, advisory.Informational, advisory.Undefined,
}

func rank(s advisory.Severity) int {
	if i := slices.Index(bySeverity, s); i >= 0 {
		return i
	}
	return len(bySeverity)
}

// sketches groups what hits packages to findings: one for each vulnerability of packages of one name.
func sketches(packages []Package) ([]*sketch, error) {
	type key struct {
		match.Name
		vulnerability int64
	}
	found := map[key]*sketch{}
	for _, p := range packages {
		result, err := match.Unpack(p.Packed)
		if err != nil {
			return nil, fmt.Errorf("reading the matches of package %d: %w", p.ID, err)
		}
		hits := map[int64]bool{} // of this package: whether they are fixable
		for _, h := range result.Hits {
			k := key{p.name(), h.Vulnerability}
			f := found[k]
			if f == nil {
				f = &sketch{name: k.Name, release: p.Release, key: h.Vulnerability, severity: h.Severity, system: p.Type.System(), day: h.Day}
				found[k] = f
			}
			if rank(h.Severity) < rank(f.severity) {
				f.severity = h.Severity
			}
			f.exploited, f.day = f.exploited || h.Exploited, min(f.day, h.Day)
			if !slices.Contains(f.advisories, h.Advisory) {
				f.advisories = append(f.advisories, h.Advisory)
			}
			if n := len(f.packages); n == 0 || f.packages[n-1].ID != p.ID {
				f.packages = append(f.packages, p)
			}
			hits[h.Vulnerability] = hits[h.Vulnerability] || h.Fixable
		}
		for v, fixable := range hits {
			if fixable {
				found[key{p.name(), v}].fixable++
			}
		}
	}
	return slices.Collect(maps.Values(found)), nil
}

// isFixable tells whether newer versions mend it.
func (f *sketch) isFixable() Fixable {
	switch f.fixable {
	case 0:
		return No
	case len(f.packages):
		return Yes
	}
	return Partial
}

// ecosystem is that of the packages, with the release.
func (f *sketch) ecosystem() string {
	if f.release == "" {
		return f.name.Ecosystem
	}
	return f.name.Ecosystem + ":" + f.release
}

// called names the finding by what its advisories speak of.
func (f *sketch) called(heads map[int64]Head) {
	for _, id := range f.advisories {
		if v := heads[id].Vulnerability; v != "" && better(v, f.at.Vulnerability) {
			f.at.Vulnerability = v
		}
	}
}

// order names the findings and puts them in order.
func (s *Service) order(ctx context.Context, found []*sketch) (map[int64]Head, error) {
	if len(found) == 0 {
		return nil, nil
	}
	var ids []int64
	for _, f := range found {
		ids = append(ids, f.advisories...)
	}
	heads, err := s.advisories.Heads(ctx, once(ids))
	if err != nil {
		return nil, fmt.Errorf("reading which vulnerabilities there are: %w", err)
	}
	var names []string
	for _, f := range found {
		f.called(heads)
		names = append(names, f.at.Vulnerability)
	}
	mends, err := s.mends(ctx, found)
	if err != nil {
		return nil, err
	}
	others, err := s.advisories.Others(ctx, once(append(names, mends...)), []string{advisory.SourceEPSS})
	if err != nil {
		return nil, fmt.Errorf("reading what is known of exploits: %w", err)
	}
	epss := map[string]float64{}
	for _, o := range others {
		epss[o.Vulnerability] = o.Advisory.EPSS
	}
	for _, f := range found {
		f.at.Exploited, f.at.Fixable, f.at.Severity = f.exploited, f.fixable > 0, rank(f.severity)
		f.at.EPSS, f.at.Package = epss[f.at.Vulnerability], f.ecosystem()+"/"+f.name.Source
		for _, cve := range f.mends {
			f.at.EPSS = max(f.at.EPSS, epss[cve])
		}
	}
	slices.SortFunc(found, func(a, b *sketch) int { return a.at.compare(b.at) })
	return heads, nil
}

// better tells whether a name is the one that people know a vulnerability by, rather than another.
func better(a, b string) bool {
	if b == "" {
		return true
	}
	if x, y := strings.HasPrefix(a, "CVE-"), strings.HasPrefix(b, "CVE-"); x != y {
		return x
	}
	return a < b
}

func once[T cmp.Ordered](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// count counts findings.
func (c *Counts) count(f *sketch) {
	add := func(to *Count) {
		if *to == nil {
			*to = Count{}
		}
		(*to)[f.severity]++
	}
	add(&c.All)
	if f.system {
		add(&c.System)
	}
	if f.fixable > 0 {
		c.Fixable++
	}
	if f.exploited {
		c.Exploited++
	}
}

// filling is what findings of a page are filled with.
type filling struct {
	bodies   map[int64]advisory.Advisory
	affected map[int64][]advisory.Affected
	others   map[string][]Other
	placed   map[int64][]int // layers of packages
	layers   []Layer
	base     int // layers of the image that this one is built on
	origin   *Base
}

// fill reads what the findings of a page say.
func (s *Service) fill(ctx context.Context, page []*sketch, f filling) ([]Finding, error) {
	if len(page) == 0 {
		return nil, nil
	}
	var ids []int64
	var names []string
	for _, k := range page {
		ids, names = append(ids, k.advisories...), append(append(names, k.at.Vulnerability), k.mends...)
	}
	ids = once(ids)
	var err error
	if f.bodies, err = s.advisories.Bodies(ctx, ids); err != nil {
		return nil, fmt.Errorf("reading advisories: %w", err)
	}
	if f.affected, err = s.advisories.AffectedBy(ctx, ids); err != nil {
		return nil, fmt.Errorf("reading what advisories say of packages: %w", err)
	}
	others, err := s.advisories.Others(ctx, once(names), []string{advisory.SourceKEV, advisory.SourceEPSS, advisory.SourceCVSS})
	if err != nil {
		return nil, fmt.Errorf("reading what is known of vulnerabilities: %w", err)
	}
	f.others = map[string][]Other{}
	for _, o := range others {
		f.others[o.Vulnerability] = append(f.others[o.Vulnerability], o)
	}
	findings := make([]Finding, 0, len(page))
	for _, k := range page {
		findings = append(findings, f.finding(k))
	}
	return findings, nil
}

// finding makes a finding of a sketch. What several advisories say goes in order: distributions' before others'.
func (f filling) finding(k *sketch) Finding {
	out := Finding{
		Vulnerability: k.at.Vulnerability, Severity: k.severity, Ecosystem: k.ecosystem(), Source: k.name.Source, Fixable: k.isFixable(),
		Mends: k.mends, EPSS: k.at.EPSS, FirstSeen: time.Unix(int64(k.day)*24*60*60, 0).UTC(), Exception: k.exception,
	}
	for _, id := range k.advisories {
		a, ok := f.bodies[id]
		if !ok {
			continue
		}
		out.say(a)
		for _, entry := range f.affected[id] {
			if entry.Ecosystem == k.name.Ecosystem && entry.Name == k.name.Source && (entry.Release == "" || entry.Release == k.release) {
				out.Vectors, out.Word = append(out.Vectors, entry.Vectors...), cmp.Or(entry.Word, out.Word)
			}
		}
		out.Vectors = append(out.Vectors, a.Vectors...)
	}
	own := len(out.Vectors) > 0
	for _, name := range append([]string{k.at.Vulnerability}, k.mends...) {
		out.hear(f.others[name], own && name != k.at.Vulnerability)
	}
	out.Vectors = distinctVectors(out.Vectors)
	if len(out.Vectors) > 0 {
		out.Score = out.Vectors[0].Score
	}
	if !own && len(k.mends) > 0 { // the worst of several vulnerabilities
		for _, v := range out.Vectors {
			out.Score = max(out.Score, v.Score)
		}
	}
	out.Advisories = once(out.Advisories)
	for _, p := range k.packages {
		out.Packages = append(out.Packages, f.places(k, p)...)
	}
	return out
}

// say adds what one advisory says, where none has said it before.
func (out *Finding) say(a advisory.Advisory) {
	out.Advisories = append(out.Advisories, a.ID)
	out.Advisories = append(out.Advisories, a.Aliases...)
	out.Summary, out.Details, out.URL = cmp.Or(out.Summary, a.Summary), cmp.Or(out.Details, a.Details), cmp.Or(out.URL, a.URL)
	out.Word = cmp.Or(out.Word, a.Word)
	for _, r := range a.References {
		if !slices.Contains(out.References, r) && len(out.References) < advisory.MaxReferences {
			out.References = append(out.References, r)
		}
	}
	if !a.Published.IsZero() && (out.Published.IsZero() || a.Published.Before(out.Published)) {
		out.Published = a.Published
	}
	if a.Modified.After(out.Modified) {
		out.Modified = a.Modified
	}
}

// distinctVectors gives each vector once, the newest version of CVSS first.
func distinctVectors(all []advisory.Vector) []advisory.Vector {
	var out []advisory.Vector
	for _, v := range all {
		if !slices.ContainsFunc(out, func(o advisory.Vector) bool { return o.Vector == v.Vector }) {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b advisory.Vector) int { return -cmp.Compare(a.Version, b.Version) })
	return out
}

// places gives a package as it is in the image: once for each layer that has brought it.
func (f filling) places(k *sketch, p Package) []Affected {
	fixed := ""
	for _, id := range k.advisories {
		for _, entry := range f.affected[id] {
			if entry.Ecosystem != k.name.Ecosystem || entry.Name != k.name.Source || entry.Release != "" && entry.Release != p.Release {
				continue
			}
			fixed = later(k.name.Ecosystem, fixed, entry.FixedFor(k.name.Ecosystem, p.SourceVersion))
		}
	}
	layers := f.placed[p.ID]
	if len(layers) == 0 {
		layers = []int{-1}
	}
	var all []Affected
	for _, layer := range layers {
		a := Affected{
			Found: inventory.Found{Package: p.Package, Ecosystem: p.Ecosystem, Release: p.Release, Layer: max(layer, 0)},
			Fixed: fixed, FromBase: layer >= 0 && layer < f.base,
		}
		if layer >= 0 && layer < len(f.layers) {
			a.LayerDigest, a.Instruction = f.layers[layer].Digest, f.layers[layer].Instruction
		}
		all = append(all, a)
	}
	return all
}

// later gives the later of two versions that mend what several advisories say, each of something else: only from there on is all mended.
func later(ecosystem, a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	if n, err := advisory.Compare(ecosystem, a, b); err == nil && n < 0 {
		return b
	}
	return a
}

// layersOf gives the layers of an image, by its manifest and by what is known of them.
func layersOf(m oci.Manifest, stored []StoredLayer) []Layer {
	all := make([]Layer, len(m.Layers))
	for i, l := range m.Layers {
		all[i].Digest = l.Digest
		if i < len(stored) && stored[i].ID != 0 {
			all[i].Instruction = stored[i].CreatedBy
			if stored[i].Problem == "" {
				all[i].DiffID = stored[i].DiffID
			}
		}
	}
	return all
}
