package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ledger is what the clients of a server know for certain: everything that was sent, and whether an answer
// said that it is done. After a crash the server must agree with it.
type ledger struct {
	mu      sync.Mutex
	epoch   time.Time
	images  map[place]*imageRecord
	blobs   map[place]bool // acknowledged blobs that nothing has tried to delete
	hidden  map[place]bool // blobs of images that somebody has tried to delete: they may be gone for whoever asks
	tags    map[tagPlace][]tagOp
	uploads []*openUpload

	counts struct{ acked, cut, deleted int }
}

type place struct {
	repo   string
	digest oci.Digest
}

type tagPlace struct{ repo, tag string }

// imageRecord is one manifest that was sent.
type imageRecord struct {
	manifest []byte
	acked    bool // a 201 came
	doomed   bool // a deletion by digest was sent
	gone     bool // a 202 came for the deletion by digest
	parent   bool // an index that was sent refers to it
	shared   bool // it was sent under a tag that several workers move
}

// tagOp is one attempt to move a tag, or to delete it (then target is empty).
type tagOp struct {
	target     oci.Digest
	start, end time.Duration
	acked      bool
}

// openUpload is an upload under way: its bytes follow from the seed.
type openUpload struct {
	repo, location string
	content        []byte
	acked          int  // bytes that a 202 vouched for
	sent           int  // bytes that were put on the wire
	finishing      bool // the request that completes it was sent
}

func newLedger() *ledger {
	return &ledger{
		epoch: time.Now(), images: map[place]*imageRecord{}, blobs: map[place]bool{}, hidden: map[place]bool{}, tags: map[tagPlace][]tagOp{},
	}
}

func (l *ledger) now() time.Duration { return time.Since(l.epoch) }

// sending notes that a manifest is about to be sent.
func (l *ledger) sending(repo string, manifest []byte, shared bool) place {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := place{repo, oci.FromBytes(manifest)}
	if l.images[p] == nil {
		l.images[p] = &imageRecord{manifest: manifest}
	}
	l.images[p].shared = l.images[p].shared || shared
	return p
}

// sent notes how sending a manifest ended.
func (l *ledger) sent(p place, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if acked {
		l.images[p].acked = true
		l.counts.acked++
	} else {
		l.counts.cut++
	}
}

// tagged notes one attempt on a tag that started at start and has just ended.
func (l *ledger) tagged(t tagPlace, target oci.Digest, start time.Duration, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tags[t] = append(l.tags[t], tagOp{target: target, start: start, end: l.now(), acked: acked})
}

// blob notes an acknowledged blob.
func (l *ledger) blob(repo string, d oci.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := (place{repo, d}); !l.hidden[p] {
		l.blobs[p] = true
	}
}

// hide notes that an image is about to be deleted, and its layers with it unless others have them.
func (l *ledger) hide(p place) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := oci.ParseManifest("", l.images[p].manifest)
	for _, b := range m.Blobs() {
		l.hidden[place{p.repo, b.Digest}] = true
		delete(l.blobs, place{p.repo, b.Digest})
	}
	return err
}

// mayBeHidden tells whether a blob need not be there for whoever asks.
func (l *ledger) mayBeHidden(repo string, d oci.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hidden[place{repo, d}]
}

// mark changes an image's record.
func (l *ledger) mark(p place, change func(*imageRecord)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l.images[p])
}

// interrupted keeps an upload that the crash cut, so that it is continued later.
func (l *ledger) interrupted(u *openUpload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uploads = append(l.uploads, u)
}

// takeUploads gives the interrupted uploads and forgets them.
func (l *ledger) takeUploads() []*openUpload {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.uploads
	l.uploads = nil
	return u
}

// allowed lists where a tag may point now: the target of every attempt that no acknowledged attempt
// follows entirely. An attempt without an answer may have happened or not, until the moment it was cut;
// the empty digest stands for no tag.
func (l *ledger) allowed(t tagPlace) []oci.Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops := append([]tagOp{{acked: true}}, l.tags[t]...)
	allowed := map[oci.Digest]bool{}
	for _, a := range ops {
		superseded := slices.ContainsFunc(ops, func(b tagOp) bool { return b.acked && b.start >= a.end && b != a })
		if !superseded {
			allowed[a.target] = true
		}
	}
	return slices.Collect(maps.Keys(allowed))
}

// settle replaces what may be by what is: the server was seen with the tag there.
func (l *ledger) settle(t tagPlace, target oci.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.tags[t] = []tagOp{{target: target, start: now, end: now, acked: true}}
}

// tagPlaces lists the tags that were ever tried, in order.
func (l *ledger) tagPlaces() []tagPlace {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.tags), func(a, b tagPlace) int {
		return cmp.Or(strings.Compare(a.repo, b.repo), strings.Compare(a.tag, b.tag))
	})
}

// expectation says what a listing of a repository must hold and may hold.
func (l *ledger) expectation(repo string) (must, may map[oci.Digest]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	must, may = map[oci.Digest]bool{}, map[oci.Digest]bool{}
	for p, r := range l.images {
		if p.repo != repo || r.gone {
			continue
		}
		may[p.digest] = true
		if r.acked && !r.doomed {
			must[p.digest] = true
		}
	}
	return must, may
}

// blobPlaces lists the acknowledged blobs.
func (l *ledger) blobPlaces() []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.blobs))
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d pushes acknowledged, %d cut, %d deletions, %d blobs, %d tags",
		l.counts.acked, l.counts.cut, l.counts.deleted, len(l.blobs), len(l.tags))
}
