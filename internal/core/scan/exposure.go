package scan

import (
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Exposure tells what is known of an image's findings that no exception covers, where a policy asks before a pull
// (ecr:ImageScanSeverity). It implements registry.Exposures, which asks whoever may pull, and nobody else.
func (s *Service) Exposure(ctx context.Context, repo registry.Repository, img registry.Image) (registry.Exposure, error) {
	scanning, err := registry.ReadScanning(ctx, s.store.Read())
	if err != nil {
		return registry.Exposure{}, err
	}
	sums, err := s.summaries(ctx, scanning, repo, []registry.Image{img})
	if err != nil {
		return registry.Exposure{}, err
	}
	sum, ok := sums[img.ID]
	if !ok {
		return registry.Exposure{Unscanned: "it was never scanned"}, nil
	}
	counts := sum.Counts.System
	if scanning.Kind == registry.Enhanced {
		counts = sum.Counts.All
	}
	e := registry.Exposure{Undefined: counts[advisory.Undefined]}
	for _, severity := range bySeverity {
		if n := counts[severity]; n > 0 && severity != advisory.Undefined {
			e.Worst, e.Findings = string(severity), n
			break
		}
	}
	if sum.Status.Status != registry.ScanComplete && sum.Status.Status != registry.ScanActive {
		e.Unscanned = fmt.Sprintf("its scan is %s", sum.Status.Status)
		if sum.Status.Description != "" {
			e.Unscanned += ": " + sum.Status.Description
		}
	}
	return e, nil
}
