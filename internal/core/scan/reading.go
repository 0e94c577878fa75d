package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// setCache knows the ecosystems of sets, which never change. The zero value is ready.
type setCache struct {
	mu   sync.Mutex
	sets map[int64]SetEcosystems
}

// maxCachedSets bounds the cache: a few megabytes.
const maxCachedSets = 50_000

func (c *setCache) get(ctx context.Context, read func(context.Context, []int64) (map[int64]SetEcosystems, error), ids ...int64) (map[int64]SetEcosystems, error) {
	all := map[int64]SetEcosystems{}
	var unknown []int64
	c.mu.Lock()
	for _, id := range ids {
		if e, ok := c.sets[id]; ok {
			all[id] = e
		} else {
			unknown = append(unknown, id)
		}
	}
	c.mu.Unlock()
	if len(unknown) == 0 {
		return all, nil
	}
	found, err := read(ctx, once(unknown))
	if err != nil {
		return nil, fmt.Errorf("reading which ecosystems packages are of: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sets == nil || len(c.sets) > maxCachedSets {
		c.sets = map[int64]SetEcosystems{}
	}
	for id, e := range found {
		all[id], c.sets[id] = e, e
	}
	return all, nil
}

// Report gives one page of an image's findings with all that a judgement of it goes by (ecr:DescribeImageScanFindings), or answers
// fault.ScanNotFound. Nothing in it is read from a blob.
func (s *Service) Report(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID, q Query) (Report, error) {
	it, err := s.registry.ImageScan(ctx, caller, repository, id)
	after, bad := parsePlace(q.After)
	switch {
	case bad != nil && !errors.Is(err, fault.AccessDenied): // who may not ask hears nothing else
		return Report{}, bad
	case err != nil:
		return Report{}, err
	}
	sources, err := s.sources(ctx)
	if err != nil {
		return Report{}, err
	}
	r := Report{Repository: repository, Image: it.Image, Status: it.Scan}
	known, err := s.inventory.Inventory(ctx, it.Image.ID)
	if errors.Is(err, registry.ErrNoRow) {
		r.Status = effective(it.Scan, it.Image, it.Frequency, contents{sources: sources}, s.now())
		return r, nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("reading what %s has: %w", it.Image.Digest, err)
	}
	sets, err := s.sets.get(ctx, s.reads.SetEcosystems, known.Set.ID)
	if err != nil {
		return Report{}, err
	}
	set := sets[known.Set.ID]
	unheard, err := s.unheard(ctx, known.Set.OS, sources)
	if err != nil {
		return Report{}, err
	}
	r.Status = effective(it.Scan, it.Image, it.Frequency, contents{
		true, known.Problem, known.Set.Counts.Unevaluated, known.Set.OS, set, sources, unheard,
	}, s.now())
	r.Read, r.OS, r.ScannedAt, r.JudgedAt = true, known.Set.OS, known.ScannedAt, known.JudgedAt
	system := q.OfKind && it.Scan.Kind == registry.Basic
	names := set.Names
	if system {
		names = []string{systemEcosystem(r.OS)}
	}
	r.Sources, r.Missing = sourcesOf(names, sources), missingOf(names, unheard, sources)
	if known.Problem != "" {
		r.Problems = []string{known.Problem}
	}
	return r, s.find(ctx, caller, &r, it, known, after, q, system)
}

// sources gives all sources by name.
func (s *Service) sources(ctx context.Context) (map[string]advisory.Source, error) {
	list, err := s.advisories.AdvisorySources(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading which advisories there are: %w", err)
	}
	all := make(map[string]advisory.Source, len(list))
	for _, l := range list {
		all[l.Name] = l
	}
	return all, nil
}

// sourcesOf gives the sources that count for packages of the ecosystems.
func sourcesOf(ecosystems []string, sources map[string]advisory.Source) (counting []advisory.Source) {
	for _, name := range slices.Concat(ecosystems, []string{advisory.SourceKEV, advisory.SourceEPSS, advisory.SourceCVSS}) {
		if source, ok := sources[name]; ok {
			counting = append(counting, source)
		}
	}
	return counting
}

// find fills in findings and counts.
func (s *Service) find(ctx context.Context, caller identity.Caller, r *Report, it registry.ImageScan, known Inventory, after *place, q Query, system bool) error {
	found, heads, unevaluated, err := s.findingsOf(ctx, known)
	if err != nil {
		return err
	}
	r.Unevaluated = unevaluated
	if system {
		found = slices.DeleteFunc(found, func(f *sketch) bool { return !f.system })
	}
	if err := s.except(ctx, it.Repository.ID, it.Image.Digest, found, heads); err != nil {
		return err
	}
	for _, f := range found {
		if f.exception != nil {
			r.Suppressed.count(f)
		} else {
			r.Counts.count(f)
		}
	}
	page := found
	if after != nil {
		page = slices.DeleteFunc(slices.Clone(found), func(f *sketch) bool { return f.at.compare(*after) <= 0 })
	}
	limit := q.Limit
	if limit <= 0 {
		limit = DefaultFindings
	}
	if limit = min(limit, MaxFindings); len(page) > limit {
		page = page[:limit]
		r.Next = page[limit-1].at.token()
	}
	with, err := s.filling(ctx, caller, it, known, page)
	if err != nil {
		return err
	}
	r.Base = with.origin
	r.Findings, err = s.fill(ctx, page, with)
	return err
}

// findingsOf gives what is known against what an image has, in order.
func (s *Service) findingsOf(ctx context.Context, known Inventory) ([]*sketch, map[int64]Head, int, error) {
	ids, err := match.UnpackIDs(known.Set.Vulnerable)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("reading set %d: %w", known.Set.ID, err)
	}
	packages, err := s.inventory.PackagesByID(ctx, ids)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("reading packages: %w", err)
	}
	found, err := sketches(packages)
	if err != nil {
		return nil, nil, 0, err
	}
	heads, err := s.order(ctx, found)
	return found, heads, known.Set.Counts.Unevaluated, err
}

// except notes which findings somebody answers for, and puts these behind the others.
func (s *Service) except(ctx context.Context, repositoryID int64, d oci.Digest, found []*sketch, heads map[int64]Head) error {
	if s.exceptions == nil || len(found) == 0 {
		return nil
	}
	exceptions, err := s.exceptions.Exceptions(ctx, repositoryID, d)
	if err != nil || len(exceptions) == 0 {
		return wrap(err, "reading exceptions")
	}
	s.cover(exceptions, found, heads)
	return nil
}

// cover notes which findings exceptions hold for, and puts these behind the others.
func (s *Service) cover(exceptions []Exception, found []*sketch, heads map[int64]Head) {
	now := s.now()
	for _, f := range found {
		is := Finding{Vulnerability: f.at.Vulnerability, Mends: f.mends, Ecosystem: f.ecosystem(), Source: f.name.Source}
		for _, id := range f.advisories {
			is.Advisories = append(is.Advisories, heads[id].OSVID)
		}
		for _, p := range f.packages {
			is.Packages = append(is.Packages, Affected{Found: inventory.Found{Package: p.Package, Ecosystem: p.Ecosystem, Release: p.Release}})
		}
		f.exception = Cover(exceptions, is, now)
		f.at.Suppressed = f.exception != nil
	}
	slices.SortFunc(found, func(a, b *sketch) int { return a.at.compare(b.at) })
}

// filling gathers where in the image the packages of findings are.
func (s *Service) filling(ctx context.Context, caller identity.Caller, it registry.ImageScan, known Inventory, page []*sketch) (filling, error) {
	layers, err := s.layersOf(ctx, it.Repository.Name, it.Image.Digest, known)
	if err != nil {
		return filling{}, err
	}
	f := filling{layers: layers, placed: map[int64][]int{}}
	if f.origin, err = s.base(ctx, caller, known); err != nil {
		return filling{}, err
	}
	if f.origin != nil {
		f.base = f.origin.Layers
	}
	for _, k := range page {
		for _, p := range k.packages {
			f.placed[p.ID] = nil
		}
	}
	err = match.EachMember(known.Set.Members, func(m match.Member) {
		if at, wanted := f.placed[m.Package]; wanted && !m.Owned && !slices.Contains(at, m.Layer) {
			f.placed[m.Package] = append(at, m.Layer)
		}
	})
	return f, wrap(err, "reading which layers packages are of")
}

// layersOf gives the layers of an image, by its manifest and by what is known of them.
func (s *Service) layersOf(ctx context.Context, repository string, d oci.Digest, known Inventory) ([]Layer, error) {
	img, err := s.store.Read().ManifestIn(ctx, repository, oci.Reference{Digest: d})
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", d, err)
	}
	m, err := oci.ParseManifest(img.MediaType, img.Manifest)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", d, err)
	}
	return layersOf(m, known.Layers), nil
}

// base finds the image that one is built on, among those that the caller may see: the one with the most layers that are all of this
// one's from the lowest on, and fewer.
func (s *Service) base(ctx context.Context, caller identity.Caller, known Inventory) (*Base, error) {
	diffs := make([]oci.Digest, 0, len(known.Layers))
	for _, l := range known.Layers {
		if l.ID == 0 || l.Problem != "" {
			break
		}
		diffs = append(diffs, l.DiffID)
	}
	if len(diffs) == len(known.Layers) && len(diffs) > 0 {
		diffs = diffs[:len(diffs)-1]
	}
	const candidates = 10
	var chains []string
	for _, c := range inventory.ChainIDs(diffs) {
		chains = append(chains, c.String())
	}
	if len(chains) == 0 {
		return nil, nil //nolint:nilnil // it is built on nothing that is known
	}
	found, err := s.inventory.ChainImages(ctx, chains, candidates)
	if err != nil {
		return nil, fmt.Errorf("looking for the base image: %w", err)
	}
	for n := len(chains); n > 0; n-- {
		images, err := s.reads.ImagesByID(ctx, found[chains[n-1]])
		if err != nil {
			return nil, fmt.Errorf("looking for the base image: %w", err)
		}
		for _, i := range images {
			id := registry.ImageID{Digest: i.Image.Digest.String()}
			if s.registry.MayOnImage(ctx, caller, i.Repository.Name, id, policy.DescribeImageScanFindings) == nil {
				return &Base{Repository: i.Repository.Name, Digest: i.Image.Digest, Tags: i.Image.Tags, Layers: n}, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // it is built on nothing that is known
}

// Contents gives all that an image has installed (ecr:DescribeImageScanFindings), or answers fault.ScanNotFound; of an image that was
// not read yet, too.
func (s *Service) Contents(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (Contents, error) {
	it, err := s.registry.ImageScan(ctx, caller, repository, id)
	if err != nil {
		return Contents{}, err
	}
	known, err := s.inventory.Inventory(ctx, it.Image.ID)
	if errors.Is(err, registry.ErrNoRow) {
		return Contents{}, s.registry.NotScanned(repository, it.Image, it.Scan)
	}
	if err != nil {
		return Contents{}, fmt.Errorf("reading what %s has: %w", it.Image.Digest, err)
	}
	c := Contents{Repository: repository, Image: it.Image, ScannedAt: known.ScannedAt}
	if c.Layers, err = s.layersOf(ctx, repository, it.Image.Digest, known); err != nil {
		return Contents{}, err
	}
	if c.Base, err = s.base(ctx, caller, known); err != nil {
		return Contents{}, err
	}
	facts := make([]inventory.Layer, len(known.Layers))
	for i, l := range known.Layers {
		if l.ID == 0 {
			continue
		}
		rows, err := s.layers.LayersByID(ctx, []int64{l.ID}) // one by one: each may be large
		if err != nil {
			return Contents{}, fmt.Errorf("reading layer %s: %w", l.DiffID, err)
		}
		row, ok := rows[l.ID]
		if !ok {
			continue
		}
		if facts[i], err = inventory.Decode(row.Facts); err != nil {
			return Contents{}, fmt.Errorf("reading layer %s: %w", l.DiffID, err)
		}
		facts[i].Problem = ""
		if c.Revision == 0 || l.Revision < c.Revision {
			c.Revision = l.Revision
		}
	}
	if len(facts) > 0 {
		c.Inventory = inventory.Merge(facts)
	}
	if s.claims != nil {
		if c.Inventory, err = s.claims(ctx, it.Repository, it.Image.Digest, c.Inventory, len(facts)-1); err != nil {
			return Contents{}, err
		}
	}
	if known.Problem != "" {
		c.Inventory.Problems = []string{known.Problem}
	}
	return c, nil
}

// Summaries tells of the scans of images of one repository, by their ids (ecr:DescribeImages); those without a scan are left out.
func (s *Service) Summaries(ctx context.Context, caller identity.Caller, repository string, images []registry.Image) (map[int64]Summary, error) {
	if err := s.registry.May(ctx, caller, policy.DescribeImages, repository); err != nil {
		return nil, err
	}
	if len(images) == 0 {
		return nil, nil
	}
	scanning, err := registry.ReadScanning(ctx, s.store.Read())
	if err != nil {
		return nil, err
	}
	repo, err := s.store.Read().Repository(ctx, repository)
	if err != nil {
		return nil, ignore(err) // gone meanwhile
	}
	return s.summaries(ctx, scanning, repo, images)
}

func (s *Service) summaries(ctx context.Context, scanning registry.Scanning, repo registry.Repository, images []registry.Image) (map[int64]Summary, error) {
	var ids, sets []int64
	for _, i := range images {
		ids = append(ids, i.ID)
	}
	rows, err := s.reads.SummaryRows(ctx, scanning.Kind, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the scans of %s: %w", repo.Name, err)
	}
	for _, row := range rows {
		if row.Known {
			sets = append(sets, row.SetID)
		}
	}
	ecosystems, err := s.sets.get(ctx, s.reads.SetEcosystems, sets...)
	if err != nil {
		return nil, err
	}
	sources, err := s.sources(ctx)
	if err != nil {
		return nil, err
	}
	excepted := false
	if s.exceptions != nil {
		if excepted, err = s.exceptions.HasExceptions(ctx, repo.ID); err != nil {
			return nil, fmt.Errorf("looking for exceptions: %w", err)
		}
	}
	all := make(map[int64]Summary, len(rows))
	for _, i := range images {
		row, ok := rows[i.ID]
		if !ok {
			continue
		}
		set := ecosystems[row.SetID]
		unheard, err := s.unheard(ctx, row.OS, sources)
		if err != nil {
			return nil, err
		}
		has := contents{row.Known, row.Problem, row.Counts.Unevaluated, row.OS, set, sources, unheard}
		sum := Summary{
			Status: effective(row.Scan, i, scanning.Of(repo).Frequency, has, s.now()),
			Read:   row.Known, Unlisted: set.Unlisted, Counts: row.Counts, JudgedAt: row.JudgedAt, Updated: newest(sourcesOf(set.Names, sources)),
		}
		if sum.Own = sum.Status; len(row.Claimed) > 0 {
			sum.Own = effective(row.Scan, i, scanning.Of(repo).Frequency, has.without(row.Claimed), s.now())
		}
		if excepted {
			if sum.Counts, err = s.lessExcepted(ctx, repo.ID, i, row); err != nil {
				return nil, err
			}
		}
		all[i.ID] = sum
	}
	return all, nil
}

// lessExcepted gives the counts of an image without findings that somebody answers for. Nearly no image has such.
func (s *Service) lessExcepted(ctx context.Context, repositoryID int64, img registry.Image, row SummaryRow) (Counts, error) {
	if !row.Known || len(row.Counts.All) == 0 {
		return row.Counts, nil
	}
	exceptions, err := s.exceptions.Exceptions(ctx, repositoryID, img.Digest)
	if err != nil || len(exceptions) == 0 {
		return row.Counts, wrap(err, "reading exceptions")
	}
	known, err := s.inventory.Inventory(ctx, img.ID)
	if err != nil {
		return row.Counts, ignore(err)
	}
	found, heads, unevaluated, err := s.findingsOf(ctx, known)
	if err != nil {
		return Counts{}, err
	}
	s.cover(exceptions, found, heads)
	counts := Counts{Unevaluated: unevaluated}
	for _, f := range found {
		if f.exception == nil {
			counts.count(f)
		}
	}
	return counts, nil
}
