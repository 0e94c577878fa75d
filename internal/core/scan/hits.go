package scan

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// hitsBatch is how many images are looked at at once.
const hitsBatch = 200

// NamesReads finds packages by what advisories know them by.
type NamesReads interface {
	// NamesOf lists the names that advisories of the vulnerabilities speak of, in any order.
	NamesOf(ctx context.Context, vulnerabilities []string) ([]match.Name, error)
	// PackagesNamed lists the packages of the names.
	PackagesNamed(ctx context.Context, names []match.Name) ([]Package, error)
}

// Hits gives one page of the images that have a vulnerability, by the name that findings have or the id of an advisory, in the order
// of their pushes, and where the next begins. Images that the caller may not ask the findings of (ecr:DescribeImageScanFindings) are
// left out.
func (s *Service) Hits(ctx context.Context, caller identity.Caller, vulnerability, after string, limit int) ([]Hit, string, error) {
	// Nobody is asked about all repositories at once: who may see none gets an empty list, unless it is clear that they may see nothing.
	if caller.ARN == "" && !caller.Root && !caller.Service {
		return nil, "", s.registry.May(ctx, caller, policy.DescribeImageScanFindings, "")
	}
	last, err := parseHit(after)
	if err != nil {
		return nil, "", err
	}
	if limit <= 0 {
		limit = DefaultFindings
	}
	limit = min(limit, MaxFindings)
	packages, err := s.hit(ctx, vulnerability)
	if err != nil || len(packages) == 0 {
		return nil, "", err
	}
	seen := &sight{service: s, caller: caller, packages: packages, pins: map[string]registry.Pins{}, excepted: map[int64]bool{}}
	if err := seen.read(ctx); err != nil {
		return nil, "", err
	}
	var all []Hit
	for {
		batch := min(limit-len(all), hitsBatch)
		ids, err := s.inventory.ImagesHit(ctx, seen.sorted, last, batch)
		if err != nil {
			return nil, "", fmt.Errorf("looking for images that have %s: %w", vulnerability, err)
		}
		members, err := s.inventory.Members(ctx, ids)
		if err != nil {
			return nil, "", fmt.Errorf("reading what images have: %w", err)
		}
		images, err := s.reads.ImagesByID(ctx, ids)
		if err != nil {
			return nil, "", fmt.Errorf("reading images: %w", err)
		}
		for _, i := range images {
			hit, ok, err := seen.look(ctx, i, members[i.Image.ID])
			if err != nil {
				return nil, "", err
			}
			last = i.Image.ID
			if !ok {
				continue
			}
			if all = append(all, hit); len(all) == limit {
				return all, base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(last, 10))), nil
			}
		}
		if len(ids) < batch {
			return all, "", nil
		}
		last = ids[len(ids)-1]
	}
}

func parseHit(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
	bad.Code = fault.PageTokenInvalid
	if len(token) > 100 {
		return 0, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return 0, bad
	}
	id, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || id < 0 {
		return 0, bad
	}
	return id, nil
}

// hit gives the packages that a vulnerability hits, each with nothing but the hits of that one.
func (s *Service) hit(ctx context.Context, vulnerability string) (map[int64]Package, error) {
	named, err := s.reads.Named(ctx, vulnerability)
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", vulnerability, err)
	}
	advisories, vulnerabilities := map[int64]bool{}, []string{}
	for _, a := range named {
		vulnerabilities = append(vulnerabilities, a.Vulnerability)
	}
	for _, v := range once(vulnerabilities) { // an advisory's id stands for the vulnerability that it speaks of
		more, err := s.reads.Named(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("looking for %s: %w", v, err)
		}
		for _, a := range more {
			advisories[a.ID] = true
		}
	}
	if len(advisories) == 0 {
		return nil, nil
	}
	names, err := s.names.NamesOf(ctx, once(vulnerabilities))
	if err != nil {
		return nil, fmt.Errorf("looking for packages that have %s: %w", vulnerability, err)
	}
	slices.SortFunc(names, match.Name.Compare)
	packages, err := s.names.PackagesNamed(ctx, slices.Compact(names))
	if err != nil {
		return nil, fmt.Errorf("looking for packages that have %s: %w", vulnerability, err)
	}
	hit := map[int64]Package{}
	for _, p := range packages {
		result, err := match.Unpack(p.Packed)
		if err != nil {
			return nil, fmt.Errorf("reading the matches of package %d: %w", p.ID, err)
		}
		result.Hits = slices.DeleteFunc(result.Hits, func(h match.Hit) bool { return !advisories[h.Advisory] })
		if len(result.Hits) > 0 {
			p.Packed = result.Pack()
			hit[p.ID] = p
		}
	}
	return hit, nil
}

// sight is a look at images for one caller and one vulnerability. What advisories say of that is read once, whatever number of images
// there are.
type sight struct {
	service  *Service
	caller   identity.Caller
	packages map[int64]Package
	sorted   []int64 // the ids of these
	heads    map[int64]Head
	mended   map[int64][]string
	affected map[int64][]advisory.Affected
	pins     map[string]registry.Pins // by repository
	excepted map[int64]bool           // repositories that have exceptions
}

// read reads what the advisories say.
func (l *sight) read(ctx context.Context) (err error) {
	l.sorted = slices.Sorted(maps.Keys(l.packages))
	var ids []int64
	for _, p := range l.packages {
		r, err := match.Unpack(p.Packed)
		if err != nil {
			return fmt.Errorf("reading the matches of package %d: %w", p.ID, err)
		}
		for _, h := range r.Hits {
			ids = append(ids, h.Advisory)
		}
	}
	ids = once(ids)
	reads := l.service.advisories
	if l.heads, err = reads.Heads(ctx, ids); err != nil {
		return fmt.Errorf("reading which vulnerabilities there are: %w", err)
	}
	if l.mended, err = reads.Mended(ctx, ids); err != nil {
		return fmt.Errorf("reading what errata mend: %w", err)
	}
	l.affected, err = reads.AffectedBy(ctx, ids)
	return wrap(err, "reading what advisories say of packages")
}

// look tells of one image, if the caller may know.
func (l *sight) look(ctx context.Context, i Located, members []byte) (Hit, bool, error) {
	s := l.service
	id := registry.ImageID{Digest: i.Image.Digest.String()}
	if err := s.registry.MayOnImage(ctx, l.caller, i.Repository.Name, id, policy.DescribeImageScanFindings); err != nil {
		if errors.Is(err, fault.AccessDenied) {
			err = nil
		}
		return Hit{}, false, err
	}
	found, err := l.findings(members)
	if err != nil || len(found) == 0 {
		return Hit{}, false, err
	}
	if err := l.except(ctx, i, found); err != nil {
		return Hit{}, false, err
	}
	out := Hit{Repository: i.Repository.Name, Digest: i.Image.Digest, Tags: i.Image.Tags, Severity: found[0].severity, Exception: found[0].exception}
	all := filling{affected: l.affected}
	for _, f := range found {
		for _, p := range f.packages {
			out.Packages = append(out.Packages, all.places(f, p)...)
		}
		if rank(f.severity) < rank(out.Severity) {
			out.Severity = f.severity
		}
		if f.exception == nil {
			out.Exception = nil // what somebody answers for is not all
		}
	}
	out.Runs, err = l.runs(ctx, i)
	return out, true, err
}

// findings are those of the vulnerability in packed members.
func (l *sight) findings(members []byte) ([]*sketch, error) {
	if len(members) == 0 {
		return nil, nil // the image is gone, or is being read again
	}
	var own []Package
	last := int64(0)
	err := match.EachMember(members, func(m match.Member) {
		if p, ok := l.packages[m.Package]; ok && !m.Owned && m.Package != last {
			own = append(own, p)
			last = m.Package
		}
	})
	if err != nil || len(own) == 0 {
		return nil, wrap(err, "reading a set")
	}
	found, err := sketches(own)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		f.called(l.heads)
		for _, id := range f.advisories {
			f.mends = append(f.mends, l.mended[id]...)
		}
		f.mends = once(f.mends)
	}
	slices.SortFunc(found, func(a, b *sketch) int {
		return cmp.Or(cmp.Compare(rank(a.severity), rank(b.severity)), a.name.Compare(b.name), cmp.Compare(a.key, b.key))
	})
	return found, nil
}

// except notes which of an image's findings somebody answers for. Of most repositories nobody does for any.
func (l *sight) except(ctx context.Context, i Located, found []*sketch) error {
	s := l.service
	if s.exceptions == nil {
		return nil
	}
	excepted, known := l.excepted[i.Repository.ID]
	if !known {
		var err error
		if excepted, err = s.exceptions.HasExceptions(ctx, i.Repository.ID); err != nil {
			return fmt.Errorf("looking for exceptions: %w", err)
		}
		l.excepted[i.Repository.ID] = excepted
	}
	if !excepted {
		return nil
	}
	return s.except(ctx, i.Repository.ID, i.Image.Digest, found, l.heads)
}

// runs tells where an image runs: by itself, or as one of an index.
func (l *sight) runs(ctx context.Context, i Located) ([]string, error) {
	s := l.service
	pins, ok := l.pins[i.Repository.Name]
	if !ok {
		var err error
		if pins, err = s.registry.Pinned(ctx, s.self, i.Repository.Name); err != nil {
			if errors.Is(err, fault.RepositoryNotFound) {
				err = nil
			}
			return nil, err
		}
		l.pins[i.Repository.Name] = pins
	}
	if len(pins) == 0 {
		return nil, nil
	}
	indexes, err := s.store.Read().IndexesOf(ctx, i.Repository.ID, i.Image.Digest)
	if err != nil {
		return nil, fmt.Errorf("looking for indexes of %s: %w", i.Image.Digest, err)
	}
	var runs []string
	for _, d := range append([]oci.Digest{i.Image.Digest}, indexes...) {
		for _, p := range pins[d] {
			if p.Kind == registry.Deployed && p.Place == 1 || p.Kind == registry.Deploying || p.Kind == registry.Unsettled {
				runs = append(runs, p.Environment+"/"+p.App)
			}
		}
	}
	return once(runs), nil
}
