package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

// overEach runs a test with a server that speaks HTTP/1.1, and with one that speaks HTTP/2.
func overEach(t *testing.T, stall time.Duration, next func(t *testing.T) http.HandlerFunc, test func(t *testing.T, srv *httptest.Server)) {
	t.Helper()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewUnstartedServer(middleware.New(middleware.Config{
				Next: next(t), Logger: slog.New(slog.DiscardHandler), Now: time.Now, Stall: stall,
			}))
			srv.EnableHTTP2 = http2
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.StartTLS()
			defer srv.Close()
			test(t, srv)
		})
	}
}

// send sends a body, and gives the answer with its text.
func send(t *testing.T, srv *httptest.Server, body io.Reader) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, srv.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	if res.ProtoAtLeast(2, 0) != srv.EnableHTTP2 {
		t.Errorf("the answer came over %s", res.Proto)
	}
	all, err := io.ReadAll(res.Body)
	return res.StatusCode, string(all), err
}

// TestSlowBodiesLive sees that a push that takes many times the stall time goes on as long as bytes come.
func TestSlowBodiesLive(t *testing.T) {
	t.Parallel()
	const stall, pieces = 400 * time.Millisecond, 12
	overEach(t, stall, func(t *testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil || n != pieces {
				t.Errorf("the server read %d bytes, %v, want %d", n, err, pieces)
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}, func(t *testing.T, srv *httptest.Server) {
		body, feed := io.Pipe()
		go func() {
			tick := time.NewTicker(stall / 4)
			defer tick.Stop()
			for range pieces {
				<-tick.C
				if _, err := feed.Write([]byte("x")); err != nil {
					return
				}
			}
			_ = feed.Close()
		}()
		if status, _, err := send(t, srv, body); status != http.StatusAccepted || err != nil {
			t.Errorf("the answer is %d, %v, want 202", status, err)
		}
	})
}

// TestStoresMayStandStill has the handler work for longer than a client may stand still: before the body,
// in its midst, after it, and within the answer. None of that is the client's fault.
func TestStoresMayStandStill(t *testing.T) {
	t.Parallel()
	const stall, size = 150 * time.Millisecond, 300_000
	work := func() { <-time.After(3 * stall) }
	overEach(t, stall, func(t *testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var first [10]byte
			work()
			if n, err := io.ReadFull(r.Body, first[:]); err != nil {
				t.Errorf("the first read gave %d bytes, %v", n, err)
			}
			work()
			if n, err := io.Copy(io.Discard, r.Body); n != size-int64(len(first)) || err != nil {
				t.Errorf("the rest of the body is %d bytes, %v, want %d", n, err, size-len(first))
			}
			work()
			for range 3 {
				if _, err := io.WriteString(w, "piece "); err != nil {
					t.Errorf("writing: %v", err)
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("flushing: %v", err)
				}
				work()
			}
		}
	}, func(t *testing.T, srv *httptest.Server) {
		status, text, err := send(t, srv, bytes.NewReader(make([]byte, size)))
		if status != http.StatusOK || text != "piece piece piece " || err != nil {
			t.Errorf("the answer is %d %q, %v, want 200 and all pieces", status, text, err)
		}
	})
}

// TestRefusalLeaves answers in the midst of a body, after the store stood still for too long.
func TestRefusalLeaves(t *testing.T) {
	t.Parallel()
	const stall = 150 * time.Millisecond
	overEach(t, stall, func(*testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = r.Body.Read(make([]byte, 10))
			<-time.After(3 * stall)
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		}
	}, func(t *testing.T, srv *httptest.Server) {
		status, text, err := send(t, srv, bytes.NewReader(make([]byte, 100_000)))
		if status != http.StatusServiceUnavailable || !strings.Contains(text, "does not answer") || err != nil {
			t.Errorf("the answer is %d %q, %v, want the 503", status, text, err)
		}
	})
}

// TestStandstillIsAnswered has the client send a part of its body and no more.
func TestStandstillIsAnswered(t *testing.T) {
	t.Parallel()
	overEach(t, 150*time.Millisecond, func(t *testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a body that stands still gives %d bytes, %v, want 4 and %v", n, err, os.ErrDeadlineExceeded)
			}
			http.Error(w, "too slow", http.StatusRequestTimeout)
		}
	}, func(t *testing.T, srv *httptest.Server) {
		body, feed := io.Pipe()
		defer feed.Close()
		go func() { _, _ = feed.Write([]byte("half")) }()
		status, _, err := send(t, srv, body)
		if srv.EnableHTTP2 && (status != http.StatusRequestTimeout || err != nil) {
			t.Errorf("the answer is %d, %v, want 408", status, err)
		}
	})
}

// TestUnreadAnswersEnd has the client ask and not read.
func TestUnreadAnswersEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	overEach(t, 150*time.Millisecond, func(*testing.T) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			piece := make([]byte, 1<<20)
			for range 256 { // more than any socket or stream buffers
				if _, err := w.Write(piece); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}
	}, func(t *testing.T, srv *httptest.Server) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := <-ended; err == nil {
			t.Error("256 MiB went to a client that reads nothing")
		}
	})
}
