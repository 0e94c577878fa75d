package middleware_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// TestWhatPanickedDidNotGoWell has the audit log say so of requests that ended within the handler, wherever they were.
func TestWhatPanickedDidNotGoWell(t *testing.T) {
	t.Parallel()
	type line struct {
		Path   string
		Status int
		Fault  string
	}
	var got []line
	h := middleware.New(middleware.Config{
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Audit: func(e *audit.Entry) { got = append(got, line{e.Path, e.Status, e.Fault}) },
		Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			middleware.Note(r.Context()).Service = "ecr"
			switch r.URL.Path {
			case "/before":
				panic("boom")
			case "/after":
				_, _ = io.WriteString(w, "half of")
				panic("boom")
			case "/abort":
				panic(http.ErrAbortHandler)
			case "/long":
				middleware.NoteBegun(r.Context())
				if len(got) != 1 || got[0].Path != "/long" {
					t.Errorf("while a long answer goes on the log has %+v", got)
				}
			}
		}),
	})
	for _, path := range []string{"/long", "/before", "/after", "/abort"} {
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		}()
	}
	want := []line{{"/long", 200, ""}, {"/before", 500, "InternalFailure"}, {"/after", 200, "InternalFailure"}, {"/abort", 200, "InternalFailure"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}
