package scan

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// failure says why a scan failed for good, in words that may be shown.
func failure(err error) string {
	switch {
	case errors.Is(err, fault.StorageFull), errors.Is(err, fault.Unavailable), errors.Is(err, blob.ErrFull), errors.Is(err, blob.ErrUnavailable):
		return "The image was not scanned: the registry's storage is full or does not answer. Ask for another scan when it does."
	case errors.Is(err, errNotTried):
		return "The image was not scanned: this registry could not start what reads layers, or that had no room; the server's log says why."
	}
	return "The image could not be scanned; the server's log says why."
}

// scanned is the event of a scan that has ended: with the status that whoever asks now is told.
func (s *Service) scanned(ctx context.Context, c Claim, o Outcome) *event.Event {
	e := &event.Event{
		Kind: event.ImageScanned, At: o.At, Actor: s.self.ARN, Repository: c.Repository.Name, RepositoryID: c.Repository.ID,
		Digest: c.Image.Digest, Tags: c.Image.Tags, MediaType: c.Image.MediaType, ArtifactType: c.Image.ArtifactType,
	}
	now, counts, err := s.standing(ctx, c, registry.Scan{ImageID: c.ImageID, Kind: c.Kind, Status: o.Status, Description: o.Description})
	if err != nil { // the scan has ended all the same
		s.logger.LogAttrs(ctx, slog.LevelWarn, "what a scan found cannot be told of", slog.Any("error", err))
	}
	e.ScanStatus, e.Reason, e.Severities = string(now.Status), now.Description, map[string]int{}
	for severity, n := range counts {
		e.Severities[string(severity)] = n
	}
	return e
}

// standing gives a scan's status by the advisories of now, and how many findings there are of each severity.
func (s *Service) standing(ctx context.Context, c Claim, is registry.Scan) (registry.Scan, Count, error) {
	known, err := s.inventory.Inventory(ctx, c.ImageID)
	if err != nil {
		return is, nil, ignore(err)
	}
	sets, err := s.sets.get(ctx, s.reads.SetEcosystems, known.Set.ID)
	if err != nil {
		return is, nil, err
	}
	sources, err := s.sources(ctx)
	if err != nil {
		return is, nil, err
	}
	unheard, err := s.unheard(ctx, known.Set.OS, sources)
	if err != nil {
		return is, nil, err
	}
	set, counts := sets[known.Set.ID], known.Set.Counts.All
	if c.Kind == registry.Basic {
		counts = known.Set.Counts.System
	}
	return effective(is, c.Image, registry.ScanManual, contents{
		true, known.Problem, known.Set.Counts.Unevaluated, known.Set.OS, set, sources, unheard,
	}, s.now()), counts, nil
}
