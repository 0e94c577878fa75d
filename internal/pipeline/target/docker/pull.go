package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
)

// pull has the engine fetch the image by its digest, unless it has it. The login goes with the request: it is on nobody's disk.
func (s *switching) pull(ctx context.Context) error {
	ref := s.to.Reference()
	got, err := s.api.ImageInspect(ctx, ref)
	if err != nil && !errdefs.IsNotFound(err) {
		return s.failed("looking for the image "+ref, err)
	}
	if err != nil {
		if err := s.fetch(ctx, ref); err != nil {
			return err
		}
		if got, err = s.api.ImageInspect(ctx, ref); err != nil {
			return s.failed("looking at the image "+ref, err)
		}
	}
	if s.want.health.IsZero() && got.Config != nil && len(got.Config.ExposedPorts) == 1 {
		for text := range got.Config.ExposedPorts {
			s.want.health, _ = network.ParsePort(text) // an image may say anything
		}
	}
	return nil
}

func (s *switching) fetch(ctx context.Context, ref string) error {
	s.say.Note("pulling " + ref)
	var o client.ImagePullOptions
	if s.to.Login != nil {
		user, secret, err := s.to.Login(ctx)
		if err != nil {
			return fmt.Errorf("logging in to pull %s: %w", ref, err)
		}
		host, _, _ := strings.Cut(s.to.Repository, "/")
		auth, err := json.Marshal(registry.AuthConfig{Username: user, Password: secret, ServerAddress: host})
		if err != nil {
			return err //nolint:wrapcheck // cannot happen
		}
		o.RegistryAuth = base64.URLEncoding.EncodeToString(auth)
	}
	answer, err := s.api.ImagePull(ctx, ref, o)
	if err != nil {
		return s.failed("pulling "+ref, err)
	}
	defer func() { _ = answer.Close() }()
	type layer struct{ done, total int64 }
	layers := map[string]layer{}
	for m, err := range answer.JSONMessages(ctx) {
		if err != nil {
			return s.failed("pulling "+ref, err)
		}
		if m.Error != nil {
			return fmt.Errorf("pulling %s: %w", ref, m.Error)
		}
		if m.Progress == nil || m.Status != "Downloading" {
			continue
		}
		layers[m.ID] = layer{m.Progress.Current, m.Progress.Total}
		var sum layer
		for _, l := range layers {
			sum.done, sum.total = sum.done+l.done, sum.total+l.total
		}
		s.say.Bytes(sum.done, sum.total)
	}
	return nil
}
