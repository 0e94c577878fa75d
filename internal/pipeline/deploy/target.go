// Package deploy puts an image to run where an environment says, and keeps the record of it in the registry: deploy,
// promote, roll back, and what runs where since when.
//
// What runs images is a Target, of which there is a package for each kind in internal/pipeline/target. docs/design/deploy.md
// says who does what, and what a deployer that dies leaves behind; docs/design/deployments.md has the records.
package deploy

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Image is an image for a target to run, always by its digest.
type Image struct {
	App         string
	Environment string
	Repository  string // with the registry's host, as docker writes it
	Digest      oci.Digest
	Commit      string // that it was built from, "" if nobody knows
	Deployment  string // the id of the deployment, for what the target labels
	Login       Login
}

// Reference is what a puller is told.
func (i Image) Reference() string { return i.Repository + "@" + i.Digest.String() }

// Login gives what a puller logs in with at the registry. It is asked when it is needed, since it ends after a while.
type Login func(ctx context.Context) (user, secret string, err error)

// Running is what a target runs of an app.
type Running struct {
	Digest  oci.Digest // "" if nothing, or nothing of Berth's
	Begun   oci.Digest // of a switch that was begun and not ended, "" if there is none
	Stale   bool       // it runs with other settings than the options give it now, so that a switch to the same image replaces it
	Healthy *bool      // by the target's own notion, nil if it has none
	Detail  string     // for people, a line: how many replicas, since when, why not
}

// Endpoint is where what a target has just started answers, as seen from here.
type Endpoint struct {
	Host      string // "" if it cannot be reached from here
	Port      int    // 0 if it has none
	Container string // for targets whose containers commands can be run in
}

// Check tells whether what was started is healthy, and comes back when it is, or will not be. A check that has to reach an endpoint
// gives ErrNoAddress for one that cannot be reached from here.
type Check func(ctx context.Context, at Endpoint) error

// Target is a place that runs the image of one app in one environment. Its methods are not called at once.
type Target interface {
	// Running tells what runs now. It changes nothing.
	Running(ctx context.Context, app, environment string) (Running, error)
	// Switch has an image run instead of what does. What runs stays until the new one is ready by the target's own notion and
	// the check has passed. A switch to what runs already checks it, and is done, or Undone. Errors are Undone, where what ran
	// before runs as before, or Broken, where it may not; any other error is from before anything was touched. A context that ends has
	// it undone. It takes over what a switch that was killed has left.
	Switch(ctx context.Context, to Image, check Check, say *progress.Task) error
	// Close ends what was opened.
	Close() error
}

// ErrUnreachable is that a target does not answer.
var ErrUnreachable = errors.New("the target does not answer")

// ErrNoAddress is a Check's, that health cannot be asked for where there is no host or port to ask. A target that starts an image twice,
// at first where nobody can reach it, goes on after it.
var ErrNoAddress = errors.New("its health cannot be asked for: it has no address that can be reached from here")

// Undone is that an image does not run, and that what ran before runs as before.
type Undone struct{ Err error }

// Error says why.
func (e *Undone) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *Undone) Unwrap() error { return e.Err }

// Broken is that an image does not run as it should, and neither does what ran before.
type Broken struct {
	Err  error // why it does not
	Undo error // why the other does not
}

// Error says both.
func (e *Broken) Error() string {
	return e.Err.Error() + "; and what ran before could not be put back: " + e.Undo.Error()
}

// Unwrap gives both.
func (e *Broken) Unwrap() []error { return []error{e.Err, e.Undo} }

// Undoing is how long undoing may take when whoever asked has gone.
const Undoing = time.Minute
