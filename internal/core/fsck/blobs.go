package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	blobsAtOnce = 100
	// atOnce is how much is read in one go: enough that the hash is all the work.
	atOnce = 256 << 10
	// leastRead is what looking at a blob costs at least, in the bytes that a pace is counted in: a store has other limits than bytes.
	leastRead = 4 << 10
	// mostNeeds is how many images a finding names.
	mostNeeds = 20
	// looks is how often a blob is looked at anew whose row changes under one's eyes.
	looks = 5
)

// blobs looks at some blobs.
func (w *worker) blobs(ctx context.Context) error {
	some, err := w.Contents.BlobsAfter(ctx, oci.Digest(w.check.Cursor), blobsAtOnce)
	if err != nil {
		return fmt.Errorf("listing blobs: %w", err)
	}
	for _, b := range some {
		if err := w.blob(ctx, b); err != nil {
			return err
		}
		w.passed(&w.check, b)
		w.check.Attempts = 0
		if err := w.keep(ctx); err != nil {
			return err
		}
	}
	if len(some) < blobsAtOnce {
		return w.next(ctx, Images)
	}
	return nil
}

func (w *worker) passed(c *Check, b Blob) {
	c.Cursor = b.Digest.String()
	c.Progress.Blobs++
	c.Progress.Bytes += b.Size
}

// blob looks at a blob, and twice at one that seems to be damaged. What came or went meanwhile is no finding.
func (w *worker) blob(ctx context.Context, b Blob) error {
	for range looks {
		kind, detail, err := w.look(ctx, b)
		if err != nil {
			return w.unread(b, err)
		}
		if kind == "" {
			return w.whole(ctx, b)
		}
		now, err := w.Contents.FindBlob(ctx, b.Digest)
		if errors.Is(err, registry.ErrNoRow) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading blob %s again: %w", b.Digest, err)
		}
		if now.Key != b.Key {
			b = now
			continue
		}
		again, _, err := w.look(ctx, now)
		if err != nil {
			return w.unread(b, err)
		}
		if again == kind {
			return w.damaged(ctx, now, kind, detail)
		}
	}
	return w.unread(b, errors.New("it changes all the time"))
}

func (w *worker) unread(b Blob, err error) error {
	if errors.Is(err, errNotMine) {
		return err
	}
	return &unreadError{name: b.Digest.String(), skip: func(c *Check) { w.passed(c, b) }, cause: err}
}

// look tells what is wrong with a blob's bytes, or "".
func (w *worker) look(ctx context.Context, b Blob) (Kind, string, error) {
	measure := w.hash
	if w.check.Quick {
		measure = w.size
	}
	size, digest, err := measure(ctx, b)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return Lost, "its bytes are not in the blob store", nil
	case err != nil:
		return "", "", err
	case size != b.Size:
		return WrongSize, fmt.Sprintf("it has %d bytes, and should have %d", size, b.Size), nil
	case digest != b.Digest:
		return WrongContent, "its bytes have the digest " + digest.String(), nil
	}
	return "", "", nil
}

// size asks how large a blob is, and takes its digest for what it should be.
func (w *worker) size(ctx context.Context, b Blob) (int64, oci.Digest, error) {
	if err := w.pace.wait(ctx, leastRead); err != nil {
		return 0, "", err
	}
	size, err := w.Blobs.Size(ctx, b.Key)
	return size, b.Digest, err
}

// hash reads a blob to its end, at the check's pace.
func (w *worker) hash(ctx context.Context, b Blob) (int64, oci.Digest, error) {
	r, err := w.Blobs.Open(ctx, b.Key, 0, -1)
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	if w.buffer == nil {
		w.buffer = make([]byte, atOnce)
	}
	algorithm := b.Digest.Algorithm()
	h, size := algorithm.New(), int64(0)
	for {
		n, err := r.Read(w.buffer)
		h.Write(w.buffer[:n])
		size += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, "", err
		}
		cost := int64(n)
		if err != nil {
			cost = max(cost, leastRead)
		}
		if err := w.pace.wait(ctx, cost); err != nil {
			return 0, "", err
		}
		if kept := w.keep(ctx); kept != nil {
			return 0, "", kept
		}
		if err != nil {
			return size, oci.FromSum(algorithm, h.Sum(nil)), nil
		}
	}
}

// whole takes the mark from a blob that is not damaged any more: somebody has brought its bytes back.
func (w *worker) whole(ctx context.Context, b Blob) error {
	if b.DamagedAt.IsZero() || w.check.Quick { // a size says little
		return nil
	}
	unmarked, err := w.Repairs.MarkWhole(ctx, b.Digest, b.Key)
	if err != nil {
		return fmt.Errorf("unmarking blob %s: %w", b.Digest, err)
	}
	if unmarked {
		w.find(ctx, Finding{
			Kind: Restored, Name: b.Digest.String(), Digest: b.Digest, Key: b.Key, Size: b.Size, Done: Unmarked,
			Detail: "it was marked as damaged, and is whole",
		})
	}
	return nil
}

func (w *worker) damaged(ctx context.Context, b Blob, kind Kind, detail string) error {
	f := Finding{Kind: kind, Name: b.Digest.String(), Digest: b.Digest, Key: b.Key, Size: b.Size, Detail: detail}
	if !b.DamagedAt.IsZero() {
		f.Done = Marked
	}
	if w.check.Repair || w.check.Scrub {
		marked, err := w.Repairs.MarkDamaged(ctx, b.Digest, b.Key, w.Now())
		if err != nil {
			return fmt.Errorf("marking blob %s: %w", b.Digest, err)
		}
		if !marked {
			return nil // gone, or pushed anew, at this moment
		}
		f.Done = Marked
	}
	var err error
	if f.Needs, err = w.Contents.NeededBy(ctx, b.Digest, mostNeeds); err != nil {
		return fmt.Errorf("looking for what needs blob %s: %w", b.Digest, err)
	}
	w.find(ctx, f)
	return nil
}
