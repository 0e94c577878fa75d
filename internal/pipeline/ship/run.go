package ship

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/schedule"
)

// steps is what can be done with a project. Each gives a line that says what came of it.
type steps interface {
	// test runs its test.
	test(ctx context.Context, w *work, say *progress.Task) (string, error)
	// build makes its image from those of other apps by these digests.
	build(ctx context.Context, w *work, bases map[string]oci.Digest, say *progress.Task) (string, error)
	// push puts what was built, or else an image that is there, under the tags that stay, and attaches what is known of it.
	push(ctx context.Context, w *work, found oci.Digest, say *progress.Task) (oci.Digest, string, error)
	// shipped tells whether an image went through all of this before, for this commit.
	shipped(ctx context.Context, w *work, d oci.Digest) (bool, error)
	// scan waits for what the registry finds in it.
	scan(ctx context.Context, w *work, d oci.Digest, say *progress.Task) (string, error)
	// release notes that all went well, and moves the tags that move.
	release(ctx context.Context, w *work, d oci.Digest, say *progress.Task) (string, error)
}

// finding is an error of a check that worked, and found what it looks for.
type finding struct{ error }

// Unwrap gives what it found.
func (f finding) Unwrap() error { return f.error }

// run has the steps done.
type run struct {
	steps
	jobs     int
	noPush   bool
	projects []*work
	found    map[string]oci.Digest // of apps, an image of the same inputs that is there
	released map[string]oci.Digest // of apps, what their tags named when the run began
	newTask  func(project string, step progress.Step) *progress.Task

	mu      sync.Mutex
	digests map[string]oci.Digest // of apps, what was pushed
	blocked map[string]bool       // projects that something they need kept back
	whole   map[string]bool       // apps that were shipped before, for this commit
	begun   map[string]bool       // nodes
}

// node is a piece of the work of a project.
type node struct {
	work  *work
	first progress.Step // what is said to be skipped when it is not begun
	do    func(context.Context, *work) error
}

// Names of nodes.
const (
	testNode  = "the test of "
	imageNode = "the image of "
)

// graph is what is to be done: tests after those of what a project depends on, an image after all these and after the
// images that it is made from.
func (r *run) graph() ([]schedule.Node, map[string]node) {
	byName := map[string]*work{}
	for _, w := range r.projects {
		byName[w.Name] = w
	}
	var all []schedule.Node
	nodes := map[string]node{}
	for _, w := range r.projects {
		tests := testsOf(w, byName, map[string]bool{w.Name: true})
		if w.test {
			all = append(all, schedule.Node{Name: testNode + w.Name, After: tests})
			nodes[testNode+w.Name] = node{w, progress.Test, r.tested}
		}
		if !w.ships {
			continue
		}
		image := schedule.Node{Name: imageNode + w.Name, After: append(tests, testNode+w.Name)}
		for _, app := range w.from {
			image.After = append(image.After, imageNode+app)
		}
		all = append(all, image)
		nodes[image.Name] = node{w, progress.Build, r.image}
	}
	return all, nodes
}

// testsOf gives the tests of all that a project depends on.
func testsOf(w *work, byName map[string]*work, seen map[string]bool) []string {
	var all []string
	for _, d := range w.Dependencies {
		on := byName[d.Name]
		if on == nil || seen[d.Name] {
			continue
		}
		seen[d.Name] = true
		if on.test {
			all = append(all, testNode+on.Name)
		}
		all = append(all, testsOf(on, byName, seen)...)
	}
	return all
}

// all does everything, says of what was not begun why not, and tells whether all went well. What came of it is what the sink was told.
func (r *run) all(ctx context.Context) bool {
	r.digests, r.begun, r.blocked, r.whole = map[string]oci.Digest{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	order, nodes := r.graph()
	for _, w := range r.projects {
		if w.passed != "" {
			r.newTask(w.Name, progress.Test).End(progress.Skipped, w.passed)
		}
	}
	outcomes := schedule.Run(ctx, order, r.jobs, func(ctx context.Context, name string) error {
		r.mu.Lock()
		r.begun[name] = true
		r.mu.Unlock()
		return nodes[name].do(ctx, nodes[name].work)
	})
	well := true
	for _, n := range order {
		task, o := r.newTask(nodes[n.Name].work.Name, nodes[n.Name].first), outcomes[n.Name]
		well = well && o.State == schedule.Done
		switch {
		case o.State == schedule.Skipped:
			task.End(progress.Skipped, o.Because+" failed")
			if nodes[o.Because].work != nodes[n.Name].work { // its own failure says more
				r.blocked[nodes[n.Name].work.Name] = true
			}
		case o.State == schedule.Stopped && !r.begun[n.Name]:
			task.End(progress.Stopped, "stopped before it began")
		}
		if p, ok := errors.AsType[*schedule.Panic](o.Err); ok { // a mistake of ours, in whichever step
			task.End(progress.Failed, fmt.Sprintf("%v: %s", p, p.Stack))
		}
	}
	return well
}

// step does one step, and says how it ended.
func (r *run) step(ctx context.Context, w *work, s progress.Step, do func(say *progress.Task) (string, error)) error {
	task := r.newTask(w.Name, s)
	task.Begin("")
	text, err := do(task)
	switch _, isFinding := errors.AsType[finding](err); {
	case err == nil:
		task.End(progress.Done, text)
	case ctx.Err() != nil:
		task.End(progress.Stopped, context.Cause(ctx).Error())
	case isFinding:
		task.End(progress.Found, err.Error())
	default:
		task.End(progress.Failed, err.Error())
	}
	return err
}

func (r *run) tested(ctx context.Context, w *work) error {
	return r.step(ctx, w, progress.Test, func(say *progress.Task) (string, error) { return r.test(ctx, w, say) })
}

// image takes an app's image as far as it gets.
func (r *run) image(ctx context.Context, w *work) error {
	found := r.found[w.Name]
	switch {
	case found != "":
		r.newTask(w.Name, progress.Build).End(progress.Skipped, "the image of the same inputs is "+found.String())
	case r.noPush && len(w.from) > 0:
		r.newTask(w.Name, progress.Build).End(progress.Skipped, "it is made from the image of "+w.from[0]+", and nothing is pushed")
		return nil
	default:
		if err := r.built(ctx, w); err != nil || r.noPush {
			return err
		}
	}
	digest, err := r.pushed(ctx, w, found)
	if err != nil || digest == "" {
		return err
	}
	if err := r.step(ctx, w, progress.Scan, func(say *progress.Task) (string, error) { return r.scan(ctx, w, digest, say) }); err != nil {
		return err
	}
	err = r.step(ctx, w, progress.Release, func(say *progress.Task) (string, error) { return r.release(ctx, w, digest, say) })
	if err == nil {
		r.done(w, digest)
	}
	return err
}

// pushed pushes an image, or gives it its tags. There is no digest if nothing is left to do with it.
func (r *run) pushed(ctx context.Context, w *work, found oci.Digest) (digest oci.Digest, err error) {
	if found != "" {
		done, err := r.shipped(ctx, w, found)
		if err != nil {
			return "", r.step(ctx, w, progress.Push, func(*progress.Task) (string, error) { return "", err })
		}
		if done {
			r.done(w, found)
			r.mu.Lock()
			r.whole[w.Name] = !w.test
			r.mu.Unlock()
			r.newTask(w.Name, progress.Push).End(progress.Skipped, "it was shipped before, for this commit")
			return "", nil
		}
	}
	return digest, r.step(ctx, w, progress.Push, func(say *progress.Task) (text string, err error) {
		digest, text, err = r.push(ctx, w, found, say)
		return text, err
	})
}

// done notes what others may be made from.
func (r *run) done(w *work, d oci.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.digests[w.Name] = d
}

// built builds an app's image.
func (r *run) built(ctx context.Context, w *work) error {
	bases := map[string]oci.Digest{}
	r.mu.Lock()
	for _, app := range w.from {
		if d, ok := r.digests[app]; ok {
			bases[app] = d
		} else if d, ok := r.released[app]; ok {
			bases[app] = d
		}
	}
	r.mu.Unlock()
	return r.step(ctx, w, progress.Build, func(say *progress.Task) (string, error) {
		for _, app := range w.from {
			if bases[app] == "" {
				return "", fmt.Errorf("it is made from the image of %s, of which the registry has none", app)
			}
		}
		return r.build(ctx, w, bases, say)
	})
}
