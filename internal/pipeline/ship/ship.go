// Package ship takes a commit of a monorepo to released images: it decides what is to be done, from what changed and from
// what the registry has, and has the steps do it, each project's as soon as those of what it depends on are done.
//
// docs/design/ship.md says why it does so, and what happens to a run that fails or races another.
package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Request is what to ship.
type Request struct {
	Dir       string   // the workspace, or a directory in it
	Base      string   // what changed since which revision; found out if ""
	Apps      []string // these alone, and what they depend on; all if none
	Jobs      int      // how many projects at once; as many as there are processors if 0
	NoPush    bool     // test and build, and ask no registry
	DryRun    bool     // say what would be done
	Rebuild   bool     // what is affected, though the registry has it
	Retest    bool     // what passed before, too
	Deploy    bool     // where images go by themselves, if all went well
	FailOn    workspace.Severity
	Unscanned workspace.Unscanned // both as berth.yaml says if ""
	Run       ci.Run              // what a CI system says
}

// Config is what shipping needs.
type Config struct {
	Client   func(context.Context) (*registry.Client, error) // asked once, unless nothing is pushed
	Builder  func(context.Context) (build.Builder, error)    // asked once, when something is to be built
	Deployer func(context.Context) (Deployer, error)         // asked if something is to be deployed
	Sink     progress.Sink
	Now      func() time.Time
	Environ  []string // for tests
	Version  string   // of this program
}

// ErrDirty is that the working tree is not the commit.
type ErrDirty struct{ Paths []string }

// Error names some of what differs.
func (e *ErrDirty) Error() string {
	const some = 3
	var names []string
	for _, p := range e.Paths[:min(some, len(e.Paths))] {
		names = append(names, plan.Printable(p))
	}
	text := strings.Join(names, ", ")
	if more := len(e.Paths) - some; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "the working tree is not what is committed: " + text
}

// ErrNoApp is that a project that was asked for is no app of the workspace.
var ErrNoApp = errors.New("no such app")

// shipping is one run.
type shipping struct {
	Request
	Config
	detected *detect.Result
	clean    bool // the working tree is the commit
	place    place
	source   string // where the sources are, "" if nobody knows
	client   *registry.Client
	store    *shipped.Store
	facts    facts
	commits  func(context.Context) ([]string, error) // the newest of the history, the one that is shipped first
	notes    []string
}

// Run ships. What it found is in the summary as far as it got, unless there is none; an error is of what comes before the
// first project.
func Run(ctx context.Context, req Request, c Config) (*report.Summary, error) {
	collector := &report.Collector{}
	s := &shipping{Request: req, Config: c}
	s.Sink = progress.Sinks{collector, c.Sink}
	summary := &report.Summary{StartedAt: c.Now()}
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	works, err := s.choose(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.describe(ctx, summary); err != nil {
		return nil, err
	}
	do, err := newDoing(ctx, s, works)
	if err != nil {
		return nil, err
	}
	for _, w := range works {
		p := report.Project{Name: w.Name, Kind: string(w.Kind), Reason: w.why}
		if w.passed != "" && !w.ships {
			p.Outcome = report.Nothing
		}
		summary.Projects = append(summary.Projects, p)
	}
	if s.DryRun {
		if err := do.wouldDo(ctx, works); err != nil {
			return nil, err
		}
	} else {
		if err := do.run(ctx, works); err != nil {
			do.note("nothing was deployed: %v", err)
			summary.Outcome = report.Failed
		}
		do.fill(summary)
	}
	summary.Notes = append(summary.Notes, s.notes...)
	collector.Fill(summary)
	if err := context.Cause(ctx); err != nil {
		summary.Outcome = report.Worst(summary.Outcome, report.Stopped)
	}
	summary.FinishedAt = c.Now()
	return summary, nil
}

// look finds out which commit is shipped, and what changed.
func (s *shipping) look(ctx context.Context) error {
	root, err := detect.Root(s.Dir)
	if err != nil {
		return err //nolint:wrapcheck // says what it was about
	}
	repo, err := git.Open(ctx, root)
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	if s.Request.Run.PullRequest && !s.NoPush {
		s.NoPush = true
		s.note("this is a run of a pull request: nothing is pushed")
	}
	commit, err := repo.Commit(ctx, "HEAD")
	if err != nil {
		return fmt.Errorf("nothing is committed yet, so there is nothing to ship: %w", err)
	}
	dirty, err := repo.Dirty(ctx)
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	if s.clean = len(dirty) == 0; !s.clean && !s.NoPush {
		return &ErrDirty{dirty}
	}
	request := detect.Request{Dir: s.Dir, Base: s.Base, Run: s.Request.Run, Keys: s.clean}
	if s.clean {
		request.Head = "HEAD"
	}
	if s.detected, err = detect.Run(ctx, request); err != nil {
		return err //nolint:wrapcheck // likewise
	}
	s.notes = append(s.notes, s.detected.Notes...)
	s.commits = once(func(ctx context.Context) ([]string, error) { return repo.History(ctx, commit, lookBack) })
	return s.locate(ctx, repo, commit)
}

// locate finds out where the commit is.
func (s *shipping) locate(ctx context.Context, repo *git.Repo, commit string) (err error) {
	s.place = place{commit: commit, release: s.Request.Run.DefaultBranch}
	if s.place.time, err = repo.CommitTime(ctx, commit); err != nil {
		return err //nolint:wrapcheck // says what it was about
	}
	// A CI system knows, where git has no branch checked out; but not of a commit that the workflow went to by itself.
	if s.Request.Run.Branch != "" && s.Request.Run.Commit == commit {
		s.place.branch = s.Request.Run.Branch
	} else if s.place.branch, err = repo.Branch(ctx); err != nil {
		return err //nolint:wrapcheck // likewise
	}
	if s.source, err = sourceOf(ctx, s.Request.Run, repo); err != nil {
		return err
	}
	if s.place.release == "" {
		name, err := repo.DefaultBranch(ctx)
		if err != nil {
			return err //nolint:wrapcheck // likewise
		}
		s.place.release = shortBranch(name)
	}
	return nil
}

// sourceOf is where the sources are, without a login that may be in a remote's address.
func sourceOf(ctx context.Context, run ci.Run, repo *git.Repo) (string, error) {
	at := run.Repository
	if at == "" {
		var err error
		if at, err = repo.Origin(ctx); err != nil {
			return "", err //nolint:wrapcheck // says what it was about
		}
	}
	if u, err := url.Parse(at); err == nil && u.Host != "" {
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		return u.String(), nil
	}
	if _, after, ok := strings.Cut(at, "@"); ok && !strings.Contains(at, "/@") { // git@host:path
		return after, nil
	}
	return "", nil // a directory of this machine, which says nothing to others
}

// shortBranch is a branch's name without where it is from.
func shortBranch(name string) string {
	return strings.TrimPrefix(git.ShortBranch(name), "origin/")
}

// choose asks the registry, and decides.
func (s *shipping) choose(ctx context.Context) ([]*work, error) {
	file := s.detected.Workspace
	s.facts = facts{affected: map[string]plan.Affected{}, keys: s.detected.Keys, tags: map[string]tags{}, images: map[string]known{}, rebuild: s.Rebuild, offline: s.NoPush}
	for _, a := range s.detected.Affected {
		s.facts.affected[a.Name] = a
	}
	order, _ := s.detected.Graph.Order()
	var ask []string
	moves := false
	for _, p := range order {
		if p.Kind != workspace.App {
			continue
		}
		t, err := expand(file.Tags, p.Name, s.place)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		s.facts.tags[p.Name] = t
		moves = moves || len(t.move) > 0
		ask = append(append(ask, t.stay...), t.known...)
	}
	if !s.NoPush {
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		if err := s.ask(ctx, ask); err != nil {
			return nil, err
		}
		if !moves && slices.ContainsFunc(file.Tags, workspace.Template.Moves) {
			s.note("no tag is moved: the branch is %s, and the images of %s are released", cmp.Or(s.place.branch, "not known"), cmp.Or(s.place.release, "none"))
		}
	}
	works := choose(order, s.facts)
	works, err := s.only(works)
	if err != nil || s.NoPush {
		return works, err
	}
	return works, s.askHistory(ctx, works)
}

// only leaves the apps that were asked for, and what they depend on.
func (s *shipping) only(works []*work) ([]*work, error) {
	if len(s.Apps) == 0 {
		return works, nil
	}
	apps, wanted := s.apps(), map[string]bool{}
	for _, name := range s.Apps {
		if !slices.Contains(apps, name) {
			return nil, fmt.Errorf("%q: %w; there are %s", name, ErrNoApp, strings.Join(apps, ", "))
		}
		for _, p := range s.detected.Graph.Needs(name) {
			wanted[p.Name] = true
		}
	}
	return slices.DeleteFunc(works, func(w *work) bool { return !wanted[w.Name] }), nil
}

// apps are the names that may be asked for.
func (s *shipping) apps() []string {
	var all []string
	for _, p := range s.detected.Graph.Projects() {
		if p.Kind != workspace.Lib {
			all = append(all, p.Name)
		}
	}
	return all
}

// connect finds the registry.
func (s *shipping) connect(ctx context.Context) (err error) {
	if s.client, err = s.Client(ctx); err != nil {
		return err
	}
	s.store = shipped.New(s.client.ECR, s.detected.Workspace.Repository)
	return nil
}

// ask asks the registry for the images under some tags.
func (s *shipping) ask(ctx context.Context, tags []string) error {
	found, err := s.store.ByTags(ctx, tags)
	if err != nil {
		return err //nolint:wrapcheck // explained
	}
	for tag, image := range found {
		s.facts.images[tag] = known{image.Digest, image.Inputs, image.Tests}
	}
	return nil
}

// lookBack is how many commits' images may be of the same inputs: as many as one request takes.
const lookBack = 100

// askHistory looks for images of earlier commits that what is to be shipped may be the same as.
func (s *shipping) askHistory(ctx context.Context, works []*work) error {
	var ask []string
	for _, w := range works {
		if !w.ships || s.Rebuild || w.keys.Image == "" || s.facts.has(slices.Concat(w.tags.stay, w.tags.known), w.keys.Image) {
			continue
		}
		commits, err := s.commits(ctx)
		if err != nil {
			return err
		}
		w.tags.before = history(s.detected.Workspace.Tags, w.Name, commits)
		ask = append(ask, w.tags.before...)
	}
	if len(ask) == 0 {
		return nil
	}
	return s.ask(ctx, ask)
}

// found gives the image that an app's would be the same as, if there is one.
func (s *shipping) found(w *work) oci.Digest {
	if s.NoPush || s.Rebuild {
		return ""
	}
	if w.keys.Image == "" { // nobody knows what goes in, but the commit is the same
		for _, tag := range w.tags.stay {
			if image, ok := s.facts.images[tag]; ok {
				return image.digest
			}
		}
		return ""
	}
	image, _ := s.facts.find(slices.Concat(w.tags.stay, w.tags.known, w.tags.before), w.keys.Image)
	return image.digest
}

// builds tells whether an app's image is to be built.
func (s *shipping) builds(w *work) bool { return w.ships && s.found(w) == "" }

// describe says what is shipped.
func (s *shipping) describe(ctx context.Context, summary *report.Summary) (err error) {
	summary.Commit, summary.Branch, summary.Repository = s.place.commit, s.place.branch, s.detected.Workspace.Repository
	summary.Workflow, summary.Run = s.Request.Run.Workflow, s.Request.Run.URL
	summary.DryRun = s.DryRun
	if s.client != nil {
		summary.Registry, err = s.client.Host(ctx)
	}
	return err //nolint:wrapcheck // says what it was about
}

func (s *shipping) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// jobs is how many projects are worked on at once.
func (s *shipping) jobs() int { return cmp.Or(s.Jobs, runtime.NumCPU()) }

func (s *shipping) task(project string, step progress.Step) *progress.Task {
	return &progress.Task{Project: project, Step: step, Sink: s.Sink, Now: s.Now}
}
