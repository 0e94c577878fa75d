package metadb_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// universe is what there is to push: few things, so that many meet.
type universe struct {
	repos  []string
	tags   []string
	blobs  map[oci.Digest][]byte
	images []*thing
	byName map[oci.Digest]*thing
}

// thing is an image, an index of images, or an image about another one.
type thing struct {
	name     string
	digest   oci.Digest
	manifest []byte
	blobs    []oci.Digest
	children []*thing
	about    *thing   // its subject
	company  []*thing // what may go along when it is deleted, at whatever depth, and itself
}

func newUniverse() *universe {
	u := &universe{
		repos: []string{"one", "two"}, tags: []string{"v1", "v2", "latest"},
		blobs: map[oci.Digest][]byte{}, byName: map[oci.Digest]*thing{},
	}
	a := u.image("A", nil, "base", "a")
	b := u.image("B", nil, "base", "b")
	c := u.image("C", nil, "base", "a", "b")
	d := u.image("D", nil, "d")
	i := u.index("I", nil, a, b)
	u.index("J", nil, b, d)
	u.image("sigA", a, "sig")
	u.image("sigI", i, "sig")
	s := u.image("sbomC", c, "base", "sbom")
	u.image("sigsbomC", s, "sig")
	for _, t := range u.images {
		t.company = []*thing{t}
		for n := 0; n < len(t.company); n++ {
			for _, o := range u.images {
				if o.about == t.company[n] {
					t.company = append(t.company, o)
				}
			}
		}
	}
	return u
}

func (u *universe) blob(text string) oci.Descriptor {
	b := []byte(text)
	d := oci.FromBytes(b)
	u.blobs[d] = b
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(b))}
}

func (u *universe) image(name string, about *thing, layers ...string) *thing {
	config := u.blob(`{"config":"` + name + `"}`)
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	t := &thing{name: name, about: about, blobs: []oci.Digest{config.Digest}}
	ds := []oci.Descriptor{}
	for _, l := range layers {
		ds = append(ds, u.blob("the layer "+l))
		t.blobs = append(t.blobs, ds[len(ds)-1].Digest)
	}
	m := map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": ds}
	if about != nil {
		m["subject"] = about.descriptor()
	}
	return u.add(t, m)
}

func (u *universe) index(name string, about *thing, children ...*thing) *thing {
	ds := []oci.Descriptor{}
	for _, c := range children {
		ds = append(ds, c.descriptor())
	}
	return u.add(&thing{name: name, about: about, children: children},
		map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": ds})
}

func (u *universe) add(t *thing, manifest map[string]any) *thing {
	raw, err := json.Marshal(manifest)
	if err != nil {
		panic(err)
	}
	t.manifest, t.digest = raw, oci.FromBytes(raw)
	u.images = append(u.images, t)
	u.byName[t.digest] = t
	return t
}

func (t *thing) descriptor() oci.Descriptor {
	media := oci.MediaTypeOCIManifest
	if len(t.children) > 0 {
		media = oci.MediaTypeOCIIndex
	}
	return oci.Descriptor{MediaType: media, Digest: t.digest, Size: int64(len(t.manifest))}
}

// place is a thing's, a tag's or a layer's in a repository.
type place struct{ repo, what string }

// life is what is known to have happened, or may have, to what is in a place. Numbers are the simulation's sequence;
// what is under way may happen at any time.
type life struct {
	putFrom  int // when the last put that was acknowledged began
	putEnd   int // when the last one that may have happened was over
	putting  int // how many are under way
	takeFrom int // the same of what removes it: that surely did
	takeEnd  int // and that may have
	taking   int
	target   oci.Digest // of a tag: by the put of putFrom
	takenAt  time.Time  // before the removal of takeFrom
}

// must tells that it is there.
func (l *life) must() bool { return l.putFrom > 0 && l.taking == 0 && l.putFrom > l.takeEnd }

// gone tells that it is not there.
func (l *life) gone() bool {
	return l.putting == 0 && (l.takeFrom > l.putEnd || l.putEnd == 0)
}

// expect is what must be so, as far as the requests' answers tell.
type expect struct {
	u     *universe
	lives map[place]*life
	// damaged are keys whose bytes the simulation itself took away.
	damaged map[string]bool
}

func newExpect(u *universe) *expect {
	return &expect{u: u, lives: map[place]*life{}, damaged: map[string]bool{}}
}

func (e *expect) life(repo, what string) *life {
	p := place{repo, what}
	if e.lives[p] == nil {
		e.lives[p] = &life{}
	}
	return e.lives[p]
}

// takes notes that something is under way that may remove what is in places. The result is called when it is over: with
// those that may be gone, and those that surely are.
func (e *expect) takes(ps []place, at time.Time, start int) func(end int, may, surely []place) {
	for _, p := range ps {
		e.life(p.repo, p.what).taking++
	}
	return func(end int, may, surely []place) {
		for _, p := range ps {
			e.life(p.repo, p.what).taking--
		}
		for _, p := range may {
			e.life(p.repo, p.what).takeEnd = end
		}
		for _, p := range surely {
			l := e.life(p.repo, p.what)
			l.takeEnd = end
			l.takeFrom, l.takenAt = max(l.takeFrom, start), at
		}
	}
}

// puts notes that something is under way that may put a thing into a repository.
func (e *expect) puts(ps []place, start int) func(end int, acknowledged, unknown bool, target oci.Digest) {
	for _, p := range ps {
		e.life(p.repo, p.what).putting++
	}
	return func(end int, acknowledged, unknown bool, target oci.Digest) {
		for _, p := range ps {
			l := e.life(p.repo, p.what)
			l.putting--
			if !acknowledged && !unknown {
				continue
			}
			switch {
			case p.isTag() && (!acknowledged || start < l.putEnd):
				l.takeEnd = end // it may point to either
			case acknowledged && start > l.putFrom:
				l.putFrom, l.target = start, target
			}
			l.putEnd = end
		}
	}
}

func (p place) isTag() bool { return len(p.what) < 20 && p.what[0] != '#' }

// company is what may go when an image is deleted.
func (e *expect) company(repo string, t *thing) []place {
	var ps []place
	for _, c := range t.company {
		ps = append(ps, place{repo, string(c.digest)})
	}
	return ps
}

// everything is all that a repository may have.
func (e *expect) everything(repo string) []place {
	ps := []place{{repo, "#repository"}}
	for _, t := range e.u.images {
		ps = append(ps, place{repo, string(t.digest)})
	}
	for _, t := range e.u.tags {
		ps = append(ps, place{repo, t})
	}
	for d := range e.u.blobs {
		ps = append(ps, place{repo, "#" + string(d)})
	}
	return ps
}

func (e *expect) tagMust(repo, tag string) (oci.Digest, bool) {
	l := e.life(repo, tag)
	if !l.must() || l.putting > 0 {
		return "", false
	}
	img := e.life(repo, string(l.target))
	return l.target, img.taking == 0 && img.takeEnd < l.putFrom
}

func (t *thing) String() string { return fmt.Sprintf("%s(%s)", t.name, t.digest[7:15]) }
