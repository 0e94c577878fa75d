package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// TestStatusShowsProblems as the wire has them, without letting what a blob store says move the cursor.
func TestStatusShowsProblems(t *testing.T) {
	t.Parallel()
	const answer = `{"problems": [{"stage": "bytes", "at": 1.5, "problem": "AccessDenied\u001b[2J"}, {"stage": "walk", "at": 2, "problem": "no such bucket"}, {"stage": "clock", "at": 3, "problem": "it is late"}]}`
	var st platform.Garbage
	if err := json.Unmarshal([]byte(answer), &st); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := writeGarbage(&out, st); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`sweeping bytes failed at 1970-01-01T00:00:01Z and is tried again: "AccessDenied\x1b[2J"`,
		"the search for bytes without a row failed at 1970-01-01T00:00:02Z and is tried again: no such bucket\n",
		"a server leaves everything where it is: it is late\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("there is no %q in\n%s", line, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("it moves the cursor: %q", out.String())
	}
}
