package middleware_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// TestARecordComesBeforeItsAnswer looks at what a client has when the log gets the entry.
func TestARecordComesBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handle   func(w http.ResponseWriter, e *audit.Entry)
		has      int // bytes of the answer, by then
		out      int64
		status   int
		unlogged bool
	}{
		"whole": {handle: func(w http.ResponseWriter, _ *audit.Entry) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "hello")
		}, out: 5, status: 201},
		"in pieces": {handle: func(w http.ResponseWriter, _ *audit.Entry) {
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "he")
			_, _ = io.WriteString(w, "llo")
		}, has: 5, out: 5, status: 200},
		"nothing": {handle: func(http.ResponseWriter, *audit.Entry) {}, status: 200},
		"a panic": {handle: func(http.ResponseWriter, *audit.Entry) { panic("boom") }, out: 60, status: 500},
		"redirect": {handle: func(w http.ResponseWriter, e *audit.Entry) {
			e.BytesOut = 100
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, out: 100, status: 307},
		"a probe": {handle: func(_ http.ResponseWriter, e *audit.Entry) { e.Service = "" }, unlogged: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			var got []audit.Entry
			h := middleware.New(middleware.Config{
				Logger: slog.New(slog.DiscardHandler), Now: time.Now,
				Next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					e := middleware.Note(r.Context())
					e.Service, e.Operation = "ecr", "PutImage"
					tt.handle(w, e)
				}),
				Audit: func(e *audit.Entry) {
					if w.Body.Len() != tt.has {
						t.Errorf("the client has %d bytes, want %d", w.Body.Len(), tt.has)
					}
					got = append(got, *e)
				},
			})
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/a/manifests/b?secret", http.NoBody))
			if tt.unlogged {
				if len(got) != 0 {
					t.Errorf("it is logged: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Status != tt.status || got[0].BytesOut != tt.out || got[0].Path != "/v2/a/manifests/b" || len(got[0].ID) != 32 {
				t.Errorf("the log has %+v", got)
			}
		})
	}
}
