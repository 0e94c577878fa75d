package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// fake does nothing, and notes what it was asked for.
type fake struct {
	fail  map[string]error // by step and project: "test money"
	whole map[string]bool  // apps that were shipped before
	stop  func(at string)

	mu    sync.Mutex
	did   []string
	ended []string
}

func (f *fake) Event(e progress.Event) {
	if !e.Kind.Ends() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text := fmt.Sprintf("%s %s %s", e.Step, e.Project, e.Kind)
	if e.Kind != progress.Done {
		text += ": " + e.Text
	}
	f.ended = append(f.ended, text)
}

func (f *fake) note(ctx context.Context, step, project, with string) (string, error) {
	f.mu.Lock()
	f.did = append(f.did, strings.TrimSpace(step+" "+project+" "+with))
	f.mu.Unlock()
	if f.stop != nil {
		f.stop(step + " " + project)
	}
	return "", cmp.Or(ctx.Err(), f.fail[step+" "+project])
}

func (f *fake) test(ctx context.Context, w *work, _ *progress.Task) (string, error) {
	return f.note(ctx, "test", w.Name, "")
}

func (f *fake) build(ctx context.Context, w *work, bases map[string]oci.Digest, _ *progress.Task) (string, error) {
	var from []string
	for app, d := range bases {
		from = append(from, app+"="+d.String())
	}
	slices.Sort(from)
	return f.note(ctx, "build", w.Name, strings.Join(from, " "))
}

func (f *fake) push(ctx context.Context, w *work, found oci.Digest, _ *progress.Task) (oci.Digest, string, error) {
	text, err := f.note(ctx, "push", w.Name, found.String())
	return cmp.Or(found, oci.Digest("new-"+w.Name)), text, err
}

func (f *fake) shipped(_ context.Context, w *work, _ oci.Digest) (bool, error) {
	return f.whole[w.Name], f.fail["shipped "+w.Name]
}

func (f *fake) scan(ctx context.Context, w *work, d oci.Digest, _ *progress.Task) (string, error) {
	return f.note(ctx, "scan", w.Name, d.String())
}

func (f *fake) release(ctx context.Context, w *work, d oci.Digest, _ *progress.Task) (string, error) {
	return f.note(ctx, "release", w.Name, d.String())
}

func TestRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]*struct {
		fake
		run
		projects string // "money, base ship test, web ship after base money"
		did      []string
		ended    []string
	}{
		"all of it": {
			projects: "money test, web test ship money",
			did:      []string{"test money", "test web", "build web", "push web", "scan web new-web", "release web new-web"},
			ended:    []string{"test money done", "test web done", "build web done", "push web done", "scan web done", "release web done"},
		},
		"a test that passed before": {
			projects: "money passed, web ship money",
			did:      []string{"build web", "push web", "scan web new-web", "release web new-web"},
			ended:    []string{"test money skipped: passed before", "build web done", "push web done", "scan web done", "release web done"},
		},
		"a library's test fails": {
			fake:     fake{fail: map[string]error{"test money": broken}},
			projects: "money test, tool test, web ship money",
			did:      []string{"test money", "test tool"},
			ended:    []string{"test money failed: broken", "test tool done", "build web skipped: the test of money failed"},
		},
		"from another app's image": {
			projects: "base ship, web ship FROM base",
			did:      []string{"build base", "push base", "scan base new-base", "release base new-base", "build web base=new-base", "push web", "scan web new-web", "release web new-web"},
			ended:    []string{"build base done", "push base done", "scan base done", "release base done", "build web done", "push web done", "scan web done", "release web done"},
		},
		"from one that was released": {
			run:      run{released: map[string]oci.Digest{"base": "old-base"}},
			projects: "web ship FROM base",
			did:      []string{"build web base=old-base", "push web", "scan web new-web", "release web new-web"},
			ended:    []string{"build web done", "push web done", "scan web done", "release web done"},
		},
		"from one that is nowhere": {
			projects: "web ship FROM base",
			ended:    []string{"build web failed: it is made from the image of base, of which the registry has none"},
		},
		"from one that is stopped by its scan": {
			fake:     fake{fail: map[string]error{"scan base": finding{broken}}},
			projects: "base ship, web ship FROM base",
			did:      []string{"build base", "push base", "scan base new-base"},
			ended:    []string{"build base done", "push base done", "scan base found: broken", "build web skipped: the image of base failed"},
		},
		"of the same inputs": {
			run:      run{found: map[string]oci.Digest{"web": "old"}},
			projects: "web ship",
			did:      []string{"push web old", "scan web old", "release web old"},
			ended:    []string{"build web skipped: the image of the same inputs is old", "push web done", "scan web done", "release web done"},
		},
		"shipped before": {
			fake:     fake{whole: map[string]bool{"base": true}},
			run:      run{found: map[string]oci.Digest{"base": "old"}},
			projects: "base ship, web ship FROM base",
			did:      []string{"build web base=old", "push web", "scan web new-web", "release web new-web"},
			ended: []string{
				"build base skipped: the image of the same inputs is old", "push base skipped: it was shipped before, for this commit",
				"build web done", "push web done", "scan web done", "release web done",
			},
		},
		"nobody knows whether it was shipped": {
			fake:     fake{fail: map[string]error{"shipped web": broken}},
			run:      run{found: map[string]oci.Digest{"web": "old"}},
			projects: "web ship",
			ended:    []string{"build web skipped: the image of the same inputs is old", "push web failed: broken"},
		},
		"nothing is pushed": {
			run:      run{noPush: true},
			projects: "base ship, web ship FROM base",
			did:      []string{"build base"},
			ended:    []string{"build base done", "build web skipped: it is made from the image of base, and nothing is pushed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &c.fake
			c.run.steps, c.jobs = f, 1
			c.newTask = func(project string, step progress.Step) *progress.Task {
				return &progress.Task{Project: project, Step: step, Sink: f, Now: time.Now}
			}
			c.run.projects = works(c.projects)
			c.all(t.Context())
			if d := diff.Diff(c.did, f.did); d != "" {
				t.Errorf("did (-want +got):\n%s", d)
			}
			if d := diff.Diff(c.ended, f.ended); d != "" {
				t.Errorf("ended (-want +got):\n%s", d)
			}
		})
	}
}

// TestRunStopped: nothing new begins, and what was not begun is said.
func TestRunStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	f := &fake{stop: func(at string) {
		if at == "push web" {
			stop(errors.New("interrupted"))
		}
	}}
	r := run{steps: f, jobs: 1, projects: works("web ship, zoo test ship"), newTask: func(project string, step progress.Step) *progress.Task {
		return &progress.Task{Project: project, Step: step, Sink: f, Now: time.Now}
	}}
	r.all(ctx)
	want := []string{"build web done", "push web stopped: interrupted", "test zoo stopped: stopped before it began", "build zoo stopped: stopped before it began"}
	if d := diff.Diff(want, f.ended); d != "" {
		t.Errorf("ended (-want +got):\n%s", d)
	}
}

// works makes projects of text: names, each with words that say what is to be done, and names of what it depends on.
func works(text string) []*work {
	var all []*work
	for one := range strings.SplitSeq(text, ", ") {
		words := strings.Fields(one)
		w := &work{Project: &plan.Project{Member: workspace.Member{Name: words[0]}}}
		from := false
		for _, word := range words[1:] {
			switch word {
			case "test":
				w.test = true
			case "ship":
				w.ships = true
			case "passed":
				w.passed = "passed before"
			case "FROM":
				from = true
			default:
				w.Dependencies = append(w.Dependencies, plan.Dependency{Name: word})
				if from {
					w.from = append(w.from, word)
				}
			}
		}
		all = append(all, w)
	}
	return all
}
