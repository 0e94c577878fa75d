package ship

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Deployer deploys an image; *deploy.Deployer is one.
type Deployer interface {
	Run(ctx context.Context, r deploy.Request, say *progress.Task) (*deploy.Result, error)
}

// deploy has what was shipped run in the environments that images go to by themselves, one after the other, if all went well: an
// environment gets no image of a commit of which something failed. One that fails or is refused keeps that app from the environments after it.
func (d *doing) deploy(ctx context.Context, works []*work, digests map[string]oci.Digest) error {
	if !d.place.released() {
		d.note("nothing is deployed: the branch is %s, and images of %s are", cmp.Or(d.place.branch, "not known"), cmp.Or(d.place.release, "not known"))
		return nil
	}
	deployer, err := d.Deployer(ctx)
	if err != nil {
		return err
	}
	held := map[string]bool{}
	for _, e := range d.detected.Workspace.Environments {
		if e.Deploy != workspace.Automatic {
			continue
		}
		for _, w := range works {
			digest := digests[w.Name]
			if digest == "" || held[w.Name] || d.overtaken(w.Name) || ctx.Err() != nil {
				continue
			}
			held[w.Name] = d.deployOne(ctx, deployer, w.Name, e.Name, digest) != nil
		}
	}
	return nil
}

func (d *doing) deployOne(ctx context.Context, deployer Deployer, app, environment string, digest oci.Digest) error {
	say := d.task(app, progress.Deploy)
	say.Begin("to " + environment)
	result, err := deployer.Run(ctx, deploy.Request{
		Action: deployment.Deploy, App: app, Environment: environment, Digest: digest.String(), Automatic: true, Wait: true, Reason: deploy.ReasonShip,
	}, say)
	_, refused := errors.AsType[*deploy.Refusal](err)
	switch {
	case err == nil:
		say.End(progress.Done, fmt.Sprintf("%s: %s", environment, result.Outcome))
	case ctx.Err() != nil:
		say.End(progress.Stopped, environment+": "+err.Error())
	case refused:
		say.End(progress.Found, environment+": "+err.Error())
	default:
		say.End(progress.Failed, environment+": "+err.Error())
	}
	return err
}

// overtaken tells whether a newer commit's image was released meanwhile, whose run deploys.
func (d *doing) overtaken(app string) bool {
	image := d.shown[app]
	return image != nil && slices.ContainsFunc(image.Tags, func(t report.Tag) bool { return t.Action == report.Newer })
}
