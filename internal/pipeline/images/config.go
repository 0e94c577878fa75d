package images

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// configure reads the configurations of variants, with the instructions that made their layers.
func (c *Client) configure(ctx context.Context, all []Variant) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range all {
		v := &all[i]
		if v.config.Digest == "" {
			continue
		}
		group.Go(func() error {
			text, err := c.Distribution.Blob(ctx, c.Repository, v.config.Digest, maxConfig)
			if err != nil {
				return err //nolint:wrapcheck // names the blob
			}
			file, err := v1.ParseConfigFile(bytes.NewReader(text))
			if err != nil {
				return fmt.Errorf("reading the configuration of %s: %w", v.Digest, err)
			}
			v.take(file)
			return nil
		})
	}
	return group.Wait() //nolint:wrapcheck // as above
}

// take notes what a configuration says.
func (v *Variant) take(file *v1.ConfigFile) {
	if v.Platform == "" {
		v.Platform = platformName(file.Platform())
	}
	of := file.Config
	v.Config = &Config{
		Entrypoint: of.Entrypoint, Cmd: of.Cmd, User: of.User, WorkingDir: of.WorkingDir, Env: map[string]string{}, Labels: of.Labels,
		Ports: slices.Sorted(maps.Keys(of.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(of.Volumes)), StopSignal: of.StopSignal,
	}
	if at := file.Created.Time; at.Unix() > 0 { // reproducible builds say 1970
		v.Config.Created = at.UTC()
	}
	if of.Healthcheck != nil {
		v.Config.Healthcheck = of.Healthcheck.Test
	}
	for _, e := range of.Env {
		name, value, _ := strings.Cut(e, "=")
		v.Config.Env[name] = value
	}
	var made []string
	for _, h := range file.History {
		if !h.EmptyLayer {
			made = append(made, Instruction(h.CreatedBy))
		}
	}
	if len(made) != len(v.Layers) { // then nobody can say which made which
		return
	}
	for i := range v.Layers {
		v.Layers[i].CreatedBy = made[i]
	}
}

var (
	nop       = regexp.MustCompile(`^/bin/sh -c #\(nop\)\s*`)
	buildArgs = regexp.MustCompile(`^(RUN )?\|\d+ `)
	shell     = regexp.MustCompile(`^/bin/(ba|da)?sh (-\S+ (\w+ )?)*?-\w*c\s+`)
)

// Instruction makes of an image's history an instruction of a Dockerfile again. Values of build arguments, which builders note
// before the command of a RUN, are left out: people give them secrets.
func Instruction(createdBy string) string {
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(createdBy), "# buildkit"))
	if nop.MatchString(text) {
		return nop.ReplaceAllString(text, "")
	}
	if buildArgs.MatchString(text) {
		text = buildArgs.ReplaceAllString(text, "")
		i := strings.Index(text, "/bin/sh -c ") // after the values, which may be anything
		if i < 0 {
			return "RUN (a command with build arguments)"
		}
		return "RUN " + shell.ReplaceAllString(text[i:], "")
	}
	command, isRun := strings.CutPrefix(text, "RUN ")
	if shell.MatchString(command) {
		return "RUN " + shell.ReplaceAllString(command, "")
	}
	if isRun {
		return "RUN " + command
	}
	return text
}
