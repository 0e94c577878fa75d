package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// The checks.
const (
	CheckImage    = "image"    // it is there, and is one
	CheckApp      = "app"      // it is this app's
	CheckGate     = "gate"     // its scan passes the environment's gate
	CheckPlatform = "platform" // the target runs what it is built for
	CheckAfter    = "after"    // it ran in the environment that must come before
	CheckBranches = "branches" // its branch may go there
	CheckFreeze   = "freeze"   // nothing is frozen
	CheckMode     = "deploy"   // the environment takes images by themselves
	CheckTarget   = "target"   // there is one, and it answers
	CheckAtWork   = "at-work"  // nobody else is deploying
)

// Ignorable are the checks that a request may ignore.
func Ignorable() []string {
	return []string{CheckApp, CheckGate, CheckPlatform, CheckAfter, CheckBranches, CheckFreeze}
}

// Problem is what a check has found.
type Problem struct {
	Check   string
	Text    string // a line
	Warning bool   // it refuses nothing
	Ignored bool   // it was to refuse nothing
	Err     error  // where it could not be checked, or a target could not be reached
	Final   bool   // there is no image to deploy, whatever is ignored
}

// Refusal is that checks have found problems. Nothing was touched.
type Refusal struct{ Problems []Problem }

// Error has a line for each.
func (e *Refusal) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Check+": "+plan.Printable(p.Text))
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors among them.
func (e *Refusal) Unwrap() []error {
	var all []error
	for _, p := range e.Problems {
		if p.Err != nil {
			all = append(all, p.Err)
		}
	}
	return all
}

// Platformed is a target that knows what it runs on.
type Platformed interface {
	// Platform is such as linux/arm64, "" if that is not known after all.
	Platform(ctx context.Context, app, environment string) (string, error)
}

// check finds all that is wrong, but for what the gate finds, and touches nothing. Where the image runs already the rules of the environment are
// not asked.
func (r *run) check(ctx context.Context, state State, missing *Refusal) []Problem {
	var found []Problem
	if missing != nil {
		for _, p := range missing.Problems {
			p.Final = true
			found = append(found, p)
		}
	} else {
		found = append(found, r.checkImage()...)
	}
	found = append(found, r.openTarget(ctx)...)
	if len(found) > 0 || !r.unchanged(state) {
		found = append(found, r.checkAtWork(state)...)
		found = append(found, r.checkPlatform(ctx)...)
		if r.Action != deployment.Rollback { // it ran here before, and may have to again at any time
			found = append(found, r.checkRules(ctx, missing == nil)...)
		}
	}
	return found
}

// asksGate tells whether the gate is to say something of the image: not of one that is not there, or is archived.
func (r *run) asksGate(state State, missing *Refusal, found []Problem) bool {
	return r.Action != deployment.Rollback && missing == nil && r.result.Image.descriptor.Digest != "" && (len(found) > 0 || !r.unchanged(state))
}

// judge tells what is to refuse the image from what is not.
func (r *run) judge(found []Problem) error {
	refused := &Refusal{}
	r.result.Problems = nil
	for i := range found {
		p := &found[i]
		p.Ignored = !p.Warning && !p.Final && slices.Contains(r.Ignore, p.Check)
		r.result.Problems = append(r.result.Problems, *p)
		switch {
		case p.Warning:
			r.task.Note(p.Check + ": " + plan.Printable(p.Text))
		case p.Ignored:
			r.task.Note("ignored: " + p.Check + ": " + plan.Printable(p.Text))
		default:
			refused.Problems = append(refused.Problems, *p)
		}
	}
	if len(refused.Problems) > 0 {
		return refused
	}
	return nil
}

func problem(check, format string, args ...any) []Problem {
	return []Problem{{Check: check, Text: fmt.Sprintf(format, args...)}}
}

func unknown(check string, err error, format string, args ...any) []Problem {
	return []Problem{{Check: check, Text: fmt.Sprintf(format, args...) + ": " + err.Error(), Err: err}}
}

func (r *run) checkImage() []Problem {
	c := r.result.Image
	switch {
	case c.listed.Status != "" && c.listed.Status != "ACTIVE":
		return problem(CheckImage, "%s is archived: restore it first", c.Named)
	case c.listed.ArtifactType != "" && !c.listed.IsIndex() && !strings.Contains(c.listed.ArtifactType, "image.config") && !strings.Contains(c.listed.ArtifactType, "container.image"):
		return problem(CheckImage, "%s is no image, but %s", c.Named, c.listed.ArtifactType)
	case c.App == r.App:
		return nil
	case c.App != "":
		return problem(CheckApp, "%s is an image of %s", c.Named, c.App)
	case slices.ContainsFunc(c.Tags, func(tag string) bool {
		return slices.ContainsFunc(r.File.Tags, func(t workspace.Template) bool { return t.Matches(r.App, tag) })
	}):
		return nil
	}
	return []Problem{{Check: CheckApp, Text: fmt.Sprintf("%s does not say of which app it is, and has no tag as those of %s have", c.Named, r.App), Warning: true}}
}

// openTarget finds out what runs.
func (r *run) openTarget(ctx context.Context) []Problem {
	if r.target == nil {
		target, err := r.open(ctx, r.environment)
		if err != nil {
			return []Problem{{Check: CheckTarget, Text: err.Error(), Err: err}}
		}
		r.target = target
	}
	now, err := r.target.Running(ctx, r.App, r.environment.Name)
	if err != nil {
		return unknown(CheckTarget, err, "what runs is not known")
	}
	r.result.Running = &now
	return nil
}

// open opens the target of an environment.
func (d *Deployer) open(ctx context.Context, e workspace.Environment) (Target, error) {
	if e.Target == nil {
		return nil, fmt.Errorf("%s says of no target of %s", workspace.Name, e.Name)
	}
	open, ok := d.Targets[e.Target.Type]
	if !ok {
		var known []string
		for name := range d.Targets {
			known = append(known, name)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("%s: no type of target of the name %q; there are %s", e.Name, e.Target.Type, cmp.Or(strings.Join(known, ", "), "none"))
	}
	return open(ctx, e.Target.Options)
}

func (r *run) checkAtWork(state State) []Problem {
	if state.Pending == nil || !r.atWork(*state.Pending) || r.TakeOver {
		return nil
	}
	text := "somebody is at work: " + state.Pending.sentence()
	const skew = time.Minute
	if ahead := state.Pending.At.Sub(r.Now()); ahead > skew {
		text += fmt.Sprintf("; that is %s from now, so a clock is wrong", ahead.Round(time.Second))
	}
	return problem(CheckAtWork, "%s", text)
}

func (r *run) checkPlatform(ctx context.Context) []Problem {
	knows, ok := r.target.(Platformed)
	if !ok || len(r.result.Image.Platforms) == 0 {
		return nil
	}
	platform, err := knows.Platform(ctx, r.App, r.Request.Environment)
	switch {
	case err != nil:
		return unknown(CheckPlatform, err, "what the target runs on is not known")
	case platform == "" || slices.ContainsFunc(r.result.Image.Platforms, func(p string) bool {
		return p == platform || strings.HasPrefix(p, platform+"/") || strings.HasPrefix(platform, p+"/")
	}):
		return nil
	}
	return problem(CheckPlatform, "the target runs %s, and the image is for %s", platform, strings.Join(r.result.Image.Platforms, ", "))
}

// checkRules checks what berth.yaml asks of images in the environment.
func (r *run) checkRules(ctx context.Context, there bool) []Problem {
	var found []Problem
	if r.Automatic && r.environment.Deploy != workspace.Automatic {
		found = append(found, problem(CheckMode, "%s takes images by hand only", r.environment.Name)...)
	}
	now := r.Now()
	for _, f := range r.environment.Freeze {
		if !f.On(now) {
			continue
		}
		until := ""
		if ends := f.Ends(now); !ends.IsZero() {
			until = " until " + ends.Format(time.RFC3339)
		}
		found = append(found, problem(CheckFreeze, "%s is frozen%s: %s", r.environment.Name, until, f.Reason)...)
	}
	if !there {
		return found
	}
	found = append(found, r.checkAfter(ctx)...)
	if r.result.Image.descriptor.Digest == "" { // it is archived
		return found
	}
	return append(found, r.checkBranch(ctx)...)
}

func (r *run) checkAfter(ctx context.Context) []Problem {
	after := r.environment.After
	if after == "" {
		return nil
	}
	ran := false
	err := r.records.Walk(ctx, after, r.App, func(e Entry) bool {
		ran = e.Outcome == deployment.Succeeded && e.Image.Digest == r.result.Image.Digest
		return !ran
	})
	switch {
	case ran:
		return nil
	case err != nil:
		return unknown(CheckAfter, err, "whether it ran in %s is not known", after)
	}
	return problem(CheckAfter, "%s has not run in %s, which comes before %s", r.result.Image.Digest.Short(), after, r.environment.Name)
}

func (r *run) checkBranch(ctx context.Context) []Problem {
	if len(r.environment.Branches) == 0 {
		return nil
	}
	branches := []string{r.result.Image.Branch}
	shipped, err := r.known.Records(ctx, r.result.Image.Digest)
	if err != nil {
		return unknown(CheckBranches, err, "of which branches it is is not known")
	}
	for _, s := range shipped {
		branches = append(branches, s.Branch)
	}
	slices.Sort(branches)
	branches = slices.DeleteFunc(slices.Compact(branches), func(b string) bool { return b == "" })
	for _, b := range branches {
		if slices.ContainsFunc(r.environment.Branches, func(pattern string) bool { return workspace.Glob(pattern).Match(b) }) {
			return nil
		}
	}
	if len(branches) == 0 {
		return problem(CheckBranches, "it does not say of which branch it is, and %s takes those of %s", r.environment.Name, strings.Join(r.environment.Branches, ", "))
	}
	return problem(CheckBranches, "it is of %s, and %s takes those of %s", strings.Join(branches, ", "), r.environment.Name, strings.Join(r.environment.Branches, ", "))
}

func (r *run) checkGate(ctx context.Context) []Problem {
	rules := r.File.Gate
	rules.Severity = r.environment.Severity
	if rules.Severity == workspace.None {
		return nil
	}
	_, err := r.Gate.Scan(ctx, gate.Input{
		App: r.App, Repository: r.File.Repository, Digest: r.result.Image.Digest, MediaType: r.result.Image.descriptor.MediaType, Gate: rules, Today: r.Now(),
	}, r.task)
	if stopped, ok := errors.AsType[*gate.Stopped](err); ok {
		return problem(CheckGate, "%s", stopped.Error())
	}
	if err != nil {
		return unknown(CheckGate, err, "whether it passes is not known")
	}
	return nil
}
