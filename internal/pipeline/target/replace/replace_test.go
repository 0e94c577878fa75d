package replace_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/replace"
)

type quiet struct{}

func (quiet) Event(progress.Event) {}

var errBad = errors.New("bad")

// TestSwitch has each step fail in turn, and looks which are done and what the error is.
func TestSwitch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs, begun bool
		fails       string
		want        string // the steps that are done
		kind        string
	}{
		"all is well":                     {want: "mark put ready check keep"},
		"it runs already":                 {runs: true, want: "ready check"},
		"it runs already and is not well": {runs: true, fails: "check", want: "ready check", kind: "undone"},
		"the mark":                        {fails: "mark", want: "mark unmark", kind: "plain"},
		"the mark after another's":        {begun: true, fails: "mark", want: "mark", kind: "plain"},
		"the image":                       {fails: "put", want: "mark put back", kind: "undone"},
		"not ready":                       {fails: "ready", want: "mark put ready back", kind: "undone"},
		"not healthy":                     {fails: "check", want: "mark put ready check back", kind: "undone"},
		"the mark stays":                  {fails: "keep", want: "mark put ready check keep"},
		"neither this nor that":           {fails: "check back", want: "mark put ready check back", kind: "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var done []string
			step := func(name string) func(context.Context) error {
				return func(context.Context) error {
					done = append(done, name)
					if slices.Contains(strings.Fields(c.fails), name) {
						return errBad
					}
					return nil
				}
			}
			err := replace.Switch(t.Context(), replace.Steps{
				Runs: c.runs, Begun: c.begun, Mark: step("mark"), Unmark: step("unmark"), Put: step("put"), Ready: step("ready"), Keep: step("keep"), Back: step("back"),
			}, func(ctx context.Context, _ deploy.Endpoint) error { return step("check")(ctx) }, &progress.Task{Sink: quiet{}, Now: time.Now})
			kind := "plain"
			if _, ok := errors.AsType[*deploy.Undone](err); ok {
				kind = "undone"
			} else if _, ok := errors.AsType[*deploy.Broken](err); ok {
				kind = "broken"
			} else if err == nil {
				kind = ""
			}
			if got := strings.Join(done, " "); got != c.want || kind != c.kind || err != nil && !errors.Is(err, errBad) {
				t.Errorf("did %q, and gives %T %v, want %q and %q", got, err, err, c.want, c.kind)
			}
		})
	}
}

// TestWatch looks that a check does not wait for what is down, and that it is told apart from one that found out itself.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		none := func(context.Context) error { return nil }
		s := replace.Steps{Put: none, Ready: none, Keep: none, Back: none, Watch: func(ctx context.Context) error {
			if err := replace.Asleep(ctx, time.Minute); err != nil {
				return err
			}
			return errBad
		}}
		say := &progress.Task{Sink: quiet{}, Now: time.Now}
		began := time.Now()
		err := replace.Switch(t.Context(), s, func(ctx context.Context, _ deploy.Endpoint) error { <-ctx.Done(); return ctx.Err() }, say)
		if !errors.Is(err, errBad) || time.Since(began) != time.Minute {
			t.Errorf("Switch gives %v after %v, want what the watch found, after a minute", err, time.Since(began))
		}
		if err := replace.Switch(t.Context(), s, func(context.Context, deploy.Endpoint) error { return nil }, say); err != nil {
			t.Errorf("Switch gives %v", err)
		}
	})
}

func TestUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, asked := time.Now(), 0
		err := replace.Sleep(replace.Asleep).Until(t.Context(), func(context.Context) (bool, error) { asked++; return asked == 10, nil })
		if took := time.Since(began); err != nil || took < 20*time.Second || took > 40*time.Second {
			t.Errorf("Until gives %v, after asking %d times in %v", err, asked, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := replace.Sleep(replace.Asleep).Until(ctx, func(context.Context) (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Until gives %v", err)
		}
	})
}
