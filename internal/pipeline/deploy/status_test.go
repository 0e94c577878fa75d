package deploy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestStatus: the records and the target are both asked, and one that is not there is said so.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.must(deploy.Request{Environment: "prod", Action: deployment.Promote})
	two := f.ship(2)
	f.place.running["prod/web"] = two.Digest // by somebody else's hand
	d := f.as("ada")
	all, err := d.Status(t.Context(), deploy.StatusRequest{Apps: []string{"shop"}, Timeout: time.Minute})
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []struct {
		app, environment string
		ever, drift      bool
	}{{"shop", "staging", false, false}, {"web", "staging", true, false}, {"shop", "prod", false, false}, {"web", "prod", true, true}} {
		s := all[i]
		if s.App != want.app || s.Environment != want.environment || (s.State.Runs != nil) != want.ever || s.Drift != want.drift || s.Running == nil {
			t.Errorf("%+v, want %+v", s, want)
		}
	}
	if all[1].State.Runs.Image.Digest != one.Digest || len(all[1].Tags) != 1 || all[1].Tags[0] != "web-"+commit(1) {
		t.Errorf("staging runs %+v with the tags %v", all[1].State.Runs, all[1].Tags)
	}
	f.place.gone = true
	all, err = d.Status(t.Context(), deploy.StatusRequest{Apps: []string{"web"}, Only: true, Environments: []string{"prod"}})
	if err != nil || len(all) != 1 || !errors.Is(all[0].NotRunning, deploy.ErrUnreachable) || all[0].Running != nil || all[0].Drift {
		t.Errorf("a target that is not there: %+v, %v", all, err)
	}
	if all, err = d.Status(t.Context(), deploy.StatusRequest{RecordsOnly: true}); err != nil || len(all) != 2 || all[0].Running != nil || all[0].NotRunning != nil {
		t.Errorf("the records alone: %+v, %v", all, err)
	}
	if _, err := d.Status(t.Context(), deploy.StatusRequest{Environments: []string{"qa"}}); !errors.Is(err, deploy.ErrNoEnvironment) {
		t.Errorf("an environment that is not there: %v", err)
	}
	places, err := f.records().Runs(t.Context(), one.Digest)
	if err != nil || len(places) != 2 || places[0].Environment != "prod" || places[1].Environment != "staging" || places[0].Actor != "ada" {
		t.Errorf("the image runs in %+v, %v", places, err)
	}
	if places, err = f.records().Runs(t.Context(), two.Digest); err != nil || len(places) != 0 {
		t.Errorf("the other runs in %+v, %v", places, err)
	}
}
