package git_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

func TestLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	made := commits(t, dir, "a 100\nb 200 a\nc 300 b\nx 250 a\nd 400 c x\n")
	repo := open(t, dir)
	for _, tt := range []struct {
		since, until string
		limit        int
		want         string
	}{
		{"a", "c", 9, "c b"}, {"b", "d", 9, "d c x"}, {"b", "d", 2, "d c"}, {"c", "a", 9, ""}, {"c", "x", 9, "x"}, {"c", "c", 9, ""},
	} {
		all, err := repo.Log(t.Context(), made[tt.since], made[tt.until], tt.limit)
		var got []string
		for _, e := range all {
			got = append(got, e.Subject)
			if e.Commit != made[e.Subject] || e.Author != "A" || e.Time.Location() != time.UTC {
				t.Errorf("%s is %+v", e.Subject, e)
			}
		}
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("from %s to %s there are %v, %v, want %s", tt.since, tt.until, got, err, tt.want)
		}
	}
	if _, err := repo.Log(t.Context(), strings.Repeat("0", 40), made["a"], 1); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("from a commit that is not here: %v", err)
	}
}
