// Package match works out which advisories hit which packages, what that comes to for the set of packages of an image, and what news
// have changed in it.
//
// Packages and what advisories say of packages come in the same order, by ecosystem and name, so that matching is a merge of the two
// ([Join]) in constant memory, whether it is of a few names or of all. What comes out is kept packed, for each package; sets are
// counted from that ([Table]).
package match

import (
	"bytes"
	"cmp"
	"iter"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Name is a package as advisories know it.
type Name struct {
	Ecosystem string // OSV's, without release
	Source    string
}

// Compare orders names as Join needs them.
func (n Name) Compare(o Name) int {
	return cmp.Or(cmp.Compare(n.Ecosystem, o.Ecosystem), cmp.Compare(n.Source, o.Source))
}

// Package is one version of a package.
type Package struct {
	ID int64
	Name
	Release string // of the distribution; empty for languages
	Version string // of the source
	Packed  []byte // what was known of it before
}

// Entry is what one advisory says of packages of one name.
type Entry struct {
	Name
	Release  string // empty: of every one
	Advisory int64  // id
	Affected []byte // JSON, advisory.Affected
	// Counts: the advisory counts. One that has been replaced is there to tell which vulnerability it spoke of.
	Counts        bool
	Vulnerability string
	Body          []byte            // of the advisory: advisory.Encode
	Others        []advisory.Vector // of all advisories of the vulnerability
	Mended        []advisory.Vector // of what an erratum mends
	Exploited     bool
}

// Join hands over, for each package, what the advisories that count say of it, packed. Both sequences are in order of Name; packages
// of one name are in order of release and version. Hits keep the day since when their vulnerability is known to hit the package;
// today is the day of those that are new.
func Join(packages iter.Seq2[Package, error], entries iter.Seq2[Entry, error], today int, out func(p Package, packed []byte) error) error {
	next, stop := iter.Pull2(entries)
	defer stop()
	g := group{today: today, rated: map[int64]rated{}}
	e, err, more := next()
	for p, perr := range packages {
		if perr != nil {
			return perr
		}
		if p.Name != g.name {
			for more && err == nil && e.Name.Compare(p.Name) < 0 {
				e, err, more = next()
			}
			g.begin(p.Name)
			for more && err == nil && e.Name == p.Name {
				g.add(e)
				e, err, more = next()
			}
			if err != nil {
				return err
			}
		}
		packed, perr := g.match(p)
		if perr != nil {
			return perr
		}
		if perr := out(p, packed); perr != nil {
			return perr
		}
	}
	return nil
}

// group is what all advisories say of packages of one name.
type group struct {
	today int
	name  Name
	rules []rule
	names map[int64]string // the vulnerability of each advisory, those that count no more too
	first map[string]int64 // Hit.Vulnerability
	rated map[int64]rated  // by advisory: an erratum speaks of many packages, whose names are often neighbours

	// Of the package before: many share all of this.
	filled  bool
	release string
	version string
	result  Result
	before  []byte
	packed  []byte
}

// rated is what an advisory says of itself.
type rated struct {
	advisory.Advisory
	broken bool
}

// maxRated is how many of them are kept.
const maxRated = 8192

// of reads an advisory.
func (g *group) of(e Entry) rated {
	r, known := g.rated[e.Advisory]
	if !known {
		a, err := advisory.DecodeRated(e.Body)
		if r = (rated{a, err != nil}); len(g.rated) >= maxRated {
			clear(g.rated)
		}
		g.rated[e.Advisory] = r
	}
	return r
}

// rule is an entry that counts, made ready to be compared with.
type rule struct {
	Entry
	said     *advisory.Affected // nil: not needed yet
	affected *advisory.Ready
	broken   bool // it could not be read

	rated     bool // what follows is known: most that are compared with hit nothing
	withdrawn bool
	severity  advisory.Severity
}

func (g *group) begin(n Name) {
	g.name, g.rules, g.filled = n, g.rules[:0], false
	clear(g.names)
	clear(g.first)
	if g.names == nil {
		g.names, g.first = map[int64]string{}, map[string]int64{}
	}
}

func (g *group) add(e Entry) {
	g.names[e.Advisory] = e.Vulnerability
	if !e.Counts {
		return
	}
	if id, ok := g.first[e.Vulnerability]; !ok || e.Advisory < id {
		g.first[e.Vulnerability] = e.Advisory
	}
	g.rules = append(g.rules, rule{Entry: e})
}

func (g *group) match(p Package) ([]byte, error) {
	same := g.filled && p.Release == g.release && p.Version == g.version
	if same && bytes.Equal(p.Packed, g.before) {
		return g.packed, nil
	}
	if !same {
		g.result = g.evaluate(p.Release, p.Version)
		g.release, g.version = p.Release, p.Version
	}
	days, err := g.days(p.Packed)
	if err != nil {
		return nil, err
	}
	for i, h := range g.result.Hits {
		day, known := days[g.names[h.Advisory]]
		if !known {
			day = g.today
		}
		g.result.Hits[i].Day = day
	}
	g.filled, g.before, g.packed = true, p.Packed, g.result.Pack()
	return g.packed, nil
}

// days tells since when each vulnerability is known.
func (g *group) days(packed []byte) (map[string]int, error) {
	if len(packed) == 0 || len(g.result.Hits) == 0 {
		return nil, nil
	}
	r, err := Unpack(packed)
	if err != nil {
		return nil, err
	}
	days := make(map[string]int, len(r.Hits))
	for _, h := range r.Hits {
		if v, ok := g.names[h.Advisory]; ok {
			if day, ok := days[v]; !ok || h.Day < day {
				days[v] = h.Day
			}
		}
	}
	return days, nil
}

// evaluate compares a version with all rules. An advisory that names the package more than once hits it once.
func (g *group) evaluate(release, version string) Result {
	var r Result
	v := advisory.NewVersion(g.name.Ecosystem, version)
	for i := range g.rules {
		rule := &g.rules[i]
		if rule.Release != "" && rule.Release != release {
			continue
		}
		rule.ready()
		affected, err := rule.affected.Covers(v)
		if !affected && err == nil && !rule.broken {
			continue
		}
		if rule.rate(g.of); rule.withdrawn {
			continue
		}
		r.Unevaluated = r.Unevaluated || rule.broken || err != nil
		if !affected {
			continue
		}
		r.Hits = append(r.Hits, Hit{
			Advisory: rule.Advisory, Vulnerability: g.first[rule.Vulnerability], Severity: rule.severity, Exploited: rule.Exploited,
			Fixable: rule.affected.Mended(v),
		})
	}
	slices.SortStableFunc(r.Hits, func(a, b Hit) int { return cmp.Compare(a.Advisory, b.Advisory) })
	r.Hits = mergeHits(r.Hits)
	return r
}

// mergeHits makes one of hits of the same advisory: as bad as the worst, fixable if one is.
func mergeHits(hits []Hit) []Hit {
	out := hits[:0]
	for _, h := range hits {
		if n := len(out); n > 0 && out[n-1].Advisory == h.Advisory {
			o := &out[n-1]
			o.Fixable = o.Fixable || h.Fixable
			if number(h.Severity) < number(o.Severity) {
				o.Severity = h.Severity
			}
			continue
		}
		out = append(out, h)
	}
	return out
}

// ready reads the entry, once. One that cannot be read is compared with nothing, and says so.
func (r *rule) ready() {
	if r.said != nil {
		return
	}
	said, err := advisory.DecodeAffected(r.Affected)
	r.said, r.broken = &said, err != nil
	r.affected = r.said.Ready(r.Ecosystem)
}

// rate reads the advisory, once.
func (r *rule) rate(of func(Entry) rated) {
	if r.rated {
		return
	}
	r.rated = true
	a := of(r.Entry)
	r.broken, r.withdrawn = r.broken || a.broken, a.Withdrawn
	r.severity = a.RateErratum(*r.said, r.Others, r.Mended).Severity
}
