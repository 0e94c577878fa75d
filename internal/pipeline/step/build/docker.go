package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// docker is the engine's own builder, without BuildKit.
type docker struct {
	Config
	platform string // the engine's
}

// Name is docker.
func (d *docker) Name() string { return "docker" }

// Build makes the image in the engine, and takes it out of there. The engine keeps it without a name, for the next build.
func (d *docker) Build(ctx context.Context, s Spec, out io.Writer) (_ *Built, err error) {
	if len(s.Platforms) > 1 || len(s.Platforms) == 1 && plain(s.Platforms[0]) != plain(d.platform) {
		return nil, fmt.Errorf("docker without buildx builds for its engine's platform alone, which is %s, not for %s: install docker's buildx plugin, or buildah",
			d.platform, strings.Join(s.Platforms, ", "))
	}
	j, err := d.prepare(s, d.Name(), out)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(j.dir))
		}
	}()
	if s.Cache != "" {
		j.note("docker without buildx has no cache in a registry: each instruction whose result the engine does not know is run")
	}
	env, done, err := d.dockerLogin(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	id, err := d.image(ctx, j, env)
	if err != nil {
		return nil, err
	}
	image, err := d.export(ctx, j, id)
	if err != nil {
		return nil, err
	}
	return j.finished(image, nil)
}

// image builds, and gives the engine's name of what came of it.
func (d *docker) image(ctx context.Context, j *job, env []string) (string, error) {
	ids := filepath.Join(j.dir, "id")
	args := []string{"build", "--rm", "--force-rm", "--iidfile", ids, "--file", sentDockerfile}
	args = append(args, j.common()...)
	r, w := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := j.send(w)
		w.CloseWithError(err)
		sent <- err
	}()
	err := d.build(ctx, j, r, append(env, "DOCKER_BUILDKIT=0"), "docker", append(args, "-")...)
	_ = r.Close() // whoever still sends is told that nobody reads
	if sending := <-sent; sending != nil && !errors.Is(sending, io.ErrClosedPipe) {
		return "", sending
	}
	if err != nil {
		return "", err
	}
	id, err := os.ReadFile(ids)
	if err != nil {
		return "", fmt.Errorf("what docker built: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// common are the arguments that all builders take.
func (j *job) common() []string {
	var args []string
	if j.network != "" {
		args = append(args, "--network", j.network)
	}
	if j.Target != "" {
		args = append(args, "--target", j.Target)
	}
	if j.NoCache {
		args = append(args, "--no-cache")
	}
	for _, key := range slices.Sorted(maps.Keys(j.Args)) {
		args = append(args, "--build-arg", key+"="+j.Args[key])
	}
	if _, given := j.Args[epochArg]; j.recipe.Epoch && !given {
		args = append(args, "--build-arg", epochArg+"="+j.epoch())
	}
	for _, key := range slices.Sorted(maps.Keys(j.Labels)) {
		args = append(args, "--label", key+"="+j.Labels[key])
	}
	return args
}

// epochArg is the variable by which programs are told what time to write into what they make.
const epochArg = "SOURCE_DATE_EPOCH"

func (j *job) epoch() string { return strconv.FormatInt(j.Epoch.Unix(), 10) }

// export takes an image out of the engine.
func (c Config) export(ctx context.Context, j *job, id string) (v1.Image, error) {
	file := filepath.Join(j.dir, "image.tar")
	if _, err := c.ask(ctx, "docker", "save", "--output", file, id); err != nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	saved, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	s, err := sourceOf(saved)
	if err != nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	if base := j.recipe.Base; base != "" {
		if layers, err := c.ask(ctx, "docker", "image", "inspect", "--format", "{{len .RootFS.Layers}}", base); err == nil {
			s.base = number(layers) // BuildKit's bases are not there: their layers are clamped like the others
		}
	}
	return c.normal(ctx, j, s)
}

// plain is a platform without the variants that go without saying.
func plain(platform string) string {
	switch p := strings.ToLower(platform); p {
	case "linux/arm64/v8":
		return "linux/arm64"
	case "linux/amd64/v1":
		return "linux/amd64"
	case "linux/arm":
		return "linux/arm/v7"
	default:
		return p
	}
}
