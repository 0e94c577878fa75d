package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// ScanStatus is how far a scan has come.
type ScanStatus string

// The statuses. A scan is requested as pending; a scanner takes it on; it ends as one of the other three, of which only
// complete says anything about the image.
const (
	ScanPending     ScanStatus = "PENDING"
	ScanInProgress  ScanStatus = "IN_PROGRESS"
	ScanComplete    ScanStatus = "COMPLETE"
	ScanFailed      ScanStatus = "FAILED"
	ScanUnsupported ScanStatus = "UNSUPPORTED_IMAGE"
	// ScanActive is complete, of an image that is looked at again whenever there is news; ScanArchived is that of any scan of an
	// archived image. Neither is stored.
	ScanActive   ScanStatus = "ACTIVE"
	ScanArchived ScanStatus = "IMAGE_ARCHIVED"
)

// noScanner is why every scan fails where there is no scanner.
const noScanner = "This registry has no scanner: the image was not scanned, and nothing is known about its vulnerabilities."

// Scan is the newest scan of its kind of an image.
type Scan struct {
	ImageID     int64
	Kind        ScanKind
	Status      ScanStatus
	Description string // why the status is what it is
	RequestedAt time.Time
	ChangedAt   time.Time // since when the status is what it is
}

// Ended tells whether the scan has come to its end, good or bad.
func (s Scan) Ended() bool { return s.Status != ScanPending && s.Status != ScanInProgress }

// become gives the scan in its next status.
func (s Scan) become(status ScanStatus, why string, at time.Time) Scan {
	s.Status, s.Description, s.ChangedAt = status, why, at
	return s
}

// ScanQueries reads scans.
type ScanQueries interface {
	// Scan finds the scan of that kind of an image, or ErrNoRow.
	Scan(ctx context.Context, imageID int64, kind ScanKind) (Scan, error)
}

// ScanWrites changes scans. They go with their images.
type ScanWrites interface {
	// PutScan stores a scan in the place of the one of its kind that the image had.
	PutScan(ctx context.Context, s Scan) error
}

// Scannable tells whether an image is one that can be scanned: not an index, whose images are scanned each by itself,
// and not an artifact of another kind.
func (i Image) Scannable() bool {
	switch i.ConfigMediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
		// What says that it is something else, or hangs on another image, such as a signature, is none.
		return i.Subject == "" && i.ArtifactType == i.ConfigMediaType
	}
	return false
}

// scanQuota is how long an image's scan counts against the next, where there is a limit (ECR's: one in 24 hours).
const scanQuota = 24 * time.Hour

// ScanSettings are the choices of whoever runs the registry about scans.
type ScanSettings struct {
	// Daily allows one scan of an image in 24 hours, as ECR does, that of the push included.
	Daily bool
	// Wanted is called when somebody has asked for a scan. It returns at once.
	Wanted func()
}

// indexHint tells whoever asks for the scan of an index whose scans there are; empty for everything else.
func (r *Registry) indexHint(ctx context.Context, q KinQueries, repo Repository, img Image) (string, error) {
	if !oci.IsIndexType(img.MediaType) {
		return "", nil
	}
	children, err := q.Children(ctx, repo.ID, []int64{img.ID})
	if err != nil {
		return "", fmt.Errorf("listing the images of %s: %w", img.Digest, err)
	}
	const most = 20
	var names []string
	for _, c := range children {
		if c.Scannable() {
			names = append(names, c.Digest.String())
		}
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	if len(names) == 0 {
		return "", nil
	}
	return ". It is an index, whose images are scanned each by itself: " + strings.Join(names, ", "), nil
}

// RequestScan records that a scan is wanted, in the place of the one that the image had. Without a scanner it has failed at once, and says so.
func (r *Registry) RequestScan(ctx context.Context, tx Tx, imageID int64, kind ScanKind) (Scan, error) {
	at := r.now()
	s := Scan{ImageID: imageID, Kind: kind, RequestedAt: at}.become(ScanPending, "", at)
	if !r.scanner {
		s = s.become(ScanFailed, noScanner, at)
	}
	if err := tx.PutScan(ctx, s); err != nil {
		return Scan{}, fmt.Errorf("recording a scan: %w", err)
	}
	return s, nil
}

// scanPushed requests the scan of an image that is new, where the configuration wants it. It belongs into the
// transaction of the push: who has the answer to the push may ask for the scan.
func (r *Registry) scanPushed(ctx context.Context, tx Tx, repo Repository, img Image) error {
	if !img.Scannable() {
		return nil
	}
	scanning, err := ReadScanning(ctx, tx)
	if err != nil || !scanning.Of(repo).OnPush {
		return err
	}
	_, err = r.RequestScan(ctx, tx, img.ID, scanning.Kind)
	return err
}

// StartScan asks for a scan of an image (ecr:StartImageScan), and gives the one that is under way where there is
// one. With enhanced scanning nobody can ask (fault.RegistrySettingInvalid); what is no image answers
// fault.ImageNotScannable.
func (r *Registry) StartScan(ctx context.Context, caller identity.Caller, repository string, id ImageID) (Image, Scan, error) {
	if err := r.MayOnImage(ctx, caller, repository, id, policy.StartImageScan); err != nil {
		return Image{}, Scan{}, err
	}
	var img Image
	var scan Scan
	err := r.store.Update(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		if img, err = r.scannedImage(ctx, tx, repo, id); err != nil {
			return err
		}
		scanning, err := ReadScanning(ctx, tx)
		if err != nil {
			return err
		}
		if scanning.Kind == Enhanced {
			return fault.New(fault.RegistrySettingInvalid, "scans are not started by hand while the registry's scan type is %s: it scans by its rules", Enhanced)
		}
		if img.Archived {
			return imageArchived()
		}
		if !img.Scannable() {
			hint, err := r.indexHint(ctx, tx, repo, img)
			if err != nil {
				return err
			}
			return fault.New(fault.ImageNotScannable,
				"The image with digest '%s' in the repository with name '%s' cannot be scanned: it is an index, or an artifact that is no container image%s", img.Digest, repo.Name, hint)
		}
		scan, err = r.scanAgain(ctx, tx, img)
		return err
	})
	if err == nil && r.scans.Wanted != nil {
		r.scans.Wanted()
	}
	return img, scan, err
}

// scanAgain requests a basic scan, unless one is under way, or too many are asked for.
func (r *Registry) scanAgain(ctx context.Context, tx Tx, img Image) (Scan, error) {
	scan, err := tx.Scan(ctx, img.ID, Basic)
	switch {
	case err == nil && !scan.Ended():
		return scan, nil
	case err == nil && r.scans.Daily && scan.Status != ScanFailed && r.now().Sub(scan.RequestedAt) < scanQuota:
		return Scan{}, fault.New(fault.LimitExceeded, "The scan quota per image has been exceeded. Wait and try again.")
	case err != nil && !errors.Is(err, ErrNoRow):
		return Scan{}, fmt.Errorf("reading the scan of %s: %w", img.Digest, err)
	}
	return r.RequestScan(ctx, tx, img.ID, Basic)
}

// ImageScan is an image with its scan.
type ImageScan struct {
	Repository Repository
	Image      Image // with tags
	Scan       Scan
	Frequency  ScanFrequency // of the repository
}

// ImageScan gives the newest scan of an image, of the kind that the registry's configuration names
// (ecr:DescribeImageScanFindings), or answers fault.ScanNotFound. How the scan has ended is as its row has it: what is known of the
// image is package scan's to say.
func (r *Registry) ImageScan(ctx context.Context, caller identity.Caller, repository string, id ImageID) (ImageScan, error) {
	if err := r.MayOnImage(ctx, caller, repository, id, policy.DescribeImageScanFindings); err != nil {
		return ImageScan{}, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return ImageScan{}, err
	}
	img, err := imageByID(ctx, q, repo, id, withTags)
	if err != nil {
		return ImageScan{}, r.NamedImageError(repo.Name, id, err)
	}
	scanning, err := ReadScanning(ctx, q)
	if err != nil {
		return ImageScan{}, err
	}
	s, err := q.Scan(ctx, img.ID, scanning.Kind)
	switch {
	case errors.Is(err, ErrNoRow):
		hint, err := r.indexHint(ctx, q, repo, img)
		if err != nil {
			return ImageScan{}, err
		}
		return ImageScan{}, fault.New(fault.ScanNotFound,
			"Image scan does not exist for the image with '{imageDigest:'%s', imageTag:'%s'}' in the repository with name '%s' in the registry with id '%s'%s",
			img.Digest, orNull(id.Tag), repository, r.account, hint)
	case err != nil:
		return ImageScan{}, fmt.Errorf("reading the scan of %s: %w", img.Digest, err)
	}
	return ImageScan{Repository: repo, Image: img, Scan: s, Frequency: scanning.Of(repo).Frequency}, nil
}

// NotScanned words the fault for an image of which nothing is known yet, or of which nothing could be read.
func (r *Registry) NotScanned(repository string, img Image, s Scan) error {
	return fault.New(fault.ScanNotFound, "Nothing is known of what the image with digest '%s' in the repository with name '%s' has installed: its scan is %s. %s",
		img.Digest, repository, s.Status, s.Description)
}

// scannedImage finds the image that a request about scans names.
func (r *Registry) scannedImage(ctx context.Context, q Queries, repo Repository, id ImageID) (Image, error) {
	img, err := imageByID(ctx, q, repo, id, func(ctx context.Context, q Queries, repo Repository, ref oci.Reference) (Image, error) {
		return q.ImageIn(ctx, repo.Name, ref)
	})
	return img, r.NamedImageError(repo.Name, id, err)
}
