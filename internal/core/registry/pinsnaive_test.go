package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// model is what a repository should be, and decides about pins as docs/design/deployments.md says it.
type model struct {
	rnd    *rand.Rand
	b      *bench
	repo   string
	images map[oci.Digest]*modelled
	order  []oci.Digest // as pushed
	tips   map[string]oci.Digest
	chains map[string]*deployer
}

type modelled struct {
	registry.Image
	children []oci.Digest
	tag      string
	record   *deployment.Record
}

// chain lists the records of a tag, newest first, as far as they are there.
func (m *model) chain(tag string) []oci.Digest {
	var all []oci.Digest
	for d := m.tips[tag]; m.images[d] != nil; d = m.images[d].record.Previous {
		all = append(all, d)
	}
	return all
}

// roots are what deployments keep for its own sake.
func (m *model) roots() map[oci.Digest]bool {
	const depth = 3 // the bench's
	roots := map[oci.Digest]bool{}
	for tag := range m.tips {
		chain := m.chain(tag)
		outcome := func(i int) deployment.Outcome { return m.images[chain[i]].record.Outcome }
		image := func(i int) oci.Digest { return m.images[chain[i]].record.Image.Digest }
		successes := func(upTo int) int {
			different := map[oci.Digest]bool{}
			for i := range upTo {
				if outcome(i) == deployment.Succeeded {
					different[image(i)] = true
				}
			}
			return len(different)
		}
		for i := range chain {
			if successes(i) >= depth {
				break // all from here on is older than what is kept
			}
			roots[chain[i]] = true
			if outcome(i) == deployment.Succeeded || outcome(i) == deployment.Started && i == 0 || outcome(i) == deployment.Broken && successes(i) == 0 {
				roots[image(i)] = true
			}
		}
	}
	return roots
}

// pinned are the roots, what they are made of and what is about them.
func (m *model) pinned() map[oci.Digest]bool {
	pinned := m.roots()
	for grown := true; grown; {
		grown = false
		for d, i := range m.images {
			belongs := pinned[i.Subject]
			for holder, h := range m.images {
				belongs = belongs || pinned[holder] && slices.Contains(h.children, d)
			}
			if belongs && !pinned[d] {
				pinned[d], grown = true, true
			}
		}
	}
	return pinned
}

func (m *model) held(d oci.Digest) bool {
	for _, i := range m.images {
		if slices.Contains(i.children, d) {
			return true
		}
	}
	return false
}

// remove takes an image away with what follows it.
func (m *model) remove(d oci.Digest) {
	roots := m.roots()
	delete(m.images, d)
	for _, f := range m.order {
		if i := m.images[f]; i != nil && i.Subject == d && i.tag == "" && !roots[f] && !m.held(f) {
			m.remove(f)
		}
	}
}

func (m *model) any(which func(*modelled) bool) *modelled {
	var all []*modelled
	for _, d := range m.order {
		if i := m.images[d]; i != nil && which(i) {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[m.rnd.IntN(len(all))]
}

func (m *model) push(manifest []byte, tag string, i modelled) oci.Digest {
	m.b.t.Helper()
	var tags []string
	if tag != "" {
		tags = append(tags, tag)
	}
	i.Image, i.tag = m.b.push(m.repo, manifest, tags...).Image, tag
	m.images[i.Digest] = &i
	m.order = append(m.order, i.Digest)
	return i.Digest
}

// step does something.
func (m *model) step(n int) {
	m.b.t.Helper()
	image := m.any(func(i *modelled) bool { return i.record == nil })
	tag := []string{"", fmt.Sprintf("v%d", n)}[m.rnd.IntN(2)]
	switch what := m.rnd.IntN(10); {
	case image == nil || what < 2:
		m.push(m.b.manifest(m.repo, fmt.Sprintf(`{"n":%d}`, n), fmt.Sprint("layer ", n)), tag, modelled{})
	case what == 2:
		m.push(m.b.index(image.Manifest), tag, modelled{children: []oci.Digest{image.Digest}})
	case what == 3:
		raw := strings.Replace(string(m.b.attached(image.Image, "signature")), `"subject"`, fmt.Sprintf(`"annotations":{"n":"%d"},"subject"`, n), 1)
		m.push([]byte(raw), tag, modelled{})
	case what == 4:
		for t := range m.tips {
			if err := m.b.DeleteImage(m.b.t.Context(), root, m.repo, oci.Reference{Tag: t}); err != nil {
				m.b.t.Fatal(err)
			}
			m.images[m.tips[t]].tag = ""
			delete(m.tips, t)
			delete(m.chains, t)
			break
		}
	default:
		m.deploy(image.Image, []string{"prod", "staging"}[m.rnd.IntN(2)])
	}
}

func (m *model) deploy(img registry.Image, environment string) {
	m.b.t.Helper()
	d := m.chains[deployment.Tag(environment, "web")]
	if d == nil {
		d = &deployer{b: m.b, repo: m.repo, environment: environment, app: "web", tag: deployment.Tag(environment, "web"), deployments: len(m.order) * 1000}
		m.chains[d.tag] = d
	}
	outcome := []deployment.Outcome{deployment.Started, deployment.Succeeded, deployment.Succeeded, deployment.Failed, deployment.Broken}[m.rnd.IntN(5)]
	record := d.next(img, outcome)
	if old := m.images[m.tips[d.tag]]; old != nil {
		old.tag = ""
	}
	m.tips[d.tag] = m.push(d.bytes(record), d.tag, modelled{record: &record})
	d.last = record
	d.deployments++
}

// TestPinsAgreeWithTheNaive deletes everything that was pushed at random, in any order, and compares what is refused.
func TestPinsAgreeWithTheNaive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		refused := map[fault.Code]int{}
		for seed := range uint64(30) {
			m := &model{
				rnd: rand.New(rand.NewPCG(seed, 1)), b: b, repo: fmt.Sprintf("p/%d", seed), images: map[oci.Digest]*modelled{}, //nolint:gosec // to be repeated
				tips: map[string]oci.Digest{}, chains: map[string]*deployer{},
			}
			b.create(registry.NewRepository{Name: m.repo})
			b.layer(m.repo, deployment.Empty)
			for n := range 10 + m.rnd.IntN(25) {
				m.step(n)
			}
			for range 2 {
				for _, at := range m.rnd.Perm(len(m.order)) {
					d := m.order[at]
					want := fault.Code("")
					switch {
					case m.images[d] == nil:
						want = fault.ImageNotFound
					case m.held(d):
						want = fault.ImageReferenced
					case m.pinned()[d]:
						want = fault.ImagePinned
					}
					results, err := b.DeleteImages(t.Context(), root, m.repo, []registry.ImageID{{Digest: d.String()}})
					if err != nil {
						t.Fatal(err)
					}
					if got := results[0].Err; want == "" && got != nil || want != "" && !errors.Is(got, want) {
						t.Fatalf("seed %d: deleting %s (%+v): %v, want %q", seed, d, m.images[d], got, want)
					}
					refused[want]++
					if want == "" {
						m.remove(d)
					}
				}
			}
		}
		if refused[fault.ImagePinned] < 100 || refused[""] < 100 || refused[fault.ImageReferenced] < 10 {
			t.Errorf("too little was tried: %v", refused)
		}
	})
}
