package metadb_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestJudgingModel saves, imports, judges, tells and cleans at random, one in the middle of another, and stops at writes, before or
// after they have been done. In the end what is stored of each image is what somebody simple-minded makes of all advisories, and what
// an image was told is the difference to what it was judged to have when it was saved.
func TestJudgingModel(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		for seed := range uint64(12) {
			newModel(t, db, seed).run(60)
		}
	})
}

var errStopped = errors.New("the process has stopped")

// model is a registry of which everything is known.
type model struct {
	*judged
	r       *rand.Rand
	name    string
	images  []int64
	digests map[oci.Digest]int64
	has     map[int64][]inventory.Found
	tracked map[int64]map[string]bool // findings, by image, that events have told of; nil: not known
	said    []*version
	nested  int
	revs    map[string]int64
}

// version is an advisory while it counts.
type version struct {
	said
	to int64
}

func newModel(t *testing.T, db *metadb.DB, seed uint64) *model {
	t.Helper()
	m := &model{
		judged: newJudged(t, db), r: rand.New(rand.NewPCG(seed, 1)), name: fmt.Sprintf("r%d", seed), //nolint:gosec // not a secret
		has: map[int64][]inventory.Found{}, tracked: map[int64]map[string]bool{}, digests: map[oci.Digest]int64{},
		revs: map[string]int64{},
	}
	for _, text := range []string{
		`DELETE FROM image_inventories`, `DELETE FROM package_sets`, `DELETE FROM packages`, `DELETE FROM advisories`, `DELETE FROM advisory_sources`,
		`DELETE FROM events`, `DELETE FROM scan_journal`, `UPDATE scan_judgement SET phase = '', holder = '', lease_until = 0`,
	} {
		m.exec(text)
	}
	m.images = m.judged.images(m.name, 8)
	for i, id := range m.images {
		m.digests[oci.FromBytes(fmt.Append(nil, m.name, i))] = id
	}
	for _, source := range []string{"npm", "Debian", "kev", "cvss"} {
		m.imports(source)
	}
	m.must(m.settle())
	return m
}

// store is what a process sees of the database until it stops.
type store struct {
	metadb.Judging
	m       *model
	left    int // writes until it stops; negative: it does not
	stopped bool
}

func (s *store) write(f func() error) error {
	if s.stopped {
		return errStopped
	}
	s.m.meanwhile()
	if s.left == 0 {
		s.stopped = true
		if s.m.r.IntN(2) == 0 {
			return errStopped
		}
		return errors.Join(f(), errStopped) // done, and nobody has heard of it
	}
	s.left--
	return f()
}

func (s *store) AddPackages(ctx context.Context, epoch int64, ps []scan.Package) (ids []int64, err error) {
	return ids, s.write(func() error { ids, err = s.Judging.AddPackages(ctx, epoch, ps); return err })
}

func (s *store) PutInventory(ctx context.Context, epoch int64, i scan.Inventory) error {
	return s.write(func() error { return s.Judging.PutInventory(ctx, epoch, i) })
}

func (s *store) Begin(ctx context.Context, holder string) (j scan.Judgement, err error) {
	return j, s.write(func() error { j, err = s.Judging.Begin(ctx, holder); return err })
}

func (s *store) WriteMatches(ctx context.Context, holder string, until time.Time, changed []scan.MatchChange) error {
	for c := range slices.Chunk(changed, 5) {
		if err := s.write(func() error { return s.Judging.WriteMatches(ctx, holder, until, c) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) BeginCounting(ctx context.Context, holder string) (j scan.Judgement, err error) {
	return j, s.write(func() error { j, err = s.Judging.BeginCounting(ctx, holder); return err })
}

func (s *store) SetsAfter(ctx context.Context, after, upto int64, _ int) ([]scan.Set, error) {
	return s.Judging.SetsAfter(ctx, after, upto, 2)
}

func (s *store) WriteSets(ctx context.Context, holder string, until, now time.Time, counted int64, sets []scan.SetChange) error {
	return s.write(func() error { return s.Judging.WriteSets(ctx, holder, until, now, counted, sets) })
}

func (s *store) End(ctx context.Context, holder string, now time.Time) error {
	return s.write(func() error { return s.Judging.End(ctx, holder, now) })
}

func (s *store) Release(ctx context.Context, holder string) error {
	if s.stopped {
		return errStopped
	}
	return s.Judging.Release(ctx, holder)
}

func (s *store) TellChanges(ctx context.Context, _ int, events func(scan.Changes, []scan.ToldImage) []event.Event) (some bool, err error) {
	return some, s.write(func() error { some, err = s.Judging.TellChanges(ctx, 2, events); return err })
}

// process is a judge that stops after some writes, or does not.
func (m *model) process(stops bool) *scan.Judge {
	s := &store{Judging: m.db.Judging(), m: m, left: -1}
	if stops {
		s.left = m.r.IntN(12)
	}
	return scan.NewJudge(scan.JudgeConfig{Store: s, Now: func() time.Time { return m.now }})
}

// meanwhile is what others do while somebody is at something.
func (m *model) meanwhile() {
	if m.nested > 1 || m.r.IntN(5) > 0 {
		return
	}
	m.nested++
	defer func() { m.nested-- }()
	for range 1 + m.r.IntN(3) {
		m.step()
	}
}

func (m *model) step() {
	var err error
	switch n := m.r.IntN(20); {
	case n < 7:
		err = m.saveOne(m.process(m.r.IntN(4) == 0))
	case n < 11:
		m.imports([]string{"npm", "Debian", "kev", "cvss"}[m.r.IntN(4)])
	case n < 16:
		_, err = m.process(m.r.IntN(2) == 0).JudgeOnce(m.tb.Context())
	case n < 18:
		_, err = m.process(m.r.IntN(4) == 0).TellOnce(m.tb.Context())
	case n < 19:
		err = m.clean()
	default:
		m.now = m.now.Add(2 * time.Minute)
	}
	if err != nil && !errors.Is(err, errStopped) {
		m.tb.Fatal(err)
	}
}

// clean cleans as if everything were a day old.
func (m *model) clean() error {
	late := scan.NewJudge(scan.JudgeConfig{Store: m.db.Judging(), Now: func() time.Time { return m.now.Add(48 * time.Hour) }})
	_, err := late.CleanOnce(m.tb.Context())
	return err
}

func (m *model) run(steps int) {
	m.tb.Helper()
	for range steps {
		m.step()
	}
	m.must(m.settle())
	m.must(m.clean())
	for _, id := range m.images {
		m.compare(id)
	}
	if m.tb.Failed() {
		m.tb.FailNow()
	}
}

// settle judges and tells to the end.
func (m *model) settle() error {
	ctx := m.tb.Context()
	m.now = m.now.Add(2 * time.Minute)
	for range 5 {
		if _, err := m.judge.JudgeOnce(ctx); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = m.judge.TellOnce(ctx); err != nil {
			return err
		}
	}
	return m.hear()
}

// saveOne saves a random image, and takes note of what it was judged to have.
func (m *model) saveOne(j *scan.Judge) error {
	ctx := m.tb.Context()
	id := m.images[m.r.IntN(len(m.images))]
	var found []inventory.Found
	if m.r.IntN(2) == 0 {
		found = m.has[m.images[m.r.IntN(len(m.images))]] // the same as another has, if that has any
	}
	if len(found) == 0 {
		for range 1 + m.r.IntN(5) {
			found = append(found, m.found())
		}
	}
	m.must(m.hear())
	m.tracked[id] = nil
	err := j.Save(ctx, scan.Saved{ImageID: id, Image: inventory.Image{Packages: found}})
	if err != nil {
		// It may have been written all the same. Whoever asked asks again.
		err = errors.Join(err, m.judge.Save(ctx, scan.Saved{ImageID: id, Image: inventory.Image{Packages: found}}))
	}
	m.has[id] = found
	at, aerr := m.db.Judging().Judgement(ctx)
	m.must(aerr)
	if at.Phase == scan.Idle {
		m.must(m.hear()) // of the one before
		m.tracked[id] = m.stored(id)
	} else {
		m.tracked[id] = nil
	}
	return err
}

// found is a random package.
func (m *model) found() inventory.Found {
	f := npm(fmt.Sprintf("p%d", m.r.IntN(3)), m.version()+".0.0")
	if m.r.IntN(2) == 0 {
		source := fmt.Sprintf("s%d", m.r.IntN(3))
		f = deb(source, fmt.Sprintf("%s-%d", source, m.r.IntN(2)), m.version())
	}
	f.Owned, f.Layer = m.r.IntN(5) == 0, m.r.IntN(2)
	return f
}

// version is a number of three digits, so that texts are in the same order.
func (m *model) version() string { return fmt.Sprintf("%d", 100+m.r.IntN(900)) }

// stored is the findings of what is stored of an image.
func (m *model) stored(id int64) map[string]bool {
	ctx := m.tb.Context()
	i, err := m.db.Judging().Inventory(ctx, id)
	m.must(err)
	ids, err := match.UnpackIDs(i.Set.Vulnerable)
	m.must(err)
	packages, err := m.db.Judging().PackagesByID(ctx, ids)
	m.must(err)
	all := map[string]bool{}
	for _, p := range packages {
		r, err := match.Unpack(p.Packed)
		m.must(err)
		var advisories []int64
		for _, h := range r.Hits {
			advisories = append(advisories, h.Advisory)
		}
		names, err := m.db.Judging().VulnerabilitiesOf(ctx, advisories)
		m.must(err)
		for _, v := range names {
			all[v+" in "+p.Source] = true
		}
	}
	return all
}

// hear takes the events from the outbox.
func (m *model) hear() error {
	ctx := m.tb.Context()
	for {
		events, err := m.db.Outbox().Claim(ctx, m.now.Add(time.Hour), m.now.Add(24*time.Hour), 100)
		if err != nil || len(events) == 0 {
			return err
		}
		var ids []int64
		for _, e := range events {
			ids = append(ids, e.ID)
			image, ours := m.digests[e.Digest]
			has := m.tracked[image]
			if !ours || has == nil {
				continue
			}
			for _, f := range e.Findings.New {
				if key := f.Vulnerability + " in " + f.Package; has[key] {
					m.tb.Errorf("%s: image %d is told of %s, which it has", m.name, image, key)
				} else {
					has[key] = true
				}
			}
			for _, f := range e.Findings.Fixed {
				if key := f.Vulnerability + " in " + f.Package; !has[key] {
					m.tb.Errorf("%s: image %d is told that %s is gone, which it does not have", m.name, image, key)
				} else {
					delete(has, key)
				}
			}
		}
		if err := m.db.Outbox().Done(ctx, ids); err != nil {
			return err
		}
	}
}

// imports makes a new revision of a source.
func (m *model) imports(source string) {
	rev := m.revs[source] + 1
	for range 1 + m.r.IntN(4) {
		if m.r.IntN(3) == 0 {
			for _, v := range m.said {
				if v.source == source && v.to > rev && v.from < rev && m.r.IntN(2) == 0 {
					v.to = rev
					m.withdraw(source, v.id, rev)
					if m.r.IntN(2) == 0 { // it says something else
						m.add(source, v.id, rev)
					}
					break
				}
			}
			continue
		}
		m.add(source, fmt.Sprintf("%s-%d", source, len(m.said)), rev)
	}
	m.revs[source] = rev
	m.source(source, rev)
}

func (m *model) add(source, id string, rev int64) {
	v := &version{to: math.MaxInt64, said: said{
		source: source, id: id, vulnerability: fmt.Sprintf("CVE-%d", m.r.IntN(6)), from: rev,
		score: []int{0, 0, 20, 50, 80, 95}[m.r.IntN(6)], severity: []advisory.Severity{advisory.Undefined, advisory.Low, advisory.High}[m.r.IntN(3)],
	}}
	switch source {
	case "npm":
		v.ecosystem, v.name = source, fmt.Sprintf("p%d", m.r.IntN(3))
		if m.r.IntN(2) == 0 {
			v.fixed = m.version() + ".0.0"
		}
	case "Debian":
		v.ecosystem, v.name, v.release = source, fmt.Sprintf("s%d", m.r.IntN(3)), []string{"11", "12", ""}[m.r.IntN(3)]
		if m.r.IntN(2) == 0 {
			v.fixed = m.version()
		}
	case "kev":
		v.score = 0
	case "cvss":
		v.score = max(v.score, 20)
	}
	m.said = append(m.said, v)
	m.advise(v.said)
}

// counting lists what counts now.
func (m *model) counting() (all []said) {
	for _, v := range m.said {
		if rev := m.revs[v.source]; v.from <= rev && rev < v.to {
			all = append(all, v.said)
		}
	}
	return all
}

func severityOf(score int) advisory.Severity {
	switch {
	case score < 40:
		return advisory.Low
	case score < 70:
		return advisory.Medium
	case score < 90:
		return advisory.High
	}
	return advisory.Critical
}

// naive is the findings and counts of an image, worked out one by one.
func (m *model) naive(id int64) (map[string]bool, scan.Counts) {
	type finding struct {
		severity           advisory.Severity
		fixable, exploited bool
		system             bool
	}
	order := []advisory.Severity{advisory.Undefined, advisory.Informational, advisory.Low, advisory.Medium, advisory.High, advisory.Critical}
	found := map[string]finding{}
	all := m.counting()
	for _, f := range m.has[id] {
		for _, a := range all {
			if f.Owned || a.ecosystem != f.Ecosystem || a.name != f.Source || a.release != "" && a.release != f.Release ||
				a.fixed != "" && f.SourceVersion >= a.fixed {
				continue
			}
			score, exploited := a.score, false
			for _, o := range all {
				if o.vulnerability == a.vulnerability && a.score == 0 {
					score = max(score, o.score)
				}
				exploited = exploited || o.vulnerability == a.vulnerability && o.source == "kev"
			}
			severity := a.severity
			if score > 0 {
				severity = severityOf(score)
			}
			key := a.vulnerability + " in " + a.name
			was := found[key]
			worse := cmp.Compare(slices.Index(order, severity), slices.Index(order, was.severity)) > 0
			if was.severity == "" || worse {
				was.severity = severity
			}
			found[key] = finding{was.severity, was.fixable || a.fixed != "", was.exploited || exploited, f.Type.System()}
		}
	}
	var c scan.Counts
	add := func(to *scan.Count, s advisory.Severity) {
		if *to == nil {
			*to = scan.Count{}
		}
		(*to)[s]++
	}
	names := map[string]bool{}
	for key, f := range found {
		names[key] = true
		add(&c.All, f.severity)
		if f.system {
			add(&c.System, f.severity)
		}
		if f.fixable {
			c.Fixable++
		}
		if f.exploited {
			c.Exploited++
		}
	}
	return names, c
}

func (m *model) compare(id int64) {
	m.tb.Helper()
	if m.has[id] == nil {
		return
	}
	names, counts := m.naive(id)
	if diff := gocmp.Diff(counts, m.counts(id)); diff != "" {
		m.tb.Errorf("%s: counts of image %d (-want +got):\n%s", m.name, id, diff)
	}
	if diff := gocmp.Diff(names, m.stored(id)); diff != "" {
		m.tb.Errorf("%s: findings of image %d (-want +got):\n%s", m.name, id, diff)
	}
	if told := m.tracked[id]; told != nil && !maps.Equal(told, names) {
		m.tb.Errorf("%s: image %d has been told otherwise (-want +told):\n%s", m.name, id, gocmp.Diff(names, told))
	}
}
