package scan

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// mends notes which CVEs findings mend that go by the name of an erratum, and lists them.
func (s *Service) mends(ctx context.Context, found []*sketch) (all []string, err error) {
	var errata []int64
	for _, f := range found {
		if f.system && !advisory.IsCVE(f.at.Vulnerability) {
			errata = append(errata, f.advisories...)
		}
	}
	if len(errata) == 0 {
		return nil, nil
	}
	mended, err := s.advisories.Mended(ctx, once(errata))
	if err != nil {
		return nil, fmt.Errorf("reading what errata mend: %w", err)
	}
	for _, f := range found {
		if !f.system || advisory.IsCVE(f.at.Vulnerability) {
			continue
		}
		for _, id := range f.advisories {
			f.mends = append(f.mends, mended[id]...)
		}
		f.mends = once(f.mends)
		all = append(all, f.mends...)
	}
	return all, nil
}

// hear adds what sources without packages say of a vulnerability: of those that an erratum mends the worst.
func (out *Finding) hear(others []Other, scored bool) {
	for _, o := range others {
		switch o.Source {
		case advisory.SourceKEV:
			out.KEV = cmp.Or(out.KEV, o.Advisory.KEV)
		case advisory.SourceEPSS:
			if o.Advisory.EPSS >= out.EPSS {
				out.EPSS, out.Percentile = o.Advisory.EPSS, o.Advisory.Percentile
			}
		case advisory.SourceCVSS:
			if !scored {
				out.Vectors = append(out.Vectors, o.Advisory.Vectors...)
			}
		}
	}
}
