package deploy

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Deployment is one deployment: its start and its outcome, as far as they are recorded.
type Deployment struct {
	Entry           // the outcome, or the start if there is none
	Began time.Time // zero if no start was recorded
	Why   string    // the reason that its start gave
	// Back is how many versions back it is, of the newest success of each image: 0 is what runs. nil for all others.
	Back *int
}

// History lists the deployments of an app in an environment, newest first, at most so many (0: all).
func (d *Deployer) History(ctx context.Context, app, environment string, limit int) ([]Deployment, error) {
	return d.records.History(ctx, app, environment, limit)
}

// History lists the deployments of an app in an environment, newest first, at most so many (0: all).
func (r *Records) History(ctx context.Context, app, environment string, limit int) ([]Deployment, error) {
	var all []Deployment
	err := r.Walk(ctx, environment, app, func(e Entry) bool {
		if n := len(all); n > 0 && all[n-1].Record.Ends(e.Record) {
			all[n-1].Began, all[n-1].Why = e.At, e.Reason
			return true
		}
		if limit > 0 && len(all) == limit {
			return false
		}
		all = append(all, Deployment{Entry: e})
		if e.Outcome == deployment.Started {
			all[len(all)-1].Began = e.At
		}
		return true
	})
	number(all)
	return all, err
}

// number says how many versions back each is. After a deployment that broke what does not run as it should is none of them.
func number(all []Deployment) {
	seen, back := map[oci.Digest]bool{}, 0
	for i := range all {
		d := &all[i]
		switch {
		case d.Outcome == deployment.Broken && back == 0:
			seen[d.Image.Digest] = true
			back = 1
		case d.Outcome == deployment.Succeeded && !seen[d.Image.Digest]:
			seen[d.Image.Digest] = true
			n := back
			d.Back = &n
			back++
		}
	}
}
