package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

// record is a log that a server writes and a test reads.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *record) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *record) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serve runs the handler behind the middleware on a real server, and gives what was logged once the server
// has stopped, which stop does.
func serve(t *testing.T, stall time.Duration, next http.HandlerFunc) (s *httptest.Server, stop func() string) {
	t.Helper()
	log := &record{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s = httptest.NewServer(middleware.New(middleware.Config{Next: next, Logger: logger, Now: time.Now, Stall: stall}))
	t.Cleanup(s.Close)
	return s, func() string {
		s.Close() // waits for handlers
		return log.String()
	}
}

func do(t *testing.T, s *httptest.Server, method, path string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	return res, string(text)
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s, stop := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, middleware.RequestID(r.Context()))
	})
	seen := map[string]bool{}
	for range 10 {
		res, body := do(t, s, http.MethodGet, "/v2/", nil)
		id := res.Header.Get("x-amzn-RequestId")
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || seen[id] {
			t.Errorf("request id %q, want 32 new hexadecimal digits", id)
		}
		if body != id {
			t.Errorf("RequestID in the handler gives %q, the header says %q", body, id)
		}
		seen[id] = true
	}
	log := stop()
	for id := range seen {
		if !strings.Contains(log, "request_id="+id) {
			t.Errorf("request %s is not in the log", id)
		}
	}
	if id := middleware.RequestID(t.Context()); id != "" {
		t.Errorf("RequestID outside a request gives %q", id)
	}
	middleware.NotePrincipal(t.Context(), "nobody") // must not panic either
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	s, stop := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		middleware.NotePrincipal(r.Context(), "arn:aws:iam::123456789012:root")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "done")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		s.URL+"/v2/a/manifests/v1?X-Amz-Signature=topsecret", strings.NewReader("manifest"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic topsecret")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.PutImage")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	log := stop()
	for _, want := range []string{
		"msg=request", "method=PUT", "path=/v2/a/manifests/v1 ", "operation=PutImage", "status=201", "bytes_in=8", "bytes_out=4",
		"duration=", "remote=127.0.0.1:", "principal=arn:aws:iam::123456789012:root", "level=INFO",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	if n := strings.Count(log, "\n"); n != 1 {
		t.Errorf("one request made %d lines: %s", n, log)
	}
	if strings.Contains(log, "topsecret") {
		t.Errorf("the log shows a secret: %s", log)
	}
}

func TestLogOfOddRequests(t *testing.T) {
	t.Parallel()
	s, stop := serve(t, 0, func(http.ResponseWriter, *http.Request) {})
	do(t, s, http.MethodGet, "/healthz", nil)
	do(t, s, http.MethodGet, "/"+strings.Repeat("x", 2000), nil)
	do(t, s, http.MethodGet, "/line%0Abreak", nil)
	lines := strings.Split(strings.TrimSpace(stop()), "\n")
	if len(lines) != 3 {
		t.Fatalf("three requests made %d lines: %q", len(lines), lines)
	}
	if !strings.Contains(lines[0], "level=DEBUG") || !strings.Contains(lines[0], "status=200") {
		t.Errorf("a probe is logged as %s, want it at debug, with status 200", lines[0])
	}
	if len(lines[1]) > 900 {
		t.Errorf("a long path makes a line of %d bytes", len(lines[1]))
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	s, stop := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/before":
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Location", "/somewhere")
			panic("boom before")
		case "/after":
			_, _ = io.WriteString(w, "half of")
			panic("boom after")
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	})
	res, body := do(t, s, http.MethodGet, "/before", nil)
	id := res.Header.Get("x-amzn-RequestId")
	if res.StatusCode != http.StatusInternalServerError || body != "internal error, request id "+id+"\n" || res.Header.Get("Location") != "" {
		t.Errorf("a handler that panics answers %d %q with Location %q, want a generic 500", res.StatusCode, body, res.Header.Get("Location"))
	}
	for _, path := range []string{"/after", "/abort"} {
		// Not GET, which the client would try again.
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client().Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("POST %s gives a whole answer, want the connection broken", path)
		}
	}
	log := stop()
	for _, want := range []string{`cause="boom before"`, `cause="boom after"`, "middleware_test.go", "request_id=" + id, "status=500"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	if n := strings.Count(log, "request panicked"); n != 2 {
		t.Errorf("%d panics are logged, want 2: http.ErrAbortHandler is none", n)
	}
}

func TestHeadersAgainstBrowsers(t *testing.T) {
	t.Parallel()
	s, _ := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
		}
	})
	do(t, s, http.MethodGet, "/own", nil)
	res, _ := do(t, s, http.MethodGet, "/", nil)
	if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", got)
	}
	if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") {
		t.Errorf("Content-Security-Policy is %q after another answer had its own", got)
	}
}

// fileServer is a ResponseWriter that notes what the kernel would be given.
type fileServer struct {
	*httptest.ResponseRecorder
	whole []bool
	bytes int64
}

func (f *fileServer) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	isFile := false
	if ok {
		_, isFile = limited.R.(*os.File)
	}
	f.whole = append(f.whole, isFile)
	n, err := io.Copy(io.Discard, src)
	f.bytes += n
	return n, err
}

// TestFilesReachTheKernel sees that the server's ReadFrom gets a file behind at most one LimitedReader,
// which is what net sends without copying, and that the counts are right.
func TestFilesReachTheKernel(t *testing.T) {
	t.Parallel()
	const size = 5<<20 + 123
	path := filepath.Join(t.TempDir(), "layer")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		copy func(w io.Writer, f *os.File) (int64, error)
		want int64
	}{
		"all of it":     {func(w io.Writer, f *os.File) (int64, error) { return w.(io.ReaderFrom).ReadFrom(f) }, size},
		"a part":        {func(w io.Writer, f *os.File) (int64, error) { return io.CopyN(w, f, 3<<20+7) }, 3<<20 + 7},
		"more than all": {func(w io.Writer, f *os.File) (int64, error) { return io.Copy(w, io.LimitReader(f, 2*size)) }, size},
		"nothing":       {func(w io.Writer, f *os.File) (int64, error) { return io.Copy(w, io.LimitReader(f, 0)) }, 0},
	} {
		w := &fileServer{ResponseRecorder: httptest.NewRecorder()}
		log := &record{}
		h := middleware.New(middleware.Config{
			Logger: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now,
			Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				if n, err := test.copy(w, f); n != test.want || err != nil {
					t.Errorf("%s: copied %d bytes, %v, want %d", name, n, err, test.want)
				}
			}),
		})
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		if w.bytes != test.want || slices.Contains(w.whole, false) {
			t.Errorf("%s: the server's ReadFrom got %d bytes, as files: %v, want %d, all as files", name, w.bytes, w.whole, test.want)
		}
		if want := fmt.Sprintf("bytes_out=%d ", test.want); !strings.Contains(log.String(), want) {
			t.Errorf("%s: the log lacks %q: %s", name, want, log)
		}
	}
}

// TestWithoutReadFrom copies where the server has no ReadFrom, as with HTTP/2.
func TestWithoutReadFrom(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	h := middleware.New(middleware.Config{
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if n, err := io.Copy(w, strings.NewReader("hello")); n != 5 || err != nil {
				t.Errorf("io.Copy = %d, %v", n, err)
			}
		}),
	})
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if w.Body.String() != "hello" {
		t.Errorf("the answer is %q", w.Body)
	}
}

func TestResponseController(t *testing.T) {
	t.Parallel()
	flushed := make(chan error, 1)
	s, _ := serve(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		flushed <- http.NewResponseController(w).Flush()
	})
	do(t, s, http.MethodGet, "/", nil)
	if err := <-flushed; err != nil {
		t.Errorf("Flush through the middleware: %v", err)
	}
}

// TestBodyThatStandsStill ends, so that vanished clients do not pile up.
func TestBodyThatStandsStill(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s, _ := serve(t, 100*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the body that stands still ends with %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// TestClientThatDoesNotRead ends too.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s, _ := serve(t, 100*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for range 256 { // more than any socket buffers
			if _, err := w.Write(piece); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	})
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("256 MiB went to a client that reads nothing")
	}
}

// TestHandlerMayTakeItsTime sees that a deadline of the body does not end a request whose body has come
// whole, and that a connection serves on after one was set.
func TestHandlerMayTakeItsTime(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	s, _ := serve(t, stall, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
			t.Errorf("the request ended while its handler worked: %v", context.Cause(r.Context()))
		case <-time.After(3 * stall):
		}
		_, _ = io.WriteString(w, "done")
	})
	for range 2 {
		if _, got := do(t, s, http.MethodPost, "/", strings.NewReader("body")); got != "done" {
			t.Errorf("the answer is %q", got)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	h := middleware.New(middleware.Config{
		Logger: slog.New(slog.NewTextHandler(new(record), nil)), Now: time.Now,
		Next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodHead, "/v2/a/manifests/v1", http.NoBody)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
