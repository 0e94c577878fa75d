package pullthrough_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWhatUpstreamAnswersIsTold fetches a tag, asks for one that is not there, and for one while the upstream fails.
func TestWhatUpstreamAnswersIsTold(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		d := digestOf(t, b.upstream.image("v1"))
		b.pull(here, tagged("v1"))
		b.pull(here, tagged("v1"))
		if _, err := b.Image(t.Context(), root, here, tagged("none")); err == nil {
			t.Error("what is not there was pulled")
		}
		b.upstream.mu.Lock()
		b.upstream.wrong = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		b.upstream.mu.Unlock()
		for range 3 { // one failure is told once
			if _, err := b.Image(t.Context(), root, here, tagged("v2")); err == nil {
				t.Error("what is refused was pulled")
			}
		}
		b.mu.Lock()
		b.at = b.at.Add(2 * time.Minute)
		b.mu.Unlock()
		if _, err := b.Image(t.Context(), root, here, tagged("v2")); err == nil {
			t.Error("what is refused was pulled")
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		var told []string
		for _, e := range b.told {
			told = append(told, fmt.Sprint(e.Kind, " ", e.Repository, " ", e.Tags, " ", e.Digest == d, " ", e.Upstream.Prefix, " ", e.Upstream.Failed, " ", e.Upstream.URL == b.upstream.url, " ", e.Reason != ""))
		}
		want := []string{
			"upstream.synced " + here + " [v1] true up false true false", "upstream.synced " + here + " [v2] false up true true true",
			"upstream.synced " + here + " [v2] false up true true true",
		}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told: %v, want %v", told, want)
		}
	})
}
