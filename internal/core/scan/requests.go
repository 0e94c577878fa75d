package scan

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// requestBatch is how many images are looked at in one transaction.
	requestBatch = 200
	// maxRequested is how many scans may wait before more of images that have been there are requested, so that a push is not far behind.
	maxRequested = 100
)

// RequestOnce requests the scans of some of the images that were there when the configuration became what it is, and tells whether
// there may be more to do at once.
func (s *Service) RequestOnce(ctx context.Context) (more bool, err error) {
	var at registry.ScanRequests
	there, err := registry.ReadSetting(ctx, s.store.Read(), registry.SettingScanRequests, &at)
	if err != nil || !there {
		return false, wrap(err, "reading which images are to be scanned")
	}
	if n, err := s.work.WaitingScans(ctx, s.now(), maxRequested); err != nil || n >= maxRequested {
		return false, wrap(err, "counting the scans that wait")
	}
	scanning, err := registry.ReadScanning(ctx, s.store.Read())
	if err != nil {
		return false, err
	}
	images, err := s.work.Unscanned(ctx, scanning.Kind, at.After, requestBatch)
	if err != nil {
		return false, fmt.Errorf("looking for images without a scan: %w", err)
	}
	requested, end := 0, true
	for i, u := range images {
		if requested == maxRequested {
			images, end = images[:i], false
			break
		}
		if u.Image.Scannable() && scanning.Of(u.Repository).OnPush {
			requested++
		}
	}
	if len(images) == requestBatch {
		end = false
	}
	if err := s.request(ctx, scanning, at, images, end); err != nil {
		return false, fmt.Errorf("requesting scans: %w", err)
	}
	if requested > 0 {
		s.notify()
	}
	return !end, nil
}

// request records the scans, and how far it has come, unless the configuration has changed meanwhile.
func (s *Service) request(ctx context.Context, scanning registry.Scanning, at registry.ScanRequests, images []Unscanned, end bool) error {
	return s.store.Update(ctx, func(tx registry.Tx) error {
		var now registry.ScanRequests
		there, err := registry.ReadSetting(ctx, tx, registry.SettingScanRequests, &now)
		if err != nil || !there || now != at {
			return err
		}
		for _, u := range images {
			if !u.Image.Scannable() || !scanning.Of(u.Repository).OnPush {
				continue
			}
			if err := s.requestOne(ctx, tx, u, scanning.Kind); err != nil {
				return err
			}
		}
		if end {
			_, err := tx.DeleteSetting(ctx, registry.SettingScanRequests)
			return err
		}
		now.After = images[len(images)-1].Image.ID
		return registry.WriteSetting(ctx, tx, registry.SettingScanRequests, now, s.now())
	})
}

// requestOne records that an image is to be scanned, if it is still there and has no scan yet, or one that has failed: enhanced scans
// are not started by hand, so that there is no other way to have such an image scanned. The repository is held, so that the
// image does not go in between.
func (s *Service) requestOne(ctx context.Context, tx registry.Tx, u Unscanned, kind registry.ScanKind) error {
	if _, err := tx.LockRepository(ctx, u.Repository.Name); err != nil {
		return ignore(err)
	}
	img, err := tx.ImageByDigest(ctx, u.Repository.ID, u.Image.Digest)
	if err != nil || img.ID != u.Image.ID || img.Archived {
		return ignore(err)
	}
	if s, err := tx.Scan(ctx, img.ID, kind); err == nil && s.Status != registry.ScanFailed || err != nil && !errors.Is(err, registry.ErrNoRow) {
		return err
	}
	_, err = s.registry.RequestScan(ctx, tx, img.ID, kind)
	return err
}

// ignore takes what is gone for no error.
func ignore(err error) error {
	if errors.Is(err, registry.ErrNoRow) {
		return nil
	}
	return err
}
