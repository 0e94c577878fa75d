package scan

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

var _ registry.Exposures = (*Service)(nil)

// Exposure tells what is known of an image's findings that no exception covers, of packages of the operating system and of languages
// alike (registry.Exposures). It reads nothing but rows.
func (s *Service) Exposure(ctx context.Context, repo registry.Repository, img registry.Image) (registry.Exposure, error) {
	scanning, err := registry.ReadScanning(ctx, s.store.Read())
	if err != nil {
		return registry.Exposure{}, err
	}
	all, err := s.summaries(ctx, scanning, repo, []registry.Image{img})
	if err != nil {
		return registry.Exposure{}, err
	}
	sum, scanned := all[img.ID]
	if !scanned {
		return registry.Exposure{Unscanned: "nobody has scanned it"}, nil
	}
	e := registry.Exposure{Undefined: sum.Counts.All[advisory.Undefined]}
	for _, severity := range bySeverity {
		if n := sum.Counts.All[severity]; n > 0 && severity != advisory.Undefined {
			e.Worst, e.Findings = string(severity), n
			break
		}
	}
	switch sum.Status.Status {
	case registry.ScanComplete, registry.ScanActive:
		if sum.Unlisted {
			e.Unscanned = "nobody publishes advisories of its operating system's packages"
		}
	case registry.ScanPending, registry.ScanInProgress:
		e.Unscanned = "its scan has not ended"
	case registry.ScanUnsupported:
		e.Unscanned = "the scanner does not know such images"
	default:
		e.Unscanned = "its scan has failed"
	}
	return e, nil
}
