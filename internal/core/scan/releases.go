package scan

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// releases knows of which releases of a distribution advisories speak, as of a revision of its source: finding out means to look through
// all of them. The zero value is ready.
type releases struct {
	mu    sync.Mutex
	known map[string]spoken // by ecosystem
}

type spoken struct {
	revision int64
	releases []string
}

// get tells of an ecosystem. One caller at a time looks.
func (r *releases) get(ctx context.Context, read func(context.Context, string) ([]string, error), source advisory.Source) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := r.known[source.Name]; ok && k.revision == source.Revision {
		return k.releases, nil
	}
	list, err := read(ctx, source.Name)
	if err != nil {
		return nil, fmt.Errorf("reading which releases advisories of %s speak of: %w", source.Name, err)
	}
	if r.known == nil {
		r.known = map[string]spoken{}
	}
	r.known[source.Name] = spoken{source.Revision, list}
	return list, nil
}

// unheard gives the ecosystem and the release of an operating system of which no advisory speaks although others of its distribution are
// there, or nothing. That nothing was found in such an image says nothing: the release is too new, too old, or made up.
func (s *Service) unheard(ctx context.Context, os inventory.OS, sources map[string]advisory.Source) (string, error) {
	for _, t := range []inventory.Type{inventory.Deb, inventory.APK, inventory.RPM} {
		ecosystem, release := inventory.Ecosystem(t, os)
		source, ok := sources[ecosystem]
		if !ok || release == "" {
			continue
		}
		spoken, err := s.heard.get(ctx, s.reads.Releases, source)
		if err != nil {
			return "", err
		}
		if !slices.Contains(spoken, release) && !slices.Contains(spoken, "") {
			return ecosystem + ":" + release, nil
		}
	}
	return "", nil
}
