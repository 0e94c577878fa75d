package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

const (
	// claim bounds how long a crash delays a scan. Whoever is at a scan renews it.
	claim = time.Minute
	renew = claim / 3
	// maxAttempts is how often a scan is tried that fails for reasons of ours.
	maxAttempts = 3
	firstRetry  = 5 * time.Second
	lastRetry   = 5 * time.Minute
	// share is how long a scan goes on while others wait: then it stands behind them, with the layers that it has read.
	share = 30 * time.Second
	// firstLook and lastLook bound how long an image waits that comes in pieces (see missing), until it is looked at again.
	firstLook = 15 * time.Second
	lastLook  = time.Hour
	// piecesWithin is how long its layers have to come.
	piecesWithin = 24 * time.Hour
	// problemFor is how long nobody looks again into a layer that had a problem, whoever asks: it may have cost much.
	problemFor = time.Hour
	// maxFacts bounds what the layers of one image say together, in bytes of memory, roughly.
	maxFacts = 64 << 20
)

// Words of ECR, and ours in their manner.
const (
	wordsComplete    = "The scan was completed successfully."
	wordsUnsupported = "UnsupportedImageError: The operating system and/or package manager are not supported."
)

// errLost ends a scan that somebody else has by now.
var errLost = errors.New("another process has this scan")

// errNotTried is a layer of which the extractor says that it could not try.
var errNotTried = errors.New("the layer could not be tried")

// errShare ends an attempt that has had its share of time. It is no failure.
var errShare = errors.New("others wait")

// missing ends an attempt at an image of which something is not here yet: the cache of another registry stores a manifest before the
// layers, which come when somebody pulls them.
type missing string

func (m missing) Error() string { return string(m) }

// ScanOnce does one scan that waits, and tells whether there may be more.
func (s *Service) ScanOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	c, found, err := s.work.ClaimScan(ctx, now, now.Add(claim))
	if err != nil || !found {
		return false, wrap(err, "looking for what to scan")
	}
	return true, s.do(ctx, c)
}

func wrap(err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// do makes an attempt and settles it.
func (s *Service) do(ctx context.Context, c Claim) error {
	held, release := s.hold(ctx, c)
	var result Outcome
	var err error
	if c.Attempts > maxAttempts {
		// Every attempt ended without being settled: the process died.
		err = errors.New("whoever was at it did not come back")
	} else {
		result, err = s.scan(held, c)
	}
	c, lost := release()
	if lost {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "a scan was taken over", slog.String("repository", c.Repository.Name), slog.String("image", c.Image.Digest.String()))
		return nil
	}
	return s.settle(ctx, c, result, err)
}

// hold renews a claim until release, which gives the claim as it is then, or tells that it is lost. The context ends when it is.
func (s *Service) hold(ctx context.Context, c Claim) (held context.Context, release func() (Claim, bool)) {
	held, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	done := make(chan struct{})
	lost := false
	renewing.Go(func() {
		ticker := time.NewTicker(renew)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-held.Done():
				return
			case <-ticker.C:
			}
			kept, ok, err := s.work.KeepScan(held, c, s.now().Add(claim))
			switch {
			case err != nil: // the database may answer next time
			case !ok:
				lost = true
				cancel(errLost)
				return
			default:
				c = kept
			}
		}
	})
	return held, func() (Claim, bool) {
		close(done)
		renewing.Wait()
		cancel(nil)
		return c, lost
	}
}

// settle stores what became of an attempt, and gives the error for the log.
func (s *Service) settle(ctx context.Context, c Claim, o Outcome, err error) error {
	o.At, o.Attempts = s.now(), c.Attempts
	var part missing
	switch {
	case errors.Is(err, errShare):
		// Behind those that wait, and with its attempts: nothing has failed.
		o.Status, o.DueAt, o.Attempts, err = registry.ScanInProgress, o.At, c.Attempts-1, nil
	case err != nil && ctx.Err() != nil:
		// The server stops. What was read is kept, and another run goes on at once.
		ctx = context.WithoutCancel(ctx)
		o.Status, o.DueAt, o.Attempts, err = registry.ScanPending, o.At, c.Attempts-1, nil
	case errors.As(err, &part):
		// It waits again for as long as it has, and nothing has failed.
		age := o.At.Sub(c.RequestedAt)
		o.Status, o.Description = registry.ScanPending, "The image is not here as a whole yet: "+string(part)
		o.DueAt, o.Attempts, err = o.At.Add(min(max(age, firstLook), lastLook)), c.Attempts-1, nil
	case err != nil && c.Attempts < maxAttempts:
		o.Status, o.DueAt = registry.ScanPending, o.At.Add(event.Backoff(c.Attempts-1, firstRetry, lastRetry))
	case err != nil:
		o.Status, o.Description = registry.ScanFailed, failure(err)
	}
	var told *event.Event
	if o.DueAt.IsZero() {
		told = s.scanned(ctx, c, o)
	}
	_, storing := s.work.SettleScan(ctx, c, o, told)
	if storing == nil && told != nil {
		s.told()
	}
	if err != nil {
		err = fmt.Errorf("scanning %s@%s, attempt %d: %w", c.Repository.Name, c.Image.Digest, c.Attempts, err)
	}
	return errors.Join(err, storing)
}

// scan reads an image and keeps what it has. The error is of ours; what is wrong with the image is the outcome.
func (s *Service) scan(ctx context.Context, c Claim) (Outcome, error) {
	if c.Image.Archived {
		return Outcome{Status: registry.ScanFailed, Description: "The image was archived before it was scanned."}, nil
	}
	m, err := oci.ParseManifest(c.Image.MediaType, c.Image.Manifest)
	if err != nil {
		return Outcome{Status: registry.ScanFailed, Description: "The image's manifest cannot be read."}, nil //nolint:nilerr // the image's fault, not ours
	}
	for _, l := range m.Layers {
		if !fileSystem(l.MediaType) {
			return Outcome{Status: registry.ScanUnsupported, Description: "UnsupportedImageError: the image has layers of the type " + plain(l.MediaType, 255) + ", which is no file system."}, nil
		}
	}
	found, err := s.inventoryOf(ctx, c, m)
	if err != nil {
		return Outcome{}, err
	}
	err = s.saver.Save(ctx, found)
	switch {
	case err != nil && !errors.Is(err, registry.ErrNoRow): // without a row nobody wants to know
		return Outcome{}, fmt.Errorf("keeping what the image has: %w", err)
	case found.Problem != "":
		return Outcome{Status: registry.ScanFailed, Description: notWhole + found.Problem}, nil
	}
	return Outcome{Status: registry.ScanComplete, Description: wordsComplete}, nil
}

// inventoryOf reads what an image has.
func (s *Service) inventoryOf(ctx context.Context, c Claim, m oci.Manifest) (Saved, error) {
	r := reading{service: s, claim: c, manifest: m, began: s.now()}
	if err := r.all(ctx); err != nil {
		return Saved{}, err
	}
	found := inventory.Image{}
	if len(r.facts) > 0 {
		found = inventory.Merge(r.facts)
	}
	if s.claims != nil {
		var err error
		if found, err = s.claims(ctx, c.Repository, c.Image.Digest, found, len(m.Layers)-1); err != nil {
			return Saved{}, err
		}
	}
	problem := plain(strings.Join(append(r.problems, found.Problems...), "; "), maxWords)
	return Saved{ImageID: c.ImageID, Image: found, ChainID: chainID(r.rows), Layers: r.rows, Problem: problem, Revision: s.extractor.Revision()}, nil
}

// fileSystem tells a layer that is a tar from what else manifests may carry.
func fileSystem(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.") || strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.") ||
		mediaType == "application/x-tar" || mediaType == "application/x-gzip"
}

// chainID names all layers together (image-spec, config.md), by what they have unpacked to, or is empty where that is not known.
func chainID(rows []StoredLayer) string {
	diffs := make([]oci.Digest, len(rows))
	for i, r := range rows {
		if r.Problem != "" || r.ID == 0 {
			return ""
		}
		diffs[i] = r.DiffID
	}
	if len(diffs) == 0 {
		return ""
	}
	return inventory.ChainIDs(diffs)[len(diffs)-1].String()
}

// reading is an image on its way to an inventory.
type reading struct {
	service  *Service
	claim    Claim
	manifest oci.Manifest
	began    time.Time

	rows     []StoredLayer
	facts    []inventory.Layer
	size     int
	problems []string
}

// all reads the configuration and every layer, lowest first.
func (r *reading) all(ctx context.Context) error {
	config, err := r.config(ctx)
	var bad badConfig
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	if bad == "" && len(config.RootFS.DiffIDs) != len(r.manifest.Layers) {
		bad = badConfig(fmt.Sprintf("the image's configuration names %d layers, and its manifest %d", len(config.RootFS.DiffIDs), len(r.manifest.Layers)))
	}
	if bad != "" {
		r.problems = append(r.problems, string(bad))
	}
	instructions := config.instructions(len(r.manifest.Layers))
	for i, l := range r.manifest.Layers {
		row, problem, err := r.layer(ctx, l)
		if err != nil {
			return err
		}
		if problem == "" && bad == "" {
			problem = config.claims(i, l, row)
		}
		if problem != "" {
			r.problems = append(r.problems, problem)
		}
		row.CreatedBy = instructions[i]
		if err := r.add(row); err != nil {
			return err
		}
		if r.size > maxFacts {
			r.problems = append(r.problems, fmt.Sprintf("its layers say more than %d MiB together, and the lowest %d of them were taken", maxFacts>>20, i+1))
			return nil
		}
	}
	return nil
}

// add takes what a layer says. A layer that could not be read at all keeps its place.
func (r *reading) add(row StoredLayer) error {
	var l inventory.Layer
	if row.ID != 0 {
		var err error
		if l, err = inventory.Decode(row.Facts); err != nil {
			return fmt.Errorf("reading what is kept of layer %s: %w", row.DiffID, err)
		}
		l.DiffID, l.Revision = row.DiffID, row.Revision
	}
	l.Problem = "" // it is among the problems of the reading, with the layer's name
	row.Facts = nil
	r.rows, r.facts, r.size = append(r.rows, row), append(r.facts, l), r.size+weigh(l)
	return nil
}

// weigh tells about how much memory a layer's facts take.
func weigh(l inventory.Layer) int {
	const entry = 100
	n := 8*(len(l.Others)+len(l.Dirs)) + entry*(len(l.Files)+len(l.Whiteouts)+len(l.Opaque)+len(l.Links))
	for _, f := range l.Files {
		n += entry * len(f.Packages)
	}
	return n
}

// config reads the image's configuration, or answers badConfig.
func (r *reading) config(ctx context.Context) (imageConfig, error) {
	content, _, err := r.open(ctx, r.manifest.Config)
	if err != nil {
		if words, ours := wordsOf(err); !ours {
			if r.mayCome(err) {
				return imageConfig{}, missing(words)
			}
			return imageConfig{}, badConfig(words)
		}
		return imageConfig{}, fmt.Errorf("reading the image's configuration: %w", err)
	}
	defer content.Close()
	return readConfig(content)
}

// open opens a blob of the image, and tells its size. What the manifest says of that need not be true: of layers that need not be here
// nobody has compared it.
func (r *reading) open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, int64, error) {
	content, err := r.service.registry.Layer(ctx, r.service.self, r.claim.Repository.Name, d.Digest)
	if err != nil {
		return nil, 0, err
	}
	r.service.read(d)
	r.service.logger.LogAttrs(ctx, slog.LevelDebug, "a scan reads a blob", slog.String("repository", r.claim.Repository.Name), slog.String("digest", d.Digest.String()))
	body, err := content.Open(ctx, 0, content.Size)
	return body, content.Size, err
}

// wordsOf tells what is wrong with a blob, or that it is our own trouble.
func wordsOf(err error) (words string, ours bool) {
	if f, ok := fault.Of(err); ok && (f.Code == fault.LayerDamaged || f.Code == fault.LayerNotFound || f.Code == fault.LayerInaccessible) {
		return f.Message, false
	}
	return "", true
}

// mayCome tells whether what is not here may still come. What a push refers to is there, so this is the cache of another registry.
func (r *reading) mayCome(err error) bool {
	return errors.Is(err, fault.LayerNotFound) && r.began.Sub(r.claim.RequestedAt) < piecesWithin
}

// layer gives what a layer says: from its row, or by reading it. The problem is the layer's; the row then may be the zero row.
func (r *reading) layer(ctx context.Context, l oci.Descriptor) (row StoredLayer, problem string, err error) {
	s := r.service
	if row, known, err := r.known(ctx, l.Digest); known || err != nil {
		return row, problemOf(l, row.Problem), err
	}
	if s.now().Sub(r.began) > share {
		if n, err := s.work.WaitingScans(ctx, s.now(), 1); err != nil || n > 0 {
			return StoredLayer{}, "", errors.Join(err, errShare)
		}
	}
	unlock, err := s.busy.lock(ctx, l.Digest)
	if err != nil {
		return StoredLayer{}, "", err
	}
	defer unlock()
	if row, known, err := r.known(ctx, l.Digest); known || err != nil {
		return row, problemOf(l, row.Problem), err
	}
	content, size, err := r.open(ctx, l)
	if err != nil {
		words, ours := wordsOf(err)
		switch {
		case ours:
			return StoredLayer{}, "", fmt.Errorf("opening layer %s: %w", l.Digest, err)
		case l.NonDistributable():
			words = "its publisher forbids to store it in registries"
		case r.mayCome(err):
			return StoredLayer{}, "", missing(words)
		}
		return StoredLayer{}, problemOf(l, words), nil
	}
	defer content.Close()
	l.Size = size
	read, err := s.extractor.Extract(ctx, l, content)
	if err != nil {
		return StoredLayer{}, "", fmt.Errorf("reading layer %s: %w: %w", l.Digest, errNotTried, err)
	}
	row, err = s.keep(ctx, l.Digest, read)
	return row, problemOf(l, row.Problem), err
}

func problemOf(l oci.Descriptor, words string) string {
	if words == "" {
		return ""
	}
	return "layer " + l.Digest.Short() + ": " + words
}

// known finds what a blob has unpacked to, if the extractors would find no more today. A problem may have been of the moment, such as
// want of time or memory: who asks for another scan later has the layer read again.
func (r *reading) known(ctx context.Context, d oci.Digest) (StoredLayer, bool, error) {
	s := r.service
	found, err := s.layers.LayersByBlob(ctx, []oci.Digest{d}, s.extractor.Revision())
	row, ok := found[d]
	if ok && row.Problem != "" && r.claim.RequestedAt.Sub(row.ScannedAt) >= problemFor {
		ok = false
	}
	return row, ok, wrap(err, "looking for layer "+d.String())
}

// keep stores what a layer says. What was not read to its end is kept for this blob alone: another blob of the same name inside may be whole.
func (s *Service) keep(ctx context.Context, d oci.Digest, l inventory.Layer) (StoredLayer, error) {
	row := StoredLayer{
		DiffID: l.DiffID, Revision: s.extractor.Revision(), Problem: plain(l.Problem, maxWords), ScannedAt: s.now(),
	}
	if row.Problem != "" || row.DiffID == "" {
		row.DiffID = oci.Digest("blob:" + d.String())
		if row.Problem == "" {
			row.Problem = "it could not be told what it unpacks to"
		}
	}
	var err error
	if row.Facts, err = l.Encode(); err != nil {
		return StoredLayer{}, fmt.Errorf("encoding layer %s: %w", d, err)
	}
	row.ID, err = s.layers.PutLayer(ctx, d, row)
	return row, wrap(err, "keeping layer "+d.String())
}
