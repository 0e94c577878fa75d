package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// slowly delivers content in pieces, and tells when half of it is gone.
type slowly struct {
	content []byte
	piece   int
	pause   time.Duration
	half    chan struct{}

	ctx  context.Context //nolint:containedctx // a reader has no other way to end early
	sent int
	told bool
}

// Read implements io.Reader.
func (s *slowly) Read(p []byte) (int, error) {
	if s.sent == len(s.content) {
		return 0, io.EOF
	}
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(s.pause):
	}
	n := copy(p, s.content[s.sent:min(s.sent+s.piece, len(s.content))])
	s.sent += n
	if !s.told && s.sent >= len(s.content)/2 {
		s.told = true
		close(s.half)
	}
	return n, nil
}

// TestStopFinishesRequests stops a server in the middle of a slow push: the push finishes, the process ends
// with code 0, and what was pushed is there afterwards.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories("stop/slow")
		c := newClient(t, s)
		body := &slowly{content: noise(1, 1<<20), piece: 64 << 10, pause: 100 * time.Millisecond, half: make(chan struct{}), ctx: t.Context()}
		d := oci.FromBytes(body.content)
		answered := make(chan error, 1)
		go func() {
			r, err := c.send(t.Context(), http.MethodPost, "/v2/stop/slow/blobs/uploads/?digest="+string(d), body)
			if err == nil && r.Status != http.StatusCreated {
				err = fmt.Errorf("answered %v", r)
			}
			answered <- err
		}()
		<-body.half
		s.Terminate()
		if err := <-answered; err != nil {
			t.Errorf("the push that was under way at SIGTERM: %v, want it to finish with 201", err)
		}
		if code := s.Wait(); code != 0 {
			t.Errorf("after SIGTERM berth serve ended with code %d, want 0", code)
		}
		s.Restart()
		if err := newClient(t, s).verifyBlob(t.Context(), "stop/slow", d); err != nil {
			t.Error(err)
		}
	})
}

// TestStopKeepsUploads stops a server that will not wait for a push to finish: the bytes that came survive,
// and the upload goes on after the restart.
func TestStopKeepsUploads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--shutdown-timeout", "500ms"}})
		s.CreateRepositories("stop/cut")
		c := newClient(t, s)
		content := noise(1, 4<<20)
		acked := 1 << 20
		start := c.must(t, http.StatusAccepted, http.MethodPost, "/v2/stop/cut/blobs/uploads/", nil)
		location := c.must(t, http.StatusAccepted, http.MethodPatch, start.Header.Get("Location"), content[:acked]).Header.Get("Location")

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		body := &slowly{content: content[acked:], piece: 64 << 10, pause: 100 * time.Millisecond, half: make(chan struct{}), ctx: ctx}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = c.send(ctx, http.MethodPatch, location, body) // cut, or answered with an error: both are right
		}()
		<-body.half
		began := time.Now()
		s.Terminate()
		code := s.Wait()
		t.Logf("berth serve ended with code %d after %v", code, time.Since(began))
		if code != 0 {
			t.Errorf("after SIGTERM berth serve ended with code %d, want 0", code)
		}
		cancel()
		<-answered

		s.Restart()
		r := c.must(t, http.StatusNoContent, http.MethodGet, location, nil)
		have, err := rangeEnd(r.Header.Get("Range"), acked)
		if err != nil || have < acked {
			t.Fatalf("after the restart the upload has %d bytes (%v), want at least the %d acknowledged", have, err, acked)
		}
		t.Logf("%d bytes of the upload were acknowledged, %d survived", acked, have)
		c.must(t, http.StatusAccepted, http.MethodPatch, location, content[have:],
			"Content-Range", fmt.Sprintf("%d-%d", have, len(content)-1))
		d := oci.FromBytes(content)
		c.must(t, http.StatusCreated, http.MethodPut, join(location, "digest="+string(d)), nil)
		if err := c.verifyBlob(t.Context(), "stop/cut", d); err != nil {
			t.Error(err)
		}
	})
}
