package deploy_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestTwoTakers: of two who find a deployment whose deployer is dead, the slower one switches from nothing that the quicker one deployed,
// though it had looked before.
func TestTwoTakers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.ship(2)
	f.place.at = func(at string, _ deploy.Image) {
		if at == "begun" {
			panic(killed{})
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = f.run("ada", deploy.Request{Environment: "staging"})
	}()
	three := f.ship(3)
	f.pass(time.Hour)
	var once atomic.Bool
	f.place.at = func(at string, _ deploy.Image) {
		if at == "before" && !once.Swap(true) { // bob has looked, and is about to switch
			if r, err := f.run("carol", deploy.Request{Environment: "staging"}); err != nil || r.Outcome != deploy.OutcomeDeployed {
				t.Errorf("the quicker one: %v, %v", r.Outcome, err)
			}
		}
	}
	_, err := f.run("bob", deploy.Request{Environment: "staging"})
	if _, lost := errors.AsType[*deploy.Conflict](err); !lost || !strings.Contains(err.Error(), "deploy of web in staging by carol") {
		t.Errorf("the slower one: %v", err)
	}
	f.runs("staging", three)
	if got := f.chain("staging"); !strings.HasPrefix(got, "deploy succeeded carol") {
		t.Errorf("the records are %s", got)
	}
}

// TestStatusOfABadChain: records of one app that cannot be read hide no other's.
func TestStatusOfABadChain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.push(image(t, 7, nil), deployment.Tag("staging", "bad"))
	all, err := f.as("ada").Status(t.Context(), deploy.StatusRequest{Apps: []string{"bad", "web"}, Only: true, Environments: []string{"staging"}, RecordsOnly: true})
	if err != nil || len(all) != 2 || all[0].Unread == nil || !strings.Contains(all[0].Unread.Error(), "names no record of a deployment") || all[1].State.Runs == nil {
		t.Errorf("Status gives %+v, %v", all, err)
	}
}
