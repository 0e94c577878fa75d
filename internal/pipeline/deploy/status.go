package deploy

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// StatusRequest says what is asked about.
type StatusRequest struct {
	Apps         []string // those of the workspace; others are asked about if they were ever deployed, unless Only is set
	Environments []string // all of berth.yaml if there are none
	Only         bool     // these apps alone
	RecordsOnly  bool     // no target is asked
	Timeout      time.Duration
}

// DefaultAsk is how long targets are waited for.
const DefaultAsk = 10 * time.Second

// Status is what is known of an app in an environment.
type Status struct {
	App, Environment string
	State            State
	Unread           error    // why its records do not tell; nil: they do
	Tags             []string // of the image that runs, in order; nil if it is gone
	Running          *Running // what the target says, nil if it was not asked or did not answer
	NotRunning       error    // why it did not
	Drift            bool     // the target runs something else than the records say
}

// Status tells what runs where, in the order of berth.yaml's environments and of the apps' names. What a target or a chain of records does not tell
// is in its Status, and no error.
func (d *Deployer) Status(ctx context.Context, req StatusRequest) ([]Status, error) {
	all, err := d.pairs(ctx, req)
	if err != nil {
		return nil, err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(8) //nolint:mnd // registries limit how often they are asked
	for i := range all {
		group.Go(func() error { return d.recorded(within, &all[i]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // says what it was about
	}
	if req.RecordsOnly {
		return all, nil
	}
	if req.Timeout <= 0 {
		req.Timeout = DefaultAsk
	}
	asking, cancel := context.WithTimeout(ctx, req.Timeout)
	defer cancel()
	var targets errgroup.Group
	for _, e := range d.File.Environments {
		var here []*Status
		for i := range all {
			if all[i].Environment == e.Name {
				here = append(here, &all[i])
			}
		}
		if len(here) > 0 && e.Target != nil {
			targets.Go(func() error { d.ask(asking, e, here); return nil })
		}
	}
	return all, targets.Wait() //nolint:wrapcheck // none
}

// pairs are the apps in the environments that are asked about.
func (d *Deployer) pairs(ctx context.Context, req StatusRequest) ([]Status, error) {
	apps := slices.Clone(req.Apps)
	if !req.Only {
		ever, err := d.records.All(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range ever {
			apps = append(apps, e.App)
		}
	}
	slices.Sort(apps)
	apps = slices.Compact(apps)
	for _, name := range req.Environments {
		if _, err := environmentOf(d.File, name); err != nil {
			return nil, err
		}
	}
	var all []Status
	for _, e := range d.File.Environments {
		if len(req.Environments) > 0 && !slices.Contains(req.Environments, e.Name) {
			continue
		}
		for _, app := range apps {
			all = append(all, Status{App: app, Environment: e.Name})
		}
	}
	return all, nil
}

// recorded fills in what the records say. A registry that does not answer ends it for all; records that cannot be read are of one app in one
// environment, and hide no other.
func (d *Deployer) recorded(ctx context.Context, s *Status) (err error) {
	if s.State, err = d.records.State(ctx, s.Environment, s.App); err != nil {
		if errors.Is(err, errRecord) {
			s.Unread, s.State = err, State{}
			return nil
		}
		return err
	}
	if s.State.Runs == nil {
		return nil
	}
	listed, err := d.Images.Resolve(ctx, oci.Reference{Digest: s.State.Runs.Image.Digest})
	if err == nil {
		s.Tags = listed.Tags
	}
	return nil // otherwise the image is gone, and runs all the same
}

// ask asks the target of an environment, one app after the other, and gives up when the time is over.
func (d *Deployer) ask(ctx context.Context, e workspace.Environment, here []*Status) {
	answers := make(chan func(), len(here)+1)
	go func() {
		defer close(answers)
		target, err := d.open(ctx, e)
		if err == nil {
			defer func() { _ = target.Close() }()
		}
		for _, s := range here {
			now, failed := Running{}, err
			if failed == nil {
				now, failed = target.Running(ctx, s.App, e.Name)
			}
			if errors.Is(failed, ErrUnreachable) {
				err = failed // for the others as well
			}
			answers <- func() { s.answered(now, failed) }
		}
	}()
	for _, s := range here {
		s.NotRunning = ErrUnreachable
	}
	for {
		select {
		case answer, more := <-answers:
			if !more {
				return
			}
			answer()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Status) answered(now Running, err error) {
	if s.NotRunning = err; err != nil {
		return
	}
	s.Running = &now
	want := oci.Digest("")
	if s.State.Runs != nil {
		want = s.State.Runs.Image.Digest
	}
	s.Drift = s.Unread == nil && s.State.Pending == nil && s.State.Broken == nil && now.Digest != want
}

// Place is where an image runs by the records.
type Place struct {
	App, Environment string
	Since            time.Time
	Actor            string
	Index            oci.Digest // that runs there and lists the image; "" where the image itself does
}

// Runs tells where an image runs now, by the records that refer to it and the chains that these are of.
func (r *Records) Runs(ctx context.Context, d oci.Digest) ([]Place, error) {
	attached, err := r.known.Attached(ctx, d, deployment.ArtifactType)
	if err != nil {
		return nil, err //nolint:wrapcheck // explained
	}
	type pair struct{ environment, app string }
	pairs := map[pair]bool{}
	for _, a := range attached {
		pairs[pair{a.Annotations[annotationEnvironment], a.Annotations[annotationApp]}] = true
	}
	var places []Place
	for p := range pairs {
		if !validNames(p.environment, p.app) {
			continue
		}
		s, err := r.State(ctx, p.environment, p.app)
		if err != nil {
			return nil, err
		}
		if s.Runs != nil && s.Runs.Image.Digest == d {
			places = append(places, Place{App: p.app, Environment: p.environment, Since: s.Runs.At, Actor: s.Runs.Actor})
		}
	}
	sortPlaces(places)
	return places, nil
}

func sortPlaces(places []Place) {
	slices.SortFunc(places, func(a, b Place) int {
		return slices.Compare([]string{a.Environment, a.App}, []string{b.Environment, b.App})
	})
}
