package scan

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// Stores is where a Judge reads and writes.
type Stores interface {
	PackageStore
	EntryStore
	ScoreStore
	JudgeStore
	JudgeReads
	TellStore
	CleanStore
}

// Judge matches what images have installed with what advisories say. Its methods may be called from many goroutines, on any number of
// replicas.
type Judge struct {
	store  Stores
	actor  string
	now    func() time.Time
	notify func()
}

// JudgeConfig is what a Judge is made of.
type JudgeConfig struct {
	Store Stores
	Actor identity.Caller // who judges, in events: identity.Service(account, "scan")
	Now   func() time.Time
	// Notify is called when there are changes to tell of (TellOnce), or nil. It returns at once.
	Notify func()
}

// NewJudge makes a judge.
func NewJudge(c JudgeConfig) *Judge {
	j := &Judge{store: c.Store, actor: c.Actor.ARN, notify: c.Notify, now: func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) }}
	if j.notify == nil {
		j.notify = func() {}
	}
	return j
}

// Saved is what has been read of an image.
type Saved struct {
	ImageID int64
	Layers  []StoredLayer // lowest first, by id
	Image   inventory.Image
	ChainID string
	Problem string // why it is not all that the image has; empty: it is
	// Revision of the extractors that have read it.
	Revision int
}

const (
	// saveTries is how often a save begins again since a judgement has begun or gone on meanwhile, which is twice in each.
	saveTries = 20
	// saveBatch is how many packages are written in a transaction.
	saveBatch = 1000
)

// Save stores an image's inventory, and judges it by the advisories of now: once it returns, the image's counts are there. It may be
// repeated. An image that is not there is registry.ErrNoRow; ErrLayerGone asks for a layer to be read again.
func (j *Judge) Save(ctx context.Context, s Saved) error {
	for range saveTries {
		err := j.save(ctx, s)
		if !errors.Is(err, ErrJudged) {
			return err
		}
	}
	return fmt.Errorf("saving the inventory of image %d: %w, %d times", s.ImageID, ErrJudged, saveTries)
}

func (j *Judge) save(ctx context.Context, s Saved) error {
	at, err := j.store.Judgement(ctx) // before everything else: see "How news are not lost"
	if err != nil {
		return err
	}
	packages, place := distinct(s.Image.Packages)
	ids, err := j.intern(ctx, at.Epoch, packages)
	if err != nil {
		return err
	}
	members := make([]match.Member, len(s.Image.Packages))
	for i, f := range s.Image.Packages {
		members[i] = match.Member{Package: ids[place[i]], Layer: f.Layer, Owned: f.Owned}
	}
	now := j.now()
	set := Set{OS: s.Image.OS, Members: match.PackMembers(members), JudgedAt: now}
	if set.Digest, err = set.digest(); err != nil {
		return err
	}
	known, err := j.store.SetCounted(ctx, set.Digest)
	if err != nil {
		return err
	}
	if !known {
		if set.Vulnerable, set.Counts, err = j.count(ctx, set.Members, ids); err != nil {
			return err
		}
	}
	return j.store.PutInventory(ctx, at.Epoch, Inventory{
		ImageID: s.ImageID, ChainID: s.ChainID, Layers: s.Layers, Problem: s.Problem, Claimed: claimedOf(s.Image), Revision: s.Revision, ScannedAt: now, Set: set,
	})
}

// claimedOf lists the ecosystems of an image of which nothing but SBOMs tells that nobody answers for.
func claimedOf(i inventory.Image) []string {
	claimed := map[string]bool{}
	for _, f := range i.Packages {
		if only, known := claimed[f.Ecosystem]; f.Ecosystem != "" {
			claimed[f.Ecosystem] = f.Unvouched && (only || !known)
		}
	}
	maps.DeleteFunc(claimed, func(_ string, only bool) bool { return !only })
	return slices.Sorted(maps.Keys(claimed))
}

// distinct lists packages each once, in order of name, release and version, and tells which of them each of the found is.
func distinct(found []inventory.Found) (packages []Package, place []int) {
	type key struct {
		ecosystem, release string
		inventory.Package
	}
	found = slices.Clone(found)
	for i, f := range found { // advisories write them so, however they are installed
		found[i].Source = advisory.Name(f.Ecosystem, f.Source)
	}
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	of := func(i int) key { return key{found[i].Ecosystem, found[i].Release, found[i].Package} }
	slices.SortFunc(order, func(a, b int) int {
		x, y := found[a], found[b]
		return cmp.Or(
			cmp.Compare(x.Ecosystem, y.Ecosystem), cmp.Compare(x.Source, y.Source), cmp.Compare(x.Release, y.Release),
			cmp.Compare(x.SourceVersion, y.SourceVersion), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Version, y.Version),
			cmp.Compare(x.Arch, y.Arch), cmp.Compare(x.Type, y.Type))
	})
	place = make([]int, len(found))
	for n, i := range order {
		if n == 0 || of(i) != of(order[n-1]) {
			packages = append(packages, Package{Ecosystem: found[i].Ecosystem, Release: found[i].Release, Package: found[i].Package})
		}
		place[i] = len(packages) - 1
	}
	return packages, place
}

// digest names the set by its members and its operating system.
func (s Set) digest() (string, error) {
	os, err := json.Marshal(s.OS)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s", len(os), os)
	_, _ = h.Write(s.Members)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// intern gives the ids of packages, and stores those that are new with what advisories say of them.
func (j *Judge) intern(ctx context.Context, epoch int64, packages []Package) ([]int64, error) {
	var ids []int64
	for batch := range slices.Chunk(packages, saveBatch) {
		found, err := j.store.FindPackages(ctx, batch)
		if err != nil {
			return nil, err
		}
		var fresh []Package
		for i, id := range found {
			if id == 0 {
				fresh = append(fresh, batch[i])
			}
		}
		added, err := j.add(ctx, epoch, fresh)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			if id == 0 {
				id, added = added[0], added[1:]
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (j *Judge) add(ctx context.Context, epoch int64, fresh []Package) ([]int64, error) {
	if len(fresh) == 0 {
		return nil, nil
	}
	revisions, err := j.store.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string]int64{}
	for source, r := range revisions {
		by[source] = r.Current
	}
	i := 0
	err = j.matchNamed(ctx, fresh, by, func(_ match.Package, packed []byte) error {
		fresh[i].Packed = packed
		i++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return j.store.AddPackages(ctx, epoch, fresh)
}

// count counts one set.
func (j *Judge) count(ctx context.Context, members []byte, ids []int64) ([]byte, Counts, error) {
	table := match.NewTable()
	for batch := range slices.Chunk(ids, saveBatch) {
		packages, err := j.store.PackagesByID(ctx, batch)
		if err != nil {
			return nil, Counts{}, err
		}
		for _, p := range packages {
			if len(p.Packed) == 0 {
				continue
			}
			if err := table.Add(p.ID, p.name(), p.Type.System(), p.Packed); err != nil {
				return nil, Counts{}, err
			}
		}
	}
	counter := table.NewCounter()
	if _, err := counter.Load(members); err != nil {
		return nil, Counts{}, err
	}
	vulnerable, tally := counter.Count()
	return vulnerable, countsOf(tally), nil
}

func countsOf(t match.Tally) Counts {
	return Counts{
		System: match.BySeverity[Count](t.System), All: match.BySeverity[Count](t.All),
		Fixable: t.Fixable, Exploited: t.Exploited, Unevaluated: t.Unevaluated,
	}
}
