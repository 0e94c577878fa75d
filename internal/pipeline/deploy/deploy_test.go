package deploy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestStory goes from staging to prod, and back.
func TestStory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	r := f.must(deploy.Request{Environment: "staging"})
	if r.Image.Commit != commit(1) || r.Image.Named != "tag web-latest" || r.Record.Outcome != deployment.Succeeded || r.Record.Commit != commit(1) {
		t.Errorf("the first: %+v, %+v", r.Image, r.Record)
	}
	f.runs("staging", one)
	again, err := f.run("bob", deploy.Request{Environment: "staging"})
	if err != nil || again.Outcome != deploy.OutcomeUnchanged || f.chain("staging") != "deploy succeeded ada, deploy started ada" {
		t.Errorf("what runs already: %s, %v, records %s", again.Outcome, err, f.chain("staging"))
	}
	f.must(deploy.Request{Environment: "prod", Action: deployment.Promote})
	f.runs("prod", one)
	two := f.ship(2)
	f.must(deploy.Request{Environment: "staging", Commit: commit(2)[:9]})
	f.must(deploy.Request{Environment: "prod", Action: deployment.Promote, From: "staging", Reason: "the new look"})
	f.runs("prod", two)
	three := f.ship(3)
	f.must(deploy.Request{Environment: "staging", Digest: three.Digest.String()[:19]})
	f.must(deploy.Request{Environment: "prod", Tag: "web-latest"})
	f.must(deploy.Request{Environment: "prod", Action: deployment.Rollback})
	f.runs("prod", two)
	f.must(deploy.Request{Environment: "prod", Action: deployment.Rollback, To: "2"}) // from two: three, one
	f.runs("prod", one)
	f.must(deploy.Request{Environment: "prod", Action: deployment.Rollback, To: three.Digest.String()[7:17]})
	f.runs("prod", three)
	if _, err := f.run("ada", deploy.Request{Environment: "prod", Action: deployment.Rollback, To: "7"}); !errors.Is(err, deploy.ErrNothing) {
		t.Errorf("a version that is not there: %v", err)
	}
	history, err := f.as("ada").History(t.Context(), "web", "prod", 0)
	var words []string
	for _, d := range history {
		back := "-"
		if d.Back != nil {
			back = string(rune('0' + *d.Back))
		}
		words = append(words, string(d.Action)+" "+back)
	}
	if got := strings.Join(words, ", "); err != nil || got != "rollback 0, rollback 1, rollback 2, deploy -, promote -, promote -" {
		t.Errorf("the history is %s: %v", got, err)
	}
	if history[4].Reason != "the new look" || history[4].From != "staging" || history[4].Began.IsZero() {
		t.Errorf("the promotion is recorded as %+v", history[4])
	}
}

// TestChecks: all that is wrong is said at once, and nothing is touched.
func TestChecks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.place.platform = "linux/arm64"
	odd := f.push(image(t, 9, map[string]string{"vnd.berth.image.app": "shop", "vnd.berth.image.branch": "try"}), "odd")
	f.scan.stops[odd.Digest] = true
	f.pass(30 * 24 * time.Hour)
	req := deploy.Request{Environment: "prod", Tag: "odd"}
	r, err := f.run("ada", req)
	refusal, ok := errors.AsType[*deploy.Refusal](err)
	if !ok || r.Outcome != deploy.OutcomeRefused {
		t.Fatalf("%s: %v", r.Outcome, err)
	}
	var checks []string
	for _, p := range refusal.Problems {
		checks = append(checks, p.Check)
	}
	if got := strings.Join(checks, " "); got != "app platform freeze after branches gate" {
		t.Errorf("refused by %s:\n%v", got, err)
	}
	for _, want := range []string{"is an image of shop", "linux/arm64", "frozen until 2027-01-05T00:00:00Z: holidays", "has not run in staging", "it is of try"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, err)
		}
	}
	if f.chain("prod") != "" || len(f.place.switches) > 0 {
		t.Errorf("something was touched: %s, %v", f.chain("prod"), f.place.switches)
	}

	req.Ignore = checks
	if _, err := f.run("ada", req); !errors.Is(err, deploy.ErrUsage) {
		t.Errorf("ignoring without a reason gives %v", err)
	}
	req.Reason = "the shop burns"
	if r, err = f.run("ada", req); err != nil || r.Record.Reason != "ignoring app, platform, freeze, after, branches, gate: the shop burns" {
		t.Errorf("ignoring gives %v, recorded as %+v", err, r.Record)
	}
	req.Ignore = []string{"image"}
	if _, err := f.run("ada", req); !errors.Is(err, deploy.ErrUsage) {
		t.Errorf("ignoring what cannot be ignored gives %v", err)
	}
}

// TestRefused are the refusals that are none of the image.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.yaml += "  - {name: nowhere}\n  - {name: odd, target: {type: zeppelin}}\n"
	f.ship(1)
	for _, tt := range []struct {
		name string
		req  deploy.Request
		want string
	}{
		{"no tag", deploy.Request{Environment: "staging", Tag: "web-none"}, "image: tag web-none is not in team/prod"},
		{"no digest", deploy.Request{Environment: "staging", Digest: strings.Repeat("0", 64)}, "is not in team/prod"},
		{"no commit", deploy.Request{Environment: "staging", Commit: "abcdef0"}, "has a tag with the commit abcdef0"},
		{"no environment", deploy.Request{Environment: "qa"}, `no such environment: "qa"; berth.yaml has staging, prod`},
		{"no target", deploy.Request{Environment: "nowhere"}, "target: berth.yaml says of no target of nowhere"},
		{"no such target", deploy.Request{Environment: "odd"}, `no type of target of the name "zeppelin"; there are fake`},
		{"nothing to promote", deploy.Request{Environment: "prod", Action: deployment.Promote}, "nothing of web has ever run in staging"},
		{"nothing before", deploy.Request{Environment: "staging", Action: deployment.Promote}, "no environment that comes before staging"},
		{"nothing to roll back", deploy.Request{Environment: "prod", Action: deployment.Rollback}, "nothing of web has ever run in prod"},
		{"by hand only", deploy.Request{Environment: "prod", Automatic: true}, "deploy: prod takes images by hand only"},
		{"no app", deploy.Request{App: "we/b", Environment: "prod"}, `no such app: "we/b" is no name of one`},
		{"long app", deploy.Request{App: strings.Repeat("a", 65), Environment: "prod"}, "has 65 characters, and the name of an app that is deployed at most 64"},
	} {
		if _, err := f.run("ada", tt.req); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	f.place.gone = true
	if _, err := f.run("ada", deploy.Request{Environment: "staging"}); !errors.Is(err, deploy.ErrUnreachable) {
		t.Errorf("a target that does not answer gives %v", err)
	}
	if f.chain("staging") != "" {
		t.Errorf("something was recorded: %s", f.chain("staging"))
	}
}

// TestSick: what never gets healthy is undone, and the record says why; so it does where that does not work.
func TestSick(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	two := f.ship(2)
	f.place.sick[two.Digest] = true
	r, err := f.run("ada", deploy.Request{Environment: "staging"})
	undone, ok := errors.AsType[*deploy.Undone](err)
	if !ok || r.Outcome != deploy.OutcomeFailed || r.Record.Reason != "it coughs" || undone.Error() != "it coughs" {
		t.Errorf("%s: %v, recorded as %+v", r.Outcome, err, r.Record)
	}
	f.runs("staging", one)
	f.place.stuck = true
	if r, err = f.run("ada", deploy.Request{Environment: "staging"}); r.Outcome != deploy.OutcomeBroken || r.Record.Outcome != deployment.Broken {
		t.Errorf("%s: %v, recorded as %+v", r.Outcome, err, r.Record)
	}
	f.place.stuck = false
	if _, err := f.run("ada", deploy.Request{Environment: "prod", Action: deployment.Promote}); err == nil || !strings.Contains(err.Error(), "web is broken in staging") {
		t.Errorf("promoting what is broken gives %v", err)
	}
	// What is broken is rolled back to what ran before, which is the newest success.
	f.must(deploy.Request{Environment: "staging", Action: deployment.Rollback})
	f.runs("staging", one)
}

// TestStopped: whoever asked has gone, or the time is over; it is undone and recorded all the same.
func TestStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.ship(2)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by ^C")
	f.place.at = func(step string, _ deploy.Image) {
		if step == "begun" {
			cancel(stopped)
		}
	}
	r, err := f.runIn(ctx, "ada", deploy.Request{Environment: "staging"})
	if !errors.Is(err, stopped) || r.Outcome != deploy.OutcomeFailed || r.Record.Outcome != deployment.Failed || !strings.Contains(r.Record.Reason, "stopped by ^C") {
		t.Errorf("%s: %v, recorded as %+v", r.Outcome, err, r.Record)
	}
	f.runs("staging", one)
}

// TestTwoDeployers: of many at once one deploys, and the others are told who; then nothing is left to clear up.
func TestTwoDeployers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	const many = 5
	outcomes, errs := make([]deploy.Outcome, many), make([]error, many)
	var all, arrived sync.WaitGroup
	arrived.Add(1)
	f.place.at = func(step string, _ deploy.Image) {
		if step == "before" {
			arrived.Wait() // until the others have been refused
		}
	}
	var refused sync.WaitGroup
	refused.Add(many - 1)
	go func() { refused.Wait(); arrived.Done() }()
	for i := range many {
		all.Go(func() {
			r, err := f.run("deployer", deploy.Request{Environment: "staging"})
			outcomes[i], errs[i] = r.Outcome, err
			if err != nil {
				refused.Done()
			}
		})
	}
	all.Wait()
	won := 0
	for i, err := range errs {
		_, conflict := errors.AsType[*deploy.Conflict](err)
		_, refusal := errors.AsType[*deploy.Refusal](err)
		switch {
		case err == nil && outcomes[i] == deploy.OutcomeDeployed:
			won++
		case !conflict && !refusal || outcomes[i] != deploy.OutcomeRefused || !strings.Contains(err.Error(), "by deployer, started"):
			t.Errorf("%s: %v", outcomes[i], err)
		}
	}
	if won != 1 || f.chain("staging") != "deploy succeeded deployer, deploy started deployer" || len(f.place.switches) != 1 {
		t.Errorf("%d have won, %v was switched, and the records are %s", won, f.place.switches, f.chain("staging"))
	}
	f.runs("staging", one)
}

// TestKilled kills a deployer at each step, and looks what the next one finds and does.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		step  string
		sick  bool // the image that the dead one wanted
		ended deployment.Outcome
		why   string
		did   string // which images the target was switched to, of all three
	}{
		{"before", false, deployment.Failed, "what ran before runs", "1 3"},
		{"begun", false, deployment.Failed, "what ran before was made to run again", "1 2 1 3"},
		{"switched", false, deployment.Failed, "what ran before was made to run again", "1 2 1 3"},
		{"after", false, deployment.Succeeded, "its image runs and is healthy", "1 2 2 3"},
		{"after", true, deployment.Failed, "was made to run again; its image runs and is not healthy: it coughs", "1 2 2 1 3"},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			one := f.ship(1)
			f.must(deploy.Request{Environment: "staging"})
			two := f.ship(2)
			f.place.at = func(step string, _ deploy.Image) {
				if step == tt.step {
					panic(killed{})
				}
			}
			func() {
				defer func() {
					if _, ok := recover().(killed); !ok {
						t.Error("nobody was killed")
					}
				}()
				_, _ = f.run("ada", deploy.Request{Environment: "staging"})
			}()
			f.place.at = func(string, deploy.Image) {}
			f.place.sick[two.Digest] = tt.sick
			three := f.ship(3)

			f.pass(5 * time.Minute)
			_, err := f.run("bob", deploy.Request{Environment: "staging"})
			if err == nil || !strings.Contains(err.Error(), "at-work: somebody is at work: deploy of web in staging by ada, started, at 2026-11-24T10:01:00Z") {
				t.Fatalf("a deployment that may be at work still: %v", err)
			}
			f.pass(7 * time.Minute)
			r, err := f.run("bob", deploy.Request{Environment: "staging"})
			if err != nil || r.Outcome != deploy.OutcomeDeployed || r.Found == nil || r.Found.Ended != tt.ended || !strings.Contains(r.Found.Reason, tt.why) {
				t.Fatalf("%s: %v, found %+v", r.Outcome, err, r.Found)
			}
			f.runs("staging", three)
			names := strings.NewReplacer(one.Digest.String(), "1", two.Digest.String(), "2", three.Digest.String(), "3")
			if did := names.Replace(strings.Join(f.place.switches, " ")); did != tt.did {
				t.Errorf("the target was switched to %s, want %s", did, tt.did)
			}
			want := "deploy succeeded bob, deploy started bob, deploy " + string(tt.ended) + " bob, deploy started ada, deploy succeeded ada, deploy started ada"
			if got := f.chain("staging"); got != want {
				t.Errorf("the records are %s, want %s", got, want)
			}
		})
	}
}

// TestTakenOver: the one who was only slow is told, and writes over nothing.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	two := f.push(image(t, 2, map[string]string{"vnd.berth.image.app": "web"}), "two")
	var once atomic.Bool
	f.place.at = func(step string, _ deploy.Image) {
		if step != "after" || once.Swap(true) {
			return
		}
		if r, err := f.run("bob", deploy.Request{Environment: "staging", Tag: "two", TakeOver: true}); err != nil || r.Found.Ended != deployment.Succeeded {
			t.Errorf("taking over: %v, %+v", err, r)
		}
	}
	r, err := f.run("ada", deploy.Request{Environment: "staging"})
	if _, ok := errors.AsType[*deploy.Conflict](err); !ok || r.Outcome != deploy.OutcomeTakenOver || !strings.Contains(err.Error(), "somebody took over") {
		t.Errorf("the slow one is told %v", err)
	}
	f.runs("staging", two)
	if got := f.chain("staging"); got != "deploy succeeded bob, deploy started bob, deploy succeeded bob, deploy started ada" {
		t.Errorf("the records are %s", got)
	}
}

// TestClock: a record from the future is somebody at work, and that a clock is wrong is said.
func TestClock(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	r := record("future", one, deployment.Started, "")
	r.Environment, r.At = "staging", at.Add(48*time.Hour)
	if _, err := f.records().Write(t.Context(), r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, err := f.run("ada", deploy.Request{Environment: "staging"})
	if err == nil || !strings.Contains(err.Error(), "that is 48h0m0s from now, so a clock is wrong") {
		t.Errorf("a start in the future gives %v", err)
	}
	if r, err := f.run("ada", deploy.Request{Environment: "staging", TakeOver: true}); err != nil || r.Outcome != deploy.OutcomeDeployed {
		t.Errorf("taking it over gives %s, %v", r.Outcome, err)
	}
	f.runs("staging", one)
}

// TestPreviousImage: what can be rolled back to cannot be deleted from a Berth.
func TestPreviousImage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.ship(2)
	f.must(deploy.Request{Environment: "staging"})
	out, err := f.ecr.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{
		RepositoryName: aws.String(repository), ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(one.Digest.String())}},
	})
	if err != nil || len(out.Failures) != 1 || !strings.Contains(aws.ToString(out.Failures[0].FailureReason), "of web in staging") {
		t.Errorf("deleting what ran before gives %+v, %v", out, err)
	}
	f.must(deploy.Request{Environment: "staging", Action: deployment.Rollback})
	f.runs("staging", one)
}

// TestDryRun touches nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	two := f.ship(2)
	r, err := f.run("ada", deploy.Request{Environment: "staging", DryRun: true})
	if err != nil || r.Outcome != deploy.OutcomeWould || r.Changes == nil || r.Changes.From.Digest != one.Digest || r.Changes.To.Digest != two.Digest || r.Changes.Diff == nil {
		t.Fatalf("%s: %v, %+v", r.Outcome, err, r.Changes)
	}
	if r.Changes.NotCommits == "" || r.Changes.From.Commit != commit(1) {
		t.Errorf("commits: %+v", r.Changes)
	}
	f.runs("staging", one)
	if f.chain("staging") != "deploy succeeded ada, deploy started ada" {
		t.Errorf("the records are %s", f.chain("staging"))
	}
}

// TestRollbackOfTheDead: what a dead deployer had got to run is what is rolled back from.
func TestRollbackOfTheDead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	two := f.ship(2)
	f.must(deploy.Request{Environment: "staging"})
	f.ship(3)
	f.place.at = func(step string, _ deploy.Image) {
		if step == "after" {
			panic(killed{})
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = f.run("ada", deploy.Request{Environment: "staging"})
	}()
	f.place.at = func(string, deploy.Image) {}
	r, err := f.run("bob", deploy.Request{Environment: "staging", Action: deployment.Rollback, TakeOver: true})
	if err != nil || r.Outcome != deploy.OutcomeDeployed || r.Found.Ended != deployment.Succeeded {
		t.Fatalf("%s: %v", r.Outcome, err)
	}
	f.runs("staging", two)
}

// TestWait: one who waits for somebody at work deploys when they are done, and is refused when the time is over.
func TestWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	working, done := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f.place.at = func(step string, _ deploy.Image) {
		if step == "before" && !once.Swap(true) {
			close(working)
			<-done
		}
	}
	first := make(chan error, 1)
	go func() {
		_, err := f.run("ada", deploy.Request{Environment: "staging"})
		first <- err
	}()
	<-working
	r, err := f.run("bob", deploy.Request{Environment: "staging", Wait: true, Patience: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "still at work: deploy of web in staging by ada") || r.Outcome != deploy.OutcomeRefused {
		t.Errorf("waiting in vain: %s, %v", r.Outcome, err)
	}
	second := make(chan error, 1)
	go func() {
		r, err := f.run("bob", deploy.Request{Environment: "staging", Wait: true, DryRun: true})
		if err == nil && r.Outcome != deploy.OutcomeUnchanged {
			err = errors.New(string(r.Outcome))
		}
		second <- err
	}()
	close(done)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	f.runs("staging", one)
}

// TestTimeout: what takes too long is undone, and the record says that it was the time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.yaml = strings.Replace(f.yaml, "    deploy: automatic\n", "    deploy: automatic\n    health: {command: [sleep, \"600\"], timeout: 1h}\n", 1)
	f.ship(1)
	r, err := f.run("ada", deploy.Request{Environment: "staging", Timeout: time.Second})
	if err == nil || r.Outcome != deploy.OutcomeFailed || !strings.Contains(r.Record.Reason, "the time for the deployment is over: 1s") {
		t.Errorf("%s: %v, recorded as %+v", r.Outcome, err, r.Record)
	}
	f.runs("staging", oci.Descriptor{})
}

// TestRollbackAsksLittle: neither a freeze nor a scan is in the way of what ran before.
func TestRollbackAsksLittle(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.must(deploy.Request{Environment: "prod", Action: deployment.Promote})
	f.ship(2)
	f.must(deploy.Request{Environment: "staging"})
	f.must(deploy.Request{Environment: "prod", Action: deployment.Promote})
	f.scan.stops[one.Digest] = true
	f.pass(30 * 24 * time.Hour)
	f.must(deploy.Request{Environment: "prod", Action: deployment.Rollback})
	f.runs("prod", one)
}
