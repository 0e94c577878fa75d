package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Watching is what a watch follows.
type Watching struct {
	Environment string
	Apps        []string
	Every       time.Duration // how long it rests between two looks
	Once        bool          // look once, and come back
	Timeout     time.Duration // of one deployment; DefaultTimeout if 0
	Reason      string        // recorded
}

// Watch deploys in an environment whatever the tags of its apps name that move, until the context ends, for hosts that no CI system
// reaches. What the gate or a rule of the environment refuses is tried again at each look; an image that failed is not, until the tag names
// another. Each deployment is told to done, with its error; a registry that does not answer is noted, and asked again. With Once the error is
// what went wrong with any of the apps: a *Refusal if nothing but rules kept them.
func (d *Deployer) Watch(ctx context.Context, w Watching, task func(app string) *progress.Task, done func(*Result, error)) error {
	seen := map[string]sighting{}
	for {
		for _, app := range w.Apps {
			if ctx.Err() != nil {
				break
			}
			seen[app] = d.follow(ctx, w, app, seen[app], task(app), done)
		}
		if w.Once {
			return wrong(w.Apps, seen)
		}
		rest := time.NewTimer(w.Every)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return nil
		}
	}
}

// MayWatch tells what is wrong with a watch, before it begins.
func (d *Deployer) MayWatch(w Watching) error {
	e, err := environmentOf(d.File, w.Environment)
	if err != nil {
		return err
	}
	if e.Deploy != workspace.Automatic {
		return fmt.Errorf("%w: images go to %s by hand, unless %s says deploy: automatic of it", ErrUsage, e.Name, workspace.Name)
	}
	for _, app := range w.Apps {
		if err := appNamed(app); err != nil {
			return err
		}
		if _, err := movingTag(d.File.Tags, app); err != nil {
			return err
		}
	}
	return nil
}

// sighting is what a watch remembers of an app.
type sighting struct {
	image oci.Digest // that the tag named, and that needs nothing
	said  string     // the last note, which is not said twice
	err   error      // what went wrong, if something did
}

// wrong is the errors of a look. Refusals alone are a refusal.
func wrong(apps []string, seen map[string]sighting) error {
	var refused, failed []error
	for _, app := range apps {
		err := seen[app].err
		if _, ok := errors.AsType[*Refusal](err); ok {
			refused = append(refused, fmt.Errorf("%s: %w", app, err))
		} else if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", app, err))
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return errors.Join(refused...)
}

// follow looks at one app's tag, and deploys what it names if that is another image.
func (d *Deployer) follow(ctx context.Context, w Watching, app string, before sighting, task *progress.Task, done func(*Result, error)) sighting {
	note := func(text string, err error) sighting {
		if text != before.said && ctx.Err() == nil {
			task.Note(text)
		}
		return sighting{said: text, err: err}
	}
	image, there, err := d.follows(ctx, app)
	switch {
	case err != nil:
		return note(err.Error(), err)
	case !there:
		return note("there is no image yet to follow", nil)
	case image == before.image:
		return before
	}
	why, err := d.needsNothing(ctx, w.Environment, app, image)
	if err != nil {
		return note(err.Error(), err)
	}
	if why != "" {
		settled := note(why, nil)
		settled.image = image
		return settled
	}
	task.Begin(image.String())
	result, err := d.Run(ctx, Request{
		Action: deployment.Deploy, App: app, Environment: w.Environment, Digest: image.String(), Timeout: w.Timeout, Reason: w.Reason, Automatic: true,
	}, task)
	if _, refused := errors.AsType[*Refusal](err); refused {
		task.End(progress.Skipped, err.Error())
		return sighting{said: err.Error(), err: err}
	}
	done(result, err)
	switch {
	case ctx.Err() != nil:
		task.End(progress.Stopped, context.Cause(ctx).Error())
	case err != nil:
		task.End(progress.Failed, err.Error())
	default:
		task.End(progress.Done, string(result.Outcome))
		return sighting{image: image}
	}
	return sighting{err: err}
}

// Reasons that are recorded of deployments that nobody asked for, each by itself.
const (
	ReasonWatch = "berth watch"
	ReasonShip  = "berth ship"
)

// needsNothing tells why an image that the tag names is not to be deployed, "" if it is: it runs, or it failed here, or somebody went from it to
// another by hand, which stands until the tag names another. One that was only interrupted is tried again; and one that ran before is
// deployed again if what came after it came by itself: then it is the tag that went back.
func (d *Deployer) needsNothing(ctx context.Context, environment, app string, image oci.Digest) (why string, err error) {
	var after *Entry // the success that came next after those of the image
	err = d.records.Walk(ctx, environment, app, func(e Entry) bool {
		if e.Image.Digest != image {
			if e.Outcome == deployment.Succeeded {
				after = &e
			}
			return true
		}
		switch {
		case e.Outcome == deployment.Succeeded && after == nil:
			why = image.String() + " runs"
		case e.Outcome == deployment.Succeeded && (after.Action == deployment.Rollback || after.Reason != ReasonWatch && after.Reason != ReasonShip):
			why = fmt.Sprintf("%s ran here until %s, and is not deployed again until the tag names another", image, after.sentence())
		case e.Outcome == deployment.Failed && !e.Interrupted(), e.Outcome == deployment.Broken:
			why = fmt.Sprintf("%s failed here, and is not tried again until the tag names another", image)
		}
		return false
	})
	return why, err
}

// follows gives the image that an app's tag names, and whether there is one.
func (d *Deployer) follows(ctx context.Context, app string) (oci.Digest, bool, error) {
	tag, err := movingTag(d.File.Tags, app)
	if err != nil {
		return "", false, err
	}
	found, there, err := d.Images.Tagged(ctx, tag)
	if err != nil {
		return "", false, fmt.Errorf("looking for tag %s: %w", tag, err)
	}
	return found.Digest, there, nil
}
