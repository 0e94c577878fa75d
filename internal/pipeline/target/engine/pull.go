package engine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Pull has the engine fetch an image by its digest, unless it has it. The login goes with the request: it is on nobody's disk.
func (e *Engine) Pull(ctx context.Context, image deploy.Image, say *progress.Task) error {
	ref := image.Reference()
	_, err := e.API.ImageInspect(ctx, ref)
	switch {
	case err == nil:
		return nil
	case errdefs.IsNotFound(err):
		return e.fetch(ctx, image, ref, say)
	default:
		return e.Failed("looking for the image "+ref, err)
	}
}

func (e *Engine) fetch(ctx context.Context, image deploy.Image, ref string, say *progress.Task) error {
	say.Note("pulling " + ref)
	var o client.ImagePullOptions
	if image.Login != nil {
		user, secret, err := image.Login(ctx)
		if err != nil {
			return fmt.Errorf("logging in to pull %s: %w", ref, err)
		}
		host, _, _ := strings.Cut(image.Repository, "/")
		auth, err := json.Marshal(registry.AuthConfig{Username: user, Password: secret, ServerAddress: host})
		if err != nil {
			return err //nolint:wrapcheck // cannot happen
		}
		o.RegistryAuth = base64.URLEncoding.EncodeToString(auth)
	}
	answer, err := e.API.ImagePull(ctx, ref, o)
	if err != nil {
		return e.Failed("pulling "+ref, err)
	}
	defer func() { _ = answer.Close() }()
	type layer struct{ done, total int64 }
	layers := map[string]layer{}
	for m, err := range answer.JSONMessages(ctx) {
		if err != nil {
			return e.Failed("pulling "+ref, err)
		}
		if m.Error != nil {
			return fmt.Errorf("pulling %s: %s", ref, plan.Printable(m.Error.Error()))
		}
		if m.Progress == nil || m.Status != "Downloading" {
			continue
		}
		layers[m.ID] = layer{m.Progress.Current, m.Progress.Total}
		var sum layer
		for _, l := range layers {
			sum.done, sum.total = sum.done+l.done, sum.total+l.total
		}
		say.Bytes(sum.done, sum.total)
	}
	return nil
}
