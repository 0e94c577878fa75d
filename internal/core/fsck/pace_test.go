package fsck_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const mebi = 1 << 20

func TestScrubRate(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for _, c := range []struct {
		total  int64
		period time.Duration
		most   int64
		want   int64
	}{
		{0, month, 20 * mebi, mebi},                             // nothing to do is done fast enough
		{10 << 40, month, 20 * mebi, 5302428},                   // 10 TiB in 24 days
		{100 << 40, month, 20 * mebi, 20 * mebi},                // more than fits
		{100 << 40, month, 0, 53024287},                         // no bound
		{1 << 30, time.Hour, 20 * mebi, mebi}, {1, 1, 100, 100}, // the bound holds always
	} {
		if got := fsck.ScrubRate(c.total, c.period, c.most); got != c.want {
			t.Errorf("scrubRate(%d, %v, %d) = %d, want %d", c.total, c.period, c.most, got, c.want)
		}
	}
}

// TestPace reads a hundred MiB in time that does not pass by itself.
func TestPace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order fsck.Order
		want  time.Duration
	}{
		"1 MiB a second": {fsck.Order{Rate: mebi}, 100 * time.Second},
		"no limit":       {fsck.Order{}, 0},
		"by size":        {fsck.Order{Rate: 64 << 10, Quick: true}, 10 * 4 * time.Second / 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rows := &memory{blobs: 10, size: 10 * mebi}
				s := fsck.New(fsck.Config{
					Registry: rows, Checks: rows, Contents: rows, Repairs: rows, Blobs: zeroes{size: rows.size}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				})
				if _, err := s.Start(t.Context(), identity.Caller{}, c.order); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if _, err := s.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); (took - c.want).Abs() > c.want/100 {
					t.Errorf("it took %v, want %v", took, c.want)
				}
				if rows.check.State != fsck.Complete || rows.check.Progress.Blobs != 10 {
					t.Errorf("the check: %+v", rows.check)
				}
				if late := rows.longest; c.want > 10*time.Second && late > 6*time.Second {
					t.Errorf("for %v nothing was saved: others would take the check over", late)
				}
			})
		})
	}
}

// zeroes is a store in which everything is zeroes.
type zeroes struct {
	blob.Store
	size int64
}

func (z zeroes) Open(context.Context, blob.Key, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zero{}, z.size)), nil
}

func (z zeroes) Size(context.Context, blob.Key) (int64, error) { return z.size, nil }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// memory has a check, and blobs of zeroes which all have one digest and never go.
type memory struct {
	fsck.Repairs
	check   fsck.Check
	found   []fsck.Finding
	blobs   int
	size    int64
	saved   time.Time
	longest time.Duration // between two savings
	digest  oci.Digest
}

func (*memory) May(context.Context, identity.Caller, policy.Action, string) error { return nil }

func (m *memory) StartCheck(_ context.Context, c fsck.Check) (fsck.Check, error) {
	c.ID, m.saved = 1, time.Now()
	m.check = c
	h := oci.SHA256.New()
	_, err := io.Copy(h, io.LimitReader(zero{}, m.size))
	m.digest = oci.FromSum(oci.SHA256, h.Sum(nil))
	return c, err
}

func (m *memory) Check(context.Context, int64, bool) (fsck.Check, error) { return m.check, nil }

func (m *memory) Findings(context.Context, int64, int64, int) ([]fsck.Finding, error) {
	return m.found, nil
}

func (m *memory) StopCheck(context.Context, int64, time.Time) (bool, error) { return false, nil }

func (m *memory) ClaimCheck(_ context.Context, _ bool, _, again time.Time) (fsck.Check, bool, error) {
	m.check.DueAt = again
	return m.check, m.check.State == fsck.Running, nil
}

func (m *memory) SaveCheck(_ context.Context, c fsck.Check, due time.Time, found []fsck.Finding) error {
	if !due.Equal(m.check.DueAt) {
		return registry.ErrConflict
	}
	m.longest = max(m.longest, time.Since(m.saved))
	m.check, m.saved = c, time.Now()
	m.found = append(m.found, found...)
	return nil
}

func (m *memory) PurgeChecks(context.Context, time.Time) error { return nil }

func (m *memory) TotalBlobs(context.Context) (blobs, bytes int64, err error) {
	return int64(m.blobs), int64(m.blobs) * m.size, nil
}

func (m *memory) BlobsAfter(_ context.Context, after oci.Digest, _ int) ([]fsck.Blob, error) {
	if after != "" {
		return nil, nil
	}
	all := make([]fsck.Blob, m.blobs)
	for i := range all {
		all[i] = fsck.Blob{Digest: m.digest, Size: m.size, Key: "k"}
	}
	return all, nil
}

func (m *memory) FindBlob(context.Context, oci.Digest) (fsck.Blob, error) {
	return fsck.Blob{}, registry.ErrNoRow
}

func (m *memory) NeededBy(context.Context, oci.Digest, int) ([]string, error) { return nil, nil }

func (m *memory) ImagesAfter(context.Context, int64, int) ([]fsck.Image, error) { return nil, nil }

func (m *memory) KnownKeys(context.Context, []blob.Key) (map[blob.Key]fsck.Owner, error) {
	return nil, nil
}
