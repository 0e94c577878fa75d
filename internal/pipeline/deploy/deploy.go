package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Opener opens a kind of target by the options that an environment gives it.
type Opener func(ctx context.Context, options workspace.Options) (Target, error)

// Scanner judges images by their scans; *gate.Gate is one.
type Scanner interface {
	// Scan gives a *gate.Stopped where the image is not to pass.
	Scan(ctx context.Context, in gate.Input, task *progress.Task) (gate.Result, error)
}

// Config is what a Deployer needs.
type Config struct {
	API     RecordsAPI
	Remote  artifact.Remote
	Images  *images.Client                            // of the same repository
	Host    func(ctx context.Context) (string, error) // the registry's address, as docker knows it
	Login   Login
	File    *workspace.File
	Targets map[string]Opener // by type
	Gate    Scanner
	Clone   Clone                                     // nil if there is none
	Actor   func(ctx context.Context) (string, error) // who deploys
	NewID   func() string                             // of a deployment: at least 8 letters and digits by chance
	Now     func() time.Time
	Environ []string // for programs that look whether something is healthy
}

// Deployer deploys the images of one workspace. It may be used by several goroutines.
type Deployer struct {
	Config
	records *Records
	known   *shipped.Store
}

// New makes one. It asks for nothing yet.
func New(c Config) *Deployer {
	return &Deployer{c, NewRecords(c.API, c.Remote, c.File.Repository), shipped.New(c.API, c.File.Repository)}
}

// DefaultTimeout is how long a deployment may take that does not say: the target with its health check, from the claim on.
const DefaultTimeout = 10 * time.Minute

// Action is why an image is deployed, as records have it.
type Action = deployment.Action

// The actions.
const (
	Deploy   = deployment.Deploy
	Promote  = deployment.Promote
	Rollback = deployment.Rollback
)

// Request is what to deploy where.
type Request struct {
	Action      Action
	App         string
	Environment string
	From        string // Promote: the environment; the one that must come before if ""

	Tag, Commit, Digest string // Deploy: at most one; what the tag that moves names if there is none
	To                  string // Rollback: how many versions back, or a digest or the id of a deployment; the version before if ""

	DryRun    bool          // check, and say what would change
	Ignore    []string      // checks that are not to refuse; Reason must say why
	Reason    string        // recorded
	TakeOver  bool          // end a deployment that somebody may be at work with
	Wait      bool          // for somebody who is at work
	Patience  time.Duration // with Wait: for how long; if 0, for as long as they may take whose Timeout is the same
	Timeout   time.Duration // of the deployment itself, see Run; DefaultTimeout if 0
	Automatic bool          // nobody asked for this one: the environment must be automatic
}

// Outcome is what came of a request.
type Outcome string

// The outcomes.
const (
	OutcomeDeployed  Outcome = "deployed"
	OutcomeUnchanged Outcome = "unchanged" // it runs already
	OutcomeWould     Outcome = "would-deploy"
	OutcomeRefused   Outcome = "refused"    // nothing was touched
	OutcomeFailed    Outcome = "failed"     // what ran before runs
	OutcomeBroken    Outcome = "broken"     // neither does as it should
	OutcomeTakenOver Outcome = "taken-over" // by somebody else in the middle, who is to say what runs
)

// Result is what came of it, as far as it got.
type Result struct {
	Request    Request
	Outcome    Outcome
	Image      Chosen
	Before     State // what the records said; a deployment that was taken over is in Found
	Running    *Running
	Problems   []Problem // those that were ignored, and warnings too
	Found      *Found
	Record     *Entry // the last that was written
	Changes    *Changes
	Notes      []string
	StartedAt  time.Time
	FinishedAt time.Time
}

// ErrTakenOver is that somebody else deployed meanwhile, and says what runs.
var ErrTakenOver = errors.New("while this was deployed, somebody took over, and what runs now is theirs to say")

// overtime is the cause of a context that ends for want of time.
type overtime struct {
	What  string // took too long
	Limit time.Duration
}

// Error says what.
func (e *overtime) Error() string { return fmt.Sprintf("the time for %s is over: %s", e.What, e.Limit) }

// limited has something done within a time of its own, whatever was waited for before.
func limited(ctx context.Context, what string, limit time.Duration, do func(context.Context) error) error {
	within, cancel := context.WithTimeoutCause(ctx, limit, &overtime{what, limit})
	defer cancel()
	err := do(within)
	if _, said := errors.AsType[*overtime](err); err != nil && !said && within.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", context.Cause(within), err)
	}
	return err
}

// run is one deployment.
type run struct {
	*Deployer
	Request
	environment workspace.Environment
	task        *progress.Task
	target      Target
	actor       string
	result      *Result
}

// Run deploys. The error is a *Refusal where nothing was touched, and a *Conflict where somebody else was quicker. The result is never nil.
//
// What is waited for does not count against what comes after it: somebody who is at work has the request's Patience, the scan of the image has the
// gate's time, and each of the other parts has the request's Timeout: the checks, clearing up after a deployer that did not come back, and the
// deployment itself, from the claim on.
func (d *Deployer) Run(ctx context.Context, req Request, task *progress.Task) (*Result, error) {
	if req.Timeout <= 0 {
		req.Timeout = DefaultTimeout
	}
	if req.Patience <= 0 {
		req.Patience = req.Timeout + Undoing
	}
	r := &run{Deployer: d, Request: req, task: task, result: &Result{Request: req, Outcome: OutcomeRefused, StartedAt: d.Now()}}
	err := r.do(ctx)
	if r.target != nil {
		if closing := r.target.Close(); closing != nil {
			r.note("closing the target: %v", closing)
		}
	}
	r.result.FinishedAt = d.Now()
	return r.result, err
}

func (r *run) note(format string, args ...any) {
	text := plan.Printable(fmt.Sprintf(format, args...))
	r.result.Notes = append(r.result.Notes, text)
	r.task.Note(text)
}

func (r *run) do(ctx context.Context) error {
	if err := r.names(); err != nil {
		return err
	}
	r.result.Request = r.Request // with what it left out
	state, err := r.look(ctx)
	if err != nil {
		return err
	}
	r.result.Before = state
	if err := r.choose(ctx, state); err != nil {
		return err
	}
	switch {
	case r.unchanged(state):
		r.result.Outcome = OutcomeUnchanged
		return nil
	case r.DryRun:
		if state.Pending != nil {
			r.note("found %s, without an end: that would be ended first", state.Pending.sentence())
		}
		r.result.Outcome = OutcomeWould
		return limited(ctx, "comparing", r.Timeout, func(ctx context.Context) error {
			r.result.Changes = r.compare(ctx, state)
			return nil
		})
	}
	if err := limited(ctx, "finding out who deploys", r.Timeout, func(ctx context.Context) (err error) {
		r.actor, err = r.Actor(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("finding out who deploys: %w", err)
	}
	if state.Pending != nil {
		if state, err = r.clear(ctx, state); err != nil || r.unchanged(state) { // the one who did not come back had wanted the same
			return err
		}
	}
	return limited(ctx, "the deployment", r.Timeout, func(ctx context.Context) error { return r.deploy(ctx, state) })
}

// clear ends a deployment whose deployer did not come back.
func (r *run) clear(ctx context.Context, state State) (State, error) {
	err := limited(ctx, "clearing up", r.Timeout, func(ctx context.Context) (err error) {
		state, err = r.settle(ctx, state)
		return err
	})
	if err == nil && r.Action == Rollback { // what ran before may be something else now
		err = r.choose(ctx, state)
	}
	if err == nil && r.unchanged(state) {
		r.result.Outcome = OutcomeUnchanged
	}
	return state, err
}

// choose finds the image that is meant, and checks everything.
func (r *run) choose(ctx context.Context, state State) error {
	var missing *Refusal
	var found []Problem
	err := limited(ctx, "the checks", r.Timeout, func(ctx context.Context) (err error) {
		r.result.Image, err = r.resolve(ctx, state)
		var isMissing bool
		if missing, isMissing = errors.AsType[*Refusal](err); err != nil && !isMissing {
			return err
		}
		if !isMissing {
			r.task.Note(plan.Printable(fmt.Sprintf("%s is %s", r.result.Image.Named, r.result.Image.Digest)))
		}
		found = r.check(ctx, state, missing)
		return context.Cause(ctx)
	})
	if err != nil {
		return err
	}
	if r.asksGate(state, missing, found) {
		found = append(found, r.checkGate(ctx)...) // in the gate's own time
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	return r.judge(found)
}

// look reads the records, and waits for whoever is at work if that is wanted.
func (r *run) look(ctx context.Context) (state State, err error) {
	read := func(ctx context.Context) (err error) {
		state, err = r.records.State(ctx, r.Request.Environment, r.App)
		return err //nolint:wrapcheck // our own
	}
	err = limited(ctx, "reading the records", r.Timeout, read)
	if err != nil || !r.waits(state) {
		return state, err
	}
	r.note("waiting for %s", state.Pending.sentence())
	err = limited(ctx, "waiting", r.Patience, func(ctx context.Context) error {
		for found := *state.Pending; r.waits(state); {
			err := rest(ctx)
			if err == nil {
				err = read(ctx)
			}
			switch {
			case ctx.Err() != nil:
				return &Refusal{[]Problem{{Check: CheckAtWork, Text: "still at work: " + found.sentence(), Err: context.Cause(ctx)}}}
			case err != nil:
				return err
			case state.Pending != nil:
				found = *state.Pending
			}
		}
		return nil
	})
	return state, err
}

// waits tells whether there is somebody to wait for.
func (r *run) waits(s State) bool {
	return s.Pending != nil && r.Wait && !r.TakeOver && r.atWork(*s.Pending)
}

// rest lets some time pass before the records are read again.
func rest(ctx context.Context) error {
	const often = 2 * time.Second
	timer := time.NewTimer(often)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
}

// atWork tells whether whoever began a deployment may still be there.
func (r *run) atWork(e Entry) bool {
	until := e.Until
	if until.IsZero() {
		until = e.At.Add(r.Timeout + Undoing)
	}
	return r.Now().Before(until)
}

// unchanged tells whether the image runs already, by the records and by the target, with nothing begun, and healthy as far as the
// target knows.
func (r *run) unchanged(s State) bool {
	now, want := r.result.Running, r.result.Image.Digest
	return s.Runs != nil && s.Pending == nil && s.Broken == nil && s.Runs.Image.Digest == want &&
		now != nil && now.Digest == want && now.Begun == "" && !now.Stale && (now.Healthy == nil || *now.Healthy)
}

// deploy claims, switches and records.
func (r *run) deploy(ctx context.Context, state State) error {
	record := deployment.Record{
		ID: r.NewID(), App: r.App, Environment: r.Request.Environment, Image: r.result.Image.descriptor, Action: r.Action, Outcome: deployment.Started,
		Reason: clip(r.reason()), Actor: clip(r.actor), Commit: r.result.Image.Commit, At: r.second(), Previous: state.newest(),
	}
	if r.Action == deployment.Promote {
		record.From = r.From
	}
	claim, err := r.records.Write(ctx, record, r.Now().Add(r.Timeout+Undoing))
	if err != nil {
		return r.unclaim(ctx, record, err)
	}
	r.result.Record = &claim
	image, err := r.image(ctx, claim.Record)
	if err == nil {
		err = r.target.Switch(ctx, image, r.ours(claim, r.healthy(image)), r.task)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = during(err, context.Cause(ctx))
	}
	return r.record(ctx, claim, err)
}

// ours has a check pass only while the claim is the newest record. Somebody may take over from one whose machine slept, and what he deploys is
// not to be switched away from when it wakes. Where the registry cannot be asked, the claim is taken to stand.
func (r *run) ours(claim Entry, check Check) Check {
	stands := func(ctx context.Context) error {
		at, newest, err := r.records.at(ctx, claim)
		if err != nil || at == claim.Digest {
			return nil //nolint:nilerr // see above
		}
		return &Conflict{newest, ""}
	}
	return func(ctx context.Context, at Endpoint) error {
		if err := stands(ctx); err != nil {
			return err
		}
		if err := check(ctx, at); err != nil {
			return err
		}
		return stands(ctx)
	}
}

// unclaim ends a claim that was written though its answer did not come, so that nobody waits for us.
func (r *run) unclaim(ctx context.Context, record deployment.Record, failed error) error {
	if _, lost := errors.AsType[*Conflict](failed); lost {
		return failed
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), Undoing)
	defer cancel()
	newest, there, err := r.records.Newest(late, record.Environment, record.App)
	if err != nil || !there || newest.ID != record.ID {
		return failed
	}
	return r.record(ctx, newest, failed)
}

// during adds why a switch was stopped, and leaves what the error says of what runs now.
func during(err, cause error) error {
	if broken, ok := errors.AsType[*Broken](err); ok {
		return &Broken{fmt.Errorf("%w: %w", cause, broken.Err), broken.Undo}
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// record writes what came of a switch, also when whoever asked has gone.
func (r *run) record(ctx context.Context, claim Entry, failed error) error {
	end := claim.Record
	end.At, end.Previous, end.Outcome = r.second(), claim.Digest, deployment.Succeeded
	r.result.Outcome = OutcomeDeployed
	if failed != nil {
		r.result.Outcome, end.Outcome, end.Reason = OutcomeFailed, deployment.Failed, clip(failed.Error())
		if _, broken := errors.AsType[*Broken](failed); broken {
			r.result.Outcome, end.Outcome = OutcomeBroken, deployment.Broken
		}
	}
	var stopped time.Time
	_, late := errors.AsType[*overtime](context.Cause(ctx))
	if end.Outcome == deployment.Failed && (ctx.Err() != nil && !late || errors.Is(failed, ErrUnreachable)) {
		stopped = r.second()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), Undoing)
	defer cancel()
	entry, err := r.records.Write(last, end, stopped)
	if err == nil {
		r.result.Record = &entry
		return failed
	}
	if conflict, ok := errors.AsType[*Conflict](err); ok {
		r.result.Outcome = OutcomeTakenOver
		return errors.Join(failed, fmt.Errorf("%w: %w", ErrTakenOver, conflict))
	}
	return errors.Join(failed, fmt.Errorf("what came of it, %s, could not be recorded; the next deployment finds out: %w", end.Outcome, err))
}

// image is what the target is told.
func (r *run) image(ctx context.Context, of deployment.Record) (Image, error) {
	host, err := r.Host(ctx)
	if err != nil {
		return Image{}, err
	}
	return Image{
		App: of.App, Environment: of.Environment, Repository: host + "/" + r.File.Repository, Digest: of.Image.Digest, Commit: of.Commit,
		Deployment: of.ID, Login: r.Login,
	}, nil
}

func (r *run) healthy(image Image) Check {
	return Healthy(r.File.HealthOf(image.App, image.Environment), image, r.Environ)
}

// reason is what is recorded of why, with what was ignored.
func (r *run) reason() string {
	var ignored []string
	for _, p := range r.result.Problems {
		if p.Ignored {
			ignored = append(ignored, p.Check)
		}
	}
	if len(ignored) == 0 {
		return r.Reason
	}
	return "ignoring " + strings.Join(ignored, ", ") + ": " + r.Reason
}

// second is the time as records have it.
func (r *run) second() time.Time { return r.Now().UTC().Truncate(time.Second) }

// newest is what a new record comes after.
func (s State) newest() (d oci.Digest) {
	if s.Newest != nil {
		d = s.Newest.Digest
	}
	return d
}

// clip makes a text one that a record takes.
func clip(text string) string {
	const most = 1024
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return '?'
		}
		return c
	}, text)
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
