package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLookingIsNotDoneToAnImage searches for what was done to an image: the record of that says what was looked for, and is about no image.
func TestLookingIsNotDoneToAnImage(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	digest, _ := c.repository("team/app", "a layer")
	before := len(audited(t, c.data))
	for _, input := range []string{`{"repositoryName":"team/app","imageTag":"v1"}`, `{"repositoryName":"team/app"}`, `{"imageDigest":"` + digest + `"}`} {
		if status, _, answer := c.call(c.root, berthTarget+"SearchLog", input); status != http.StatusOK {
			t.Fatalf("SearchLog %s: %d %s", input, status, answer)
		}
	}
	if diff := cmp.Diff([]string{"root berth:SearchLog", "root berth:SearchLog", "root berth:SearchLog"}, since(t, c.data, before)); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	first := string(audited(t, c.data)[before].Line)
	for _, want := range []string{`"ofRepository":"team/app"`, `"ofImageTag":"v1"`} {
		if !strings.Contains(first, want) {
			t.Errorf("the record is %s, want %s in it", first, want)
		}
	}
}
