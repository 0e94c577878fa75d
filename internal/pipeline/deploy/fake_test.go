package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// place runs images in memory. Each environment has one for each app, whoever opens it.
type place struct {
	mu       sync.Mutex
	running  map[string]oci.Digest
	begun    map[string]oci.Digest
	sick     map[oci.Digest]bool // never healthy
	stuck    bool                // what ran before cannot be put back
	gone     bool                // it does not answer
	stale    bool                // it runs with settings of before
	platform string
	switches []string
	deadline time.Time                             // of the last switch
	at       func(step string, image deploy.Image) // called at each step of a switch, and may panic as a deployer that is killed
}

// killed is what a step panics with.
type killed struct{}

func newPlace() *place {
	return &place{running: map[string]oci.Digest{}, begun: map[string]oci.Digest{}, sick: map[oci.Digest]bool{}, at: func(string, deploy.Image) {}}
}

func (p *place) Running(_ context.Context, app, environment string) (deploy.Running, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return deploy.Running{}, deploy.ErrUnreachable
	}
	key := environment + "/" + app
	r := deploy.Running{Digest: p.running[key], Begun: p.begun[key], Stale: p.stale}
	if r.Digest != "" {
		healthy := !p.sick[r.Digest]
		r.Healthy = &healthy
	}
	return r, nil
}

func (p *place) step(step string, to deploy.Image) {
	if step != "before" && step != "after" {
		p.mu.Unlock()
		defer p.mu.Lock()
	}
	p.at(step, to)
}

func (p *place) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	p.step("before", to)
	p.mu.Lock()
	unlock := p.mu.Unlock
	defer func() { unlock() }()
	if p.gone {
		return deploy.ErrUnreachable
	}
	key := to.Environment + "/" + to.App
	p.switches = append(p.switches, to.Digest.String())
	p.deadline, _ = ctx.Deadline()
	fail := func(err error) error {
		if p.stuck {
			return &deploy.Broken{Err: err, Undo: errors.New("the old one is gone")}
		}
		delete(p.begun, key)
		return &deploy.Undone{Err: err}
	}
	if p.running[key] != to.Digest {
		p.begun[key] = to.Digest
		p.step("begun", to)
	}
	say.Note("started " + to.Digest.String())
	err := check(ctx, deploy.Endpoint{})
	switch {
	case ctx.Err() != nil:
		return fail(context.Cause(ctx))
	case err != nil:
		return fail(err)
	case p.sick[to.Digest]:
		return fail(errors.New("it coughs"))
	}
	p.running[key] = to.Digest
	p.step("switched", to)
	delete(p.begun, key)
	unlock()
	unlock = func() {}
	p.step("after", to)
	return nil
}

func (p *place) Platform(context.Context, string, string) (string, error) { return p.platform, nil }

func (p *place) Close() error { return nil }

// scanner stops some images.
type scanner struct {
	stops map[oci.Digest]bool
	at    func(context.Context) // called at each scan, nil if nobody waits for it
}

func (s scanner) Scan(ctx context.Context, in gate.Input, _ *progress.Task) (gate.Result, error) {
	if s.at != nil {
		s.at(ctx)
	}
	r := gate.Result{App: in.App, Digest: in.Digest}
	if s.stops[in.Digest] {
		r.Verdict = gate.VerdictStopped
		return r, &gate.Stopped{Result: r}
	}
	return r, nil
}

// silent is a sink that hears nothing.
type silent struct{}

func (silent) Event(progress.Event) {}

const file = `
repository: team/prod
apps: [apps/*]
environments:
  - name: staging
    deploy: automatic
    target: {type: fake}
  - name: prod
    after: staging
    branches: [main, release/*]
    freeze:
      - {from: 2026-12-20, until: 2027-01-04, reason: holidays}
    target: {type: fake}
`

// fixture is a Berth, a place and what deploys there.
type fixture struct {
	*berth
	place *place
	scan  scanner
	clock *atomic.Int64 // nanoseconds after at
	yaml  string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return &fixture{newBerth(t), newPlace(), scanner{stops: map[oci.Digest]bool{}}, &atomic.Int64{}, file}
}

func (f *fixture) pass(d time.Duration) { f.clock.Add(int64(d)) }

func (f *fixture) Blob(context.Context, string, oci.Digest, int64) ([]byte, error) {
	return []byte(`{"os":"linux","architecture":"amd64"}`), nil
}

func (f *fixture) Referrers(context.Context, string, oci.Digest) ([]v1.Descriptor, error) {
	return nil, nil
}

var ids atomic.Int64

// as is a deployer of somebody's.
func (f *fixture) as(who string) *deploy.Deployer {
	f.t.Helper()
	parsed, err := workspace.Parse("berth.yaml", []byte(f.yaml))
	if err != nil {
		f.t.Fatal(err)
	}
	client := ecr.NewFromConfig(f.server.AWSConfig())
	return deploy.New(deploy.Config{
		API: client, Remote: f, File: parsed, Gate: f.scan,
		Images: &images.Client{API: client, Distribution: f, Repository: repository},
		Host:   func(context.Context) (string, error) { return f.server.Host, nil },
		Targets: map[string]deploy.Opener{"fake": func(context.Context, workspace.Options) (deploy.Target, error) {
			return f.place, nil
		}},
		Actor: func(context.Context) (string, error) { return who, nil },
		NewID: func() string { return fmt.Sprintf("deployment-%d", ids.Add(1)) },
		Now:   func() time.Time { return at.Add(time.Duration(f.clock.Load())) },
	})
}

func (f *fixture) run(who string, req deploy.Request) (*deploy.Result, error) {
	f.t.Helper()
	return f.runIn(f.t.Context(), who, req)
}

func (f *fixture) runIn(ctx context.Context, who string, req deploy.Request) (*deploy.Result, error) {
	f.t.Helper()
	if req.App == "" {
		req.App = "web"
	}
	if req.Action == "" {
		req.Action = deployment.Deploy
	}
	return f.as(who).Run(ctx, req, &progress.Task{Project: req.App, Step: progress.Deploy, Sink: silent{}, Now: func() time.Time { return at }})
}

// must deploys, and fails the test where that does not do.
func (f *fixture) must(req deploy.Request) *deploy.Result {
	f.t.Helper()
	r, err := f.run("ada", req)
	if err != nil || r.Outcome != deploy.OutcomeDeployed {
		f.t.Fatalf("%s: %+v: %v", r.Outcome, r, err)
	}
	f.pass(time.Minute)
	return r
}

// chain words the records, newest first.
func (f *fixture) chain(environment string) string {
	f.t.Helper()
	var all []string
	if err := f.records().Walk(f.t.Context(), environment, "web", func(e deploy.Entry) bool {
		all = append(all, fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Actor))
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func (f *fixture) runs(environment string, want oci.Descriptor) {
	f.t.Helper()
	now, err := f.place.Running(f.t.Context(), "web", environment)
	if err != nil || now.Digest != want.Digest || now.Begun != "" {
		f.t.Errorf("%s runs %+v, %v, want %s", environment, now, err, want.Digest)
	}
}
