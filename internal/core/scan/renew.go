package scan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// renewClaim is how long nobody else reads an image again that somebody is at, or that could not be read for reasons of ours.
	renewClaim = time.Hour
	// renewLater is when one is looked at again of which less could be read than before.
	renewLater = 24 * time.Hour
)

// RenewOnce reads one image again that extractors of an earlier revision have read, while no scan waits, and tells whether there may be
// more. The image's scan stands as it is meanwhile, so that no pull waits for that. What was known stands too where less can be read
// than before. An image whose scan has failed gets another scan.
func (s *Service) RenewOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	if n, err := s.work.WaitingScans(ctx, now, 1); err != nil || n > 0 {
		return false, wrap(err, "counting the scans that wait")
	}
	c, found, err := s.work.ClaimOutdated(ctx, s.extractor.Revision(), now, now.Add(renewClaim))
	if err != nil || !found {
		return false, wrap(err, "looking for images to be read again")
	}
	again, told, err := s.renewed(ctx, c)
	if errors.Is(err, errShare) || ctx.Err() != nil { // what was read is kept, and the rest is for later
		again, told, err = now, nil, ctx.Err()
	}
	more = err == nil && !again.Equal(now)
	if err != nil {
		err = fmt.Errorf("reading %s@%s again: %w", c.Repository.Name, c.Image.Digest, err)
	}
	storing := s.work.SettleOutdated(context.WithoutCancel(ctx), c.ImageID, again, told)
	if storing == nil && told != nil {
		s.told()
	}
	return more, errors.Join(err, storing)
}

// renewed reads an image, keeps what it has, and tells when it is to be looked at again if it is not of the newest revision then.
func (s *Service) renewed(ctx context.Context, c Claim) (again time.Time, told *event.Event, err error) {
	again = s.now().Add(renewClaim)
	scanning, err := registry.ReadScanning(ctx, s.store.Read())
	if err != nil {
		return again, nil, err
	}
	c.Kind = scanning.Kind
	is, err := s.store.Read().Scan(ctx, c.ImageID, c.Kind)
	if err := ignore(err); err != nil {
		return again, nil, err
	}
	if is.Status == registry.ScanFailed {
		return again, nil, s.rescan(ctx, c)
	}
	before, err := s.inventory.Inventory(ctx, c.ImageID)
	if err != nil {
		return again, nil, ignore(err)
	}
	m, err := oci.ParseManifest(c.Image.MediaType, c.Image.Manifest)
	if err != nil {
		return s.now().Add(renewLater), nil, nil //nolint:nilerr // the image's fault, and its scan says so
	}
	found, err := s.inventoryOf(ctx, c, m)
	if err != nil {
		return again, nil, err
	}
	if found.Problem != "" && before.Problem == "" {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "an image could not be read again as a whole; what was known of it stands",
			slog.String("repository", c.Repository.Name), slog.String("image", c.Image.Digest.String()), slog.String("reason", found.Problem))
		return s.now().Add(renewLater), nil, nil
	}
	if err := s.saver.Save(ctx, found); err != nil {
		return again, nil, ignore(err)
	}
	after, err := s.inventory.Inventory(ctx, c.ImageID)
	if err != nil || after.Set.Digest == before.Set.Digest || is.Status != registry.ScanComplete {
		return again, nil, ignore(err)
	}
	return again, s.scanned(ctx, c, Outcome{Status: is.Status, Description: is.Description, At: s.now()}), nil
}

// rescan asks for a scan as somebody would, if the one that there is has failed.
func (s *Service) rescan(ctx context.Context, c Claim) error {
	err := s.store.Update(ctx, func(tx registry.Tx) error {
		return s.requestOne(ctx, tx, Unscanned{Image: c.Image, Repository: c.Repository}, c.Kind)
	})
	if err == nil {
		s.notify()
	}
	return err
}
