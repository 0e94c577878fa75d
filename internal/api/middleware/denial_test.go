package middleware_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

func TestDenialIsLogged(t *testing.T) {
	t.Parallel()
	s, stop := serve(t, 0, func(w http.ResponseWriter, r *http.Request) {
		middleware.NoteDenial(r.Context(), "No identity-based policy allows it.\nforged=line "+strings.Repeat("x", 4000))
		w.WriteHeader(http.StatusForbidden)
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	log := stop()
	if !strings.Contains(log, `denied_because="No identity-based policy allows it.\nforged=line xxx`) || strings.Count(log, "\n") != 1 || len(log) > 2600 {
		t.Errorf("the log is %s", log)
	}
	middleware.NoteDenial(t.Context(), "nobody asked") // must not panic
}
