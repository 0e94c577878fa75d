package ship

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/publish"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// doing is the steps as they are.
type doing struct {
	*shipping
	tests     tests.Config
	journal   *tests.Journal // nil where nothing says what a test is of
	builder   func(context.Context) (build.Builder, error)
	publisher *publish.Publisher
	gate      *gate.Gate

	mu      sync.Mutex
	built   map[string]made
	shown   map[string]*report.Image
	scanned map[string]gate.Result
	blocked map[string]bool
	whole   map[string]bool
}

// ancestry asks the clone about commits.
type ancestry struct{ repo *git.Repo }

// IsAncestor tells whether a commit is in the history of another.
func (a ancestry) IsAncestor(ctx context.Context, older, newer string) (bool, error) {
	is, err := a.repo.IsAncestor(ctx, older, newer)
	if errors.Is(err, git.ErrNoCommit) {
		return false, fmt.Errorf("%w: %w", publish.ErrUnknown, err)
	}
	return is, err
}

func newDoing(ctx context.Context, s *shipping, works []*work) (*doing, error) {
	d := &doing{
		shipping: s, tests: tests.Config{Root: s.detected.Root, Environ: s.Environ},
		built: map[string]made{}, shown: map[string]*report.Image{}, scanned: map[string]gate.Result{},
	}
	if s.clean {
		d.tests.Commit = s.place.commit
		dir, err := s.detected.Repo.PrivateDir(ctx)
		if err != nil {
			return nil, err //nolint:wrapcheck // says what it was about
		}
		var note string
		if d.journal, note = tests.OpenJournal(dir); note != "" {
			s.note("%s", note)
		}
	}
	d.builder = once(s.Builder)
	if s.client != nil {
		d.publisher = publish.New(publish.Config{
			API: s.client.ECR, Remote: s.client, Repository: s.detected.Workspace.Repository, Ancestry: ancestry{s.detected.Repo}, Now: s.Now,
		})
		d.gate = gate.New(gate.At(s.client))
	}
	if !s.Retest && d.journal != nil {
		var ignored []string
		if slices.ContainsFunc(works, s.builds) {
			var err error
			if ignored, err = s.detected.Repo.Ignored(ctx); err != nil {
				return nil, err //nolint:wrapcheck // says what it was about
			}
		}
		settle(works, d.passed(), func(w *work) bool { return s.builds(w) && w.TakesIgnored(ignored) != "" })
	}
	return d, nil
}

// once has something found out when it is first needed, for all who need it.
func once[T any](find func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var found T
	var done bool
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return found, nil
		}
		value, err := find(ctx)
		found, done = value, err == nil
		return value, err
	}
}

// passed tells which tests passed before: in this clone, or for an image that the registry has.
func (d *doing) passed() func(key string) bool {
	attested := map[string]bool{}
	for _, image := range d.facts.images {
		for _, key := range image.tests {
			attested[key] = true
		}
	}
	return func(key string) bool { return attested[key] || d.journal.Passed(key) }
}

func (d *doing) run(ctx context.Context, works []*work) error {
	r := run{steps: d, jobs: d.jobs(), noPush: d.NoPush, projects: works, found: map[string]oci.Digest{}, released: d.facts.released(), newTask: d.task}
	for _, w := range works {
		if found := d.found(w); w.ships && found != "" {
			r.found[w.Name] = found
		}
	}
	well := r.all(ctx)
	d.blocked, d.whole = r.blocked, r.whole
	for _, b := range d.built {
		_ = b.Close() // files that nobody reads any more
	}
	if !well || !d.Deploy || d.NoPush {
		return nil
	}
	return d.deploy(ctx, works, r.digests)
}

func (d *doing) test(ctx context.Context, w *work, say *progress.Task) (string, error) {
	result, err := d.tests.Run(ctx, tests.Input{Project: w.Member}, say)
	if err != nil {
		return "", err //nolint:wrapcheck // says what it was about
	}
	if d.journal != nil && w.keys.Test != "" {
		if err := d.journal.Record(w.keys.Test, w.Name, d.Now()); err != nil {
			say.Note(err.Error()) // it will be run again, which does no harm
		}
	}
	if result.NoTest { // which is known as well
		return "it has no test", nil
	}
	return "passed", nil
}

func (d *doing) build(ctx context.Context, w *work, bases map[string]oci.Digest, say *progress.Task) (string, error) {
	if err := d.committed(ctx); err != nil {
		return "", err
	}
	builder, err := d.builder(ctx)
	if err != nil {
		return "", err
	}
	spec, err := d.spec(ctx, w, bases)
	if err != nil {
		return "", err
	}
	began := d.Now()
	out := say.Writer()
	built, err := builder.Build(ctx, spec, out)
	_ = out.Close() // says the last line
	if failed, ok := errors.AsType[*build.Error](err); ok {
		say.Say(progress.Event{Kind: progress.Problem, Path: failed.Path, Line: failed.Line, Text: failed.Text})
	}
	if err == nil {
		if err = d.committed(ctx); err != nil {
			_ = built.Close() // files that nobody reads
		}
	}
	if err != nil {
		return "", err //nolint:wrapcheck // says what it was about
	}
	for _, note := range built.Notes {
		say.Note(note)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.built[w.Name] = made{built, began}
	d.shown[w.Name] = &report.Image{Digest: built.Digest.String(), Inputs: w.keys.Image, Built: true}
	return "built " + built.Digest.String() + " with " + built.Builder, nil
}

// committed tells whether the working tree still is the commit: a test may have changed files, before a build or while it read them.
func (d *doing) committed(ctx context.Context) error {
	if !d.clean {
		return nil
	}
	dirty, err := d.detected.Repo.Dirty(ctx)
	if err == nil && len(dirty) > 0 {
		err = &ErrDirty{dirty}
	}
	return err //nolint:wrapcheck // says what it was about
}

// spec says what a builder is to make.
func (d *doing) spec(ctx context.Context, w *work, bases map[string]oci.Digest) (build.Spec, error) {
	s := build.Spec{
		App: w.Name, Root: d.detected.Root, Context: w.Image.Context, Dockerfile: w.Image.Dockerfile, Target: w.Image.Target,
		Args: map[string]string{}, Bases: map[string]string{}, Labels: d.labels(w), Annotations: d.annotations(w), Epoch: d.place.time,
		NoCache: d.Rebuild,
	}
	for name, value := range w.Image.Args {
		s.Args[name] = string(value)
	}
	for _, p := range w.Platforms {
		s.Platforms = append(s.Platforms, string(p))
	}
	if d.client == nil {
		return s, nil
	}
	host, err := d.client.Host(ctx)
	if err != nil {
		return s, err //nolint:wrapcheck // says what it was about
	}
	for name, app := range w.Bases() {
		s.Bases[name] = host + "/" + d.detected.Workspace.Repository + "@" + bases[app].String()
	}
	plain, err := d.client.PlainHTTP(ctx)
	if err != nil {
		return s, err //nolint:wrapcheck // likewise
	}
	s.Login = &build.Login{Host: host, PlainHTTP: plain, Secret: d.client.Login}
	if w.Image.Cache {
		// What other branches build is theirs: the release branch alone writes, and all read.
		s.Cache = host + "/" + d.detected.Workspace.Repository + ":" + w.Name + "-buildcache"
		s.CacheReadOnly = !d.place.released()
	}
	return s, nil
}

// labels are what docker inspect shows.
func (d *doing) labels(w *work) map[string]string {
	all := map[string]string{
		"org.opencontainers.image.created": d.place.time.UTC().Format(time.RFC3339), "org.opencontainers.image.title": w.Name,
	}
	if d.clean {
		all["org.opencontainers.image.revision"], all["org.opencontainers.image.version"] = d.place.commit, d.place.commit
	}
	if source := d.source; source != "" {
		all["org.opencontainers.image.source"] = source
	}
	return all
}

// annotations are what the registry is asked for later.
func (d *doing) annotations(w *work) map[string]string {
	all := d.labels(w)
	for name, value := range map[string]string{
		shipped.AnnotationApp: w.Name, shipped.AnnotationBranch: d.place.branch, shipped.AnnotationInputs: w.keys.Image,
		shipped.AnnotationTests: strings.Join(d.testKeys(w), " "),
	} {
		if value != "" {
			all[name] = value
		}
	}
	return all
}

// testKeys gives the test keys for which tests passed: the app's own first, then of all that it depends on.
func (d *doing) testKeys(w *work) []string {
	var all []string
	for _, p := range d.detected.Graph.Needs(w.Name) {
		if key := d.detected.Keys[p.Name].Test; key != "" {
			all = append(all, key)
		}
	}
	return slices.Compact(all)
}

func (d *doing) shipped(ctx context.Context, w *work, image oci.Digest) (bool, error) {
	for _, tag := range slices.Concat(w.tags.stay, w.tags.move) {
		if has, ok := d.facts.images[tag]; !ok || has.digest != image {
			return false, nil
		}
	}
	records, err := d.store.Records(ctx, image)
	if err != nil {
		return false, err //nolint:wrapcheck // explained
	}
	return slices.ContainsFunc(records, func(r shipped.Record) bool {
		return r.App == w.Name && r.Commit == d.place.commit && r.Branch == d.place.branch
	}), nil
}

// bar is the gate of this run.
func (d *doing) bar() workspace.Gate {
	g := d.detected.Workspace.Gate
	if d.FailOn != "" {
		g.Severity = d.FailOn
	}
	if d.Unscanned != "" {
		g.Unscanned = d.Unscanned
	}
	return g
}

func (d *doing) scan(ctx context.Context, w *work, image oci.Digest, say *progress.Task) (string, error) {
	d.mu.Lock()
	mediaType := d.shown[w.Name].MediaType
	d.mu.Unlock()
	result, err := d.gate.Run(ctx, gate.Input{App: w.Name, Repository: d.detected.Workspace.Repository, Digest: image, MediaType: mediaType, Gate: d.bar(), Today: d.Now()}, say)
	if result.Verdict != "" { // the registry answered
		d.mu.Lock()
		d.scanned[w.Name] = result
		d.mu.Unlock()
	}
	if stopped, ok := errors.AsType[*gate.Stopped](err); ok {
		return "", finding{stopped}
	}
	if err != nil {
		return "", err //nolint:wrapcheck // says what it was about
	}
	return outcomeOf(result), nil
}

// outcomeOf says in a line what a gate made of a scan.
func outcomeOf(r gate.Result) string {
	if r.Verdict == gate.VerdictUnscanned {
		return "not scanned: " + r.Unscanned()
	}
	return string(r.Verdict) + ": " + gate.Count(r.Counts)
}

func (d *doing) release(ctx context.Context, w *work, image oci.Digest, say *progress.Task) (string, error) {
	d.mu.Lock()
	scanned := d.scanned[w.Name]
	d.mu.Unlock()
	commits, err := d.commits(ctx)
	if err != nil {
		return "", err
	}
	run := d.Request.Run
	done, err := d.publisher.Release(ctx, publish.ReleaseInput{
		Image: image, Stay: w.tags.stay, Tags: w.tags.move,
		Record: shipped.Record{
			App: w.Name, Commit: d.place.commit, Branch: d.place.branch, Committed: d.place.time.UTC(),
			After: shipped.After(commits[1:]), // but for itself
			Run:   run.URL, Actor: run.Actor, Gate: outcomeOf(scanned),
		},
		Vouch: d.vouch,
	}, say)
	d.mu.Lock()
	defer d.mu.Unlock()
	var set []string
	for _, t := range done.Tags {
		d.shown[w.Name].Tags = append(d.shown[w.Name].Tags, report.Tag{Tag: t.Tag, Digest: t.To.String(), Action: actionOf(t, d.shown[w.Name].Built), From: t.From.String()})
		set = append(set, t.String())
	}
	if err != nil {
		return "", err //nolint:wrapcheck // explained
	}
	if len(set) == 0 {
		return "no tag moves", nil
	}
	return strings.Join(set, "; "), nil
}

// vouch gives the tags that an image has which was shipped for what a record says.
func (d *doing) vouch(of shipped.Record) []string {
	t, err := expand(d.detected.Workspace.Tags, of.App, place{commit: of.Commit, branch: of.Branch, time: of.Committed})
	if err != nil { // its branch makes no tag
		return nil
	}
	return t.stay
}

// actionOf words what was done with a tag that moves.
func actionOf(t publish.Release, built bool) report.Action {
	switch {
	case t.Outcome == publish.There:
		return report.Kept
	case t.Outcome != publish.Moved:
		return report.Newer
	case t.From == "" && built:
		return report.Pushed
	case t.From == "":
		return report.Retagged
	default:
		return report.Moved
	}
}

// fill adds to a summary what is known of images.
func (d *doing) fill(summary *report.Summary) {
	for _, e := range gate.Unmatched(d.bar(), slices.Collect(maps.Values(d.scanned))) {
		d.note("the exception for %s is for nothing in what was scanned: %s may take it out", plan.Printable(e.ID), plan.Printable(e.Owner))
	}
	for i := range summary.Projects {
		p := &summary.Projects[i]
		switch {
		case d.blocked[p.Name]:
			p.Outcome = report.Skipped
		case d.whole[p.Name]:
			p.Outcome = report.Nothing
		}
		p.Image = d.shown[p.Name]
		if result, ok := d.scanned[p.Name]; ok {
			p.Scan = scanOf(result)
		}
	}
}
