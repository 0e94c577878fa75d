//go:build unix

package ghactions_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/e2e/ghactions"
)

// TestStepsTellEachOther runs an action that uses everything that the runner knows.
func TestStepsTellEachOther(t *testing.T) {
	t.Parallel()
	berthproc.Tool(t, "bash")
	a, err := ghactions.Load("testdata/told")
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{}
	run := ghactions.Run{
		With: map[string]string{"word": "hush"}, Env: os.Environ(), Workspace: t.TempDir(), Temp: t.TempDir(),
		Uses: map[string]func(map[string]string) error{"actions/setup-go@v6": func(with map[string]string) error { given = with; return nil }},
	}
	got, err := a.Do(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	want := &ghactions.Result{
		Outputs: map[string]string{"lines": "hush=1\nb<<c", "found": "x hushhush", "left-out": ""},
		Log:     "a secret: ***\nWORD is gone\n", Spoken: "a secret: hush\nWORD is gone\n", Masks: []string{"hush"},
		Summary: "one\ntwo\n", Ran: []string{"first", "actions/setup-go@v6", "second", "fourth"}, Code: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Do (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"go-version-file": "hush=1\nb<<c"}, given); diff != "" {
		t.Errorf("the action that it uses was given (-want +got):\n%s", diff)
	}
	run.Temp, run.Uses = t.TempDir(), nil
	if _, err := a.Do(t.Context(), run); err == nil {
		t.Error("an action that nobody looks at was used")
	}
	run.With = map[string]string{"wrod": "hush"}
	if _, err := a.Do(t.Context(), run); err == nil {
		t.Error("an input that is not there was given")
	}
}
