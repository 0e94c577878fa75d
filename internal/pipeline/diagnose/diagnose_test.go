package diagnose_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/diagnose"
)

var lists = map[string]func() []diagnose.Check{
	"everything": diagnose.Everything, "push": diagnose.Push, "pull": diagnose.Pull, "oidc": diagnose.OIDC,
}

// TestLists holds that each check stands behind what it needs, once, and that the page explains it.
func TestLists(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/operate/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range lists {
		var seen []string
		for _, c := range list() {
			if slices.Contains(seen, c.Name) {
				t.Errorf("%s: %s is there twice", name, c.Name)
			}
			for _, before := range append(slices.Clone(c.Needs), c.After...) {
				if !slices.Contains(seen, before) {
					t.Errorf("%s: %s comes after %s, which is not before it", name, c.Name, before)
				}
			}
			if !strings.Contains(string(page), "| `"+c.Name+"` |") {
				t.Errorf("docs/operate/doctor.md has no row for %s", c.Name)
			}
			seen = append(seen, c.Name)
		}
	}
}

func result(status diagnose.Status) func(context.Context, *diagnose.Env) diagnose.Result {
	return func(context.Context, *diagnose.Env) diagnose.Result {
		return diagnose.Result{Status: status, Message: string(status)}
	}
}

// TestRun holds that what needs a failed check is skipped and names the cause, and that nothing else is.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := func(context.Context, *diagnose.Env) diagnose.Result { return diagnose.Failed("it is broken") }
		slow := func(ctx context.Context, _ *diagnose.Env) diagnose.Result {
			<-ctx.Done()
			return diagnose.Failed("nothing came")
		}
		found, err := diagnose.Run(t.Context(), &diagnose.Env{Timeout: time.Second}, []diagnose.Check{
			{Name: "good", Run: result(diagnose.OK)},
			{Name: "broken", Needs: []string{"good"}, Run: broken},
			{Name: "dependant", Needs: []string{"broken"}, Run: result(diagnose.OK)},
			{Name: "its dependant", Needs: []string{"good", "dependant"}, Run: result(diagnose.OK)},
			{Name: "behind", After: []string{"broken"}, Run: result(diagnose.Warning)},
			{Name: "slow", Run: slow},
			{Name: "panics", Run: func(context.Context, *diagnose.Env) diagnose.Result { panic("oh") }},
			{Name: "after the panic", Needs: []string{"panics"}, Run: result(diagnose.OK)},
			{Name: "elsewhere", Needs: []string{"not in this list"}, Run: result(diagnose.OK)},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprintf("%s: %s: %s (%s)", f.Check, f.Status, f.Message, f.Because))
		}
		want := []string{
			"good: ok: ok ()",
			"broken: failure: it is broken ()",
			"dependant: skipped: could not be looked at because of broken (broken)",
			"its dependant: skipped: could not be looked at because of broken (broken)",
			"behind: warning: warning ()",
			"slow: failure: there was no answer in 1s: nothing came ()",
			"panics: skipped: could not be looked at because of a fault in berth: panicked: oh ()",
			"after the panic: skipped: could not be looked at because of panics (panics)",
			"elsewhere: ok: ok ()",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
	})
}

// TestStopped holds that a run whose context ends says so, and nothing of the checks.
func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	found, err := diagnose.Run(ctx, &diagnose.Env{Timeout: time.Minute}, []diagnose.Check{
		{Name: "waits", Run: func(ctx context.Context, _ *diagnose.Env) diagnose.Result {
			cancel()
			<-ctx.Done()
			return diagnose.Result{Status: diagnose.OK}
		}},
	})
	if err == nil || found != nil {
		t.Errorf("Run = %v, %v", found, err)
	}
}
