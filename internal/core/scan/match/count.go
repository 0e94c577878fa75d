package match

import (
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Tally is how many findings a set of packages has. A finding is a vulnerability in packages of one name, whatever number of
// advisories, versions and binaries it is about; it is as bad as the worst of these.
type Tally struct {
	System, All [len(severities)]int // by severity, from bad to good
	Fixable     int                  // those of All that newer versions mend, for some of the packages at least
	Exploited   int
	Unevaluated int // packages whose version could not be compared with all that advisories say
}

// BySeverity gives one of the arrays of a Tally by the names of severities, without those that have none.
func BySeverity[M ~map[advisory.Severity]int](counts [len(severities)]int) M {
	var m M
	for i, n := range counts {
		if n > 0 {
			if m == nil {
				m = M{}
			}
			m[severities[i]] = n
		}
	}
	return m
}

// Table is what is known of the packages that advisories hit: all that is needed to count any set. It takes a few dozen bytes for each
// of these packages, however many sets there are.
type Table struct {
	pages   []*page // by the first bits of ids, which are dense
	changed bits    // of packages
	some    bits    // of packages of which something is known, or was
	groups  map[Name]int32
	system  []bool   // of each group
	names   []Name   // of each group
	results []packed // 0 is that of packages that nothing hits
	known   map[string]int32
}

// bits are a set of ids.
type bits []uint64

func (b *bits) set(id int64) {
	for int64(len(*b)) <= id>>6 {
		*b = append(*b, 0)
	}
	(*b)[id>>6] |= 1 << (id & 63)
}

func (b bits) has(id int64) bool { return id>>6 < int64(len(b)) && b[id>>6]&(1<<(id&63)) != 0 }

// page holds the packages of which the ids differ in the last bits only.
type page [1 << pageBits]profile

const pageBits = 8

// maxTableID bounds what a damaged id costs.
const maxTableID = 1 << 34

// profile is one package.
type profile struct {
	group   int32 // 0: nothing is known of it
	result  int32
	before  int32 // the result that it had before, where changed
	changed bool
}

// packed is a Result, and what it comes to by itself.
type packed struct {
	bytes    []byte
	tally    single
	findings []uint64 // see sorted; nil: not needed yet
}

type single struct {
	counts      [len(severities)]int32
	fixable     int32
	exploited   int32
	findings    int32
	unevaluated bool
}

// NewTable makes an empty one.
func NewTable() *Table {
	return &Table{
		groups: map[Name]int32{}, known: map[string]int32{"": 0},
		system: make([]bool, 1), names: make([]Name, 1), results: make([]packed, 1),
	}
}

// Add adds a package: what its Result is, packed, and whether it is of an operating system.
func (t *Table) Add(id int64, name Name, system bool, result []byte) error {
	p, err := t.profile(id, name, system)
	if err != nil {
		return err
	}
	p.result, err = t.intern(result)
	return err
}

// Changed adds what a package's Result was before the one that it has.
func (t *Table) Changed(id int64, name Name, system bool, before []byte) error {
	p, err := t.profile(id, name, system)
	if err != nil {
		return err
	}
	p.changed = true
	t.changed.set(id)
	p.before, err = t.intern(before)
	return err
}

func (t *Table) profile(id int64, name Name, system bool) (*profile, error) {
	if id <= 0 || id > maxTableID {
		return nil, ErrPacked
	}
	for int64(len(t.pages)) <= id>>pageBits {
		t.pages = append(t.pages, nil)
	}
	at := t.pages[id>>pageBits]
	if at == nil {
		at = new(page)
		t.pages[id>>pageBits] = at
	}
	t.some.set(id)
	group, ok := t.groups[name]
	if !ok {
		group = int32(len(t.names)) //nolint:gosec // as many as there are names
		t.groups[name] = group
		t.names, t.system = append(t.names, name), append(t.system, system)
	}
	p := &at[id&(1<<pageBits-1)]
	p.group = group
	return p, nil
}

func (t *Table) intern(b []byte) (int32, error) {
	if i, ok := t.known[string(b)]; ok {
		return i, nil
	}
	r, err := Unpack(b)
	if err != nil {
		return 0, err
	}
	i := int32(len(t.results)) //nolint:gosec // as many as there are packages
	b = slices.Clone(b)
	t.results = append(t.results, packed{bytes: b, tally: tallyOf(unite([]Result{r}), r.Unevaluated)})
	t.known[string(b)] = i
	return i, nil
}

// finding is what all hits of one vulnerability in packages of one name come to.
type finding struct {
	vulnerability int64
	advisory      int64 // one of them
	severity      int
	fixable       bool
	exploited     bool
}

// unite makes findings of results of packages of one name, in order of vulnerability.
func unite(results []Result) []finding {
	var all []finding
	for _, r := range results {
		for _, h := range r.Hits {
			all = append(all, finding{h.Vulnerability, h.Advisory, number(h.Severity), h.Fixable, h.Exploited})
		}
	}
	return uniteFindings(all)
}

func uniteFindings(all []finding) []finding {
	slices.SortStableFunc(all, func(a, b finding) int { return int(a.vulnerability - b.vulnerability) })
	out := all[:0]
	for _, f := range all {
		if n := len(out); n > 0 && out[n-1].vulnerability == f.vulnerability {
			o := &out[n-1]
			o.severity, o.fixable, o.exploited = min(o.severity, f.severity), o.fixable || f.fixable, o.exploited || f.exploited
			continue
		}
		out = append(out, f)
	}
	return out
}

func tallyOf(findings []finding, unevaluated bool) single {
	s := single{unevaluated: unevaluated, findings: int32(len(findings))} //nolint:gosec // few
	for _, f := range findings {
		s.counts[f.severity]++
		if f.fixable {
			s.fixable++
		}
		if f.exploited {
			s.exploited++
		}
	}
	return s
}

func (t *Tally) add(s *single, system bool, sign int) {
	for i, n := range s.counts {
		t.All[i] += sign * int(n)
		if system {
			t.System[i] += sign * int(n)
		}
	}
	t.Fixable += sign * int(s.fixable)
	t.Exploited += sign * int(s.exploited)
}

// Counter counts sets by a table, one after the other.
type Counter struct {
	table *Table
	turn  int32
	seen  []slot // by group

	ids        []int64 // of the set: see Load
	several    []int32 // groups of this set of which packages have different results
	members    []pair  // the members that are of a group, without duplicates
	touched    []int32 // groups of this set with changed packages
	vulnerable []int64
	scratch    []uint64
	had        []int32

	diffs map[pair]diff // what a change of a result comes to
}

type slot struct {
	turn    int32
	result  int32
	before  int32
	mixed   bool // packages of it have different results
	changed bool
}

// pair is a member's group, and what its result is and was.
type pair struct{ group, result, before int32 }

// NewCounter makes a counter.
func (t *Table) NewCounter() *Counter {
	return &Counter{table: t, seen: make([]slot, len(t.names)), diffs: map[pair]diff{}}
}

// Load takes a set's packed members, which Count and Changes are then about, and tells whether there is a changed package among them.
func (c *Counter) Load(members []byte) (touched bool, err error) {
	if c.ids, err = appendCounted(c.ids[:0], members); err != nil {
		return false, err
	}
	return slices.ContainsFunc(c.ids, c.table.changed.has), nil
}

// Count counts the set, and tells which of its members, packed again as ids, advisories hit.
func (c *Counter) Count() (vulnerable []byte, tally Tally) {
	c.turn++
	c.several, c.members, c.touched, c.vulnerable = c.several[:0], c.members[:0], c.touched[:0], c.vulnerable[:0]
	for _, id := range c.ids {
		if c.table.some.has(id) {
			c.member(id, &tally)
		}
	}
	for _, g := range c.several {
		tally.add(new(c.union(g)), c.table.system[g], 1)
	}
	return PackIDs(c.vulnerable), tally
}

func (c *Counter) member(id int64, tally *Tally) {
	p := &c.table.pages[id>>pageBits][id&(1<<pageBits-1)]
	if p.group == 0 {
		return
	}
	r := &c.table.results[p.result]
	if r.tally.unevaluated {
		tally.Unevaluated++
	}
	if r.tally.findings > 0 {
		c.vulnerable = append(c.vulnerable, id)
	}
	before := p.result
	if p.changed {
		before = p.before
	}
	c.members = append(c.members, pair{p.group, p.result, before})
	s := &c.seen[p.group]
	switch {
	case s.turn != c.turn:
		*s = slot{turn: c.turn, result: p.result, before: before}
		tally.add(&r.tally, c.table.system[p.group], 1)
	case s.result != p.result || s.before != before:
		if !s.mixed {
			s.mixed = true
			c.several = append(c.several, p.group)
			tally.add(&c.table.results[s.result].tally, c.table.system[p.group], -1)
		}
	}
	if p.changed && !s.changed {
		s.changed = true
		c.touched = append(c.touched, p.group)
	}
}

// union is what the different results of a group's members come to together.
func (c *Counter) union(group int32) single {
	c.scratch, c.had = c.scratch[:0], c.had[:0]
	for _, m := range c.members {
		if m.group == group && !slices.Contains(c.had, m.result) {
			c.had = append(c.had, m.result)
			c.scratch = append(c.scratch, c.table.results[m.result].sorted()...)
		}
	}
	slices.Sort(c.scratch)
	var s single
	for i, f := range c.scratch {
		if i > 0 && c.scratch[i-1]>>findingBits == f>>findingBits {
			continue // the first of a vulnerability is the worst
		}
		s.counts[f>>2&severityMask]++
		fixable, exploited := f&1, f>>1&1
		for _, o := range c.scratch[i+1:] {
			if o>>findingBits != f>>findingBits {
				break
			}
			fixable, exploited = fixable|o&1, exploited|o>>1&1
		}
		s.fixable += int32(fixable)     //nolint:gosec // 0 or 1
		s.exploited += int32(exploited) //nolint:gosec // 0 or 1
	}
	return s
}

// findingBits are those of a number that are not the vulnerability: three for the severity, one for exploited, one for fixable.
const findingBits = 5

// sorted gives the findings as numbers.
func (p *packed) sorted() []uint64 {
	if p.findings == nil {
		r, err := Unpack(p.bytes)
		if err != nil { // it was unpacked when it came in
			return nil
		}
		p.findings = make([]uint64, 0, len(r.Hits))
		for _, f := range unite([]Result{r}) {
			n := uint64(f.vulnerability)<<findingBits | uint64(f.severity)<<2 //nolint:gosec // not negative
			if f.exploited {
				n |= 2
			}
			if f.fixable {
				n |= 1
			}
			p.findings = append(p.findings, n)
		}
	}
	return p.findings
}

func (c *Counter) findings(group int32, before bool) []finding {
	var results []Result
	var had []int32
	for _, m := range c.members {
		i := m.result
		if before {
			i = m.before
		}
		if m.group != group || slices.Contains(had, i) {
			continue
		}
		had = append(had, i)
		r, err := Unpack(c.table.results[i].bytes)
		if err == nil { // it was unpacked when it came in
			results = append(results, r)
		}
	}
	return unite(results)
}
