package build

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// Config is where builders are found and how they are run.
type Config struct {
	Want    string   // buildx, docker or buildah; "" for the best that there is
	Env     []string // the environment of programs; nil for this process's own
	Temp    string   // where temporary files go; "" for the system's place
	Network string   // what RUN reaches: none, host; "" for what the builder gives
	Cache   string   // the user's directory for what is remembered of layers; "" remembers nothing
}

// errNone is that there is nothing to build with.
const errNone = "nothing here builds images: install docker, best with its buildx plugin, or buildah"

// Find gives the best builder that there is: docker with BuildKit, plain docker, buildah.
func Find(ctx context.Context, c Config) (Builder, error) {
	switch c.Want {
	case "buildx":
		b, err := c.findBuildx(ctx)
		if err != nil {
			return nil, err
		}
		return b, nil
	case "docker":
		return c.findDocker(ctx)
	case "buildah":
		return c.findBuildah(ctx)
	case "":
	default:
		return nil, fmt.Errorf("there is no builder %q: buildx, docker and buildah are known", c.Want)
	}
	var problems []error
	for _, find := range []func(context.Context) (Builder, error){c.findBuildx, c.findDocker, c.findBuildah} {
		b, err := find(ctx)
		if err == nil {
			return b, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, errNoBuildx) {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("no image can be built: %w", errors.Join(problems...))
	}
	return nil, errors.New(errNone)
}

var errNoBuildx = errors.New("docker has no buildx plugin")

// findDocker asks the engine, too: a program without one builds nothing.
func (c Config) findDocker(ctx context.Context) (Builder, error) {
	if err := c.program("docker"); err != nil {
		return nil, err
	}
	platform, err := c.ask(ctx, "docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
	if err != nil {
		return nil, fmt.Errorf("docker is here, and its engine does not answer: %w", err)
	}
	return &docker{Config: c, platform: platform}, nil
}

// program looks for one in the environment's PATH.
func (c Config) program(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("%s is not installed: %w", name, err)
	}
	return nil
}
