package scan

import (
	"context"
	"fmt"

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
	e.Unscanned = unknown(sum)
	return e, nil
}

// unknown tells why not all is known of an image, in words that follow "because"; empty: it is. An SBOM that anybody has attached who may
// push tells of no image that it is without findings.
func unknown(sum Summary) string {
	complete := func(s registry.Scan) bool {
		return s.Status == registry.ScanComplete || s.Status == registry.ScanActive
	}
	switch {
	case complete(sum.Own):
		switch n := sum.Counts.Unevaluated; {
		case sum.Unlisted:
			return "nobody publishes advisories of its operating system's packages"
		case n == 1:
			return "the version of 1 of its packages could not be compared with advisories"
		case n > 1:
			return fmt.Sprintf("the versions of %d of its packages could not be compared with advisories", n)
		}
		return ""
	case complete(sum.Status):
		return "nothing tells of what is in it but an SBOM, and whoever attached that may not answer for its findings (ecr:PutImageScanningConfiguration)"
	}
	switch sum.Status.Status {
	case registry.ScanPending, registry.ScanInProgress:
		return "its scan has not ended"
	case registry.ScanUnsupported:
		return "the scanner does not know such images"
	default:
		return "its scan has failed"
	}
}
