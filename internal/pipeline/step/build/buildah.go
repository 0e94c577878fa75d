package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildah builds without an engine.
type buildah struct{ Config }

func (c Config) findBuildah(ctx context.Context) (Builder, error) {
	if err := c.program("buildah"); err != nil {
		return nil, err
	}
	if _, err := c.ask(ctx, "buildah", "info"); err != nil {
		return nil, fmt.Errorf("buildah is here, and cannot work: %w", err)
	}
	return &buildah{c}, nil
}

// Name is buildah.
func (b *buildah) Name() string { return "buildah" }

// Build makes the image for one platform after the other. Buildah keeps each without a name, for the next build.
func (b *buildah) Build(ctx context.Context, s Spec, out io.Writer) (_ *Built, err error) {
	j, err := b.prepare(s, b.Name(), out)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(j.dir))
		}
	}()
	if s.Cache != "" {
		j.note("buildah's cache is on this machine, not in a registry")
	}
	login, done, err := b.login(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if len(s.Platforms) < 2 {
		image, err := b.image(ctx, j, login, strings.Join(s.Platforms, ""))
		if err != nil {
			return nil, err
		}
		return j.finished(image, nil)
	}
	var images []v1.Image
	annotations := j.Annotations
	j.Annotations = nil // those are the index's
	for _, platform := range s.Platforms {
		image, err := b.image(ctx, j, login, platform)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	idx, err := index(images, annotations)
	if err != nil {
		return nil, fmt.Errorf("the index of what was built: %w", err)
	}
	return j.finished(nil, idx)
}

// login gives the arguments that let buildah into the registry.
func (b *buildah) login(ctx context.Context, j *job) (args []string, done func() error, err error) {
	if j.Login == nil {
		return nil, func() error { return nil }, nil
	}
	user, secret, err := j.Login.Secret(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("logging in to %s: %w", j.Login.Host, err)
	}
	own := b.env("REGISTRY_AUTH_FILE")
	if dir := b.env("XDG_RUNTIME_DIR"); own == "" && dir != "" {
		own = filepath.Join(dir, "containers", "auth.json")
	}
	if _, err := os.Stat(own); err != nil {
		own = filepath.Join(b.ownDocker(), dockerSettings)
	}
	file := filepath.Join(j.dir, "auth.json")
	done = func() error { return os.RemoveAll(file) }
	if err := withLogin(own, file, j.Login.Host, user, secret); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	args = []string{"--authfile", file}
	if j.Login.PlainHTTP {
		args = append(args, "--tls-verify=false")
	}
	return args, done, nil
}

// image builds for one platform.
func (b *buildah) image(ctx context.Context, j *job, login []string, platform string) (v1.Image, error) {
	dir, err := os.MkdirTemp(j.dir, "built-")
	if err != nil {
		return nil, fmt.Errorf("a directory for the image: %w", err)
	}
	ignore := j.ignoreFile
	if ignore == "" { // so that buildah looks for none under a name of its own
		ignore = filepath.Join(dir, "ignore")
		if err := os.WriteFile(ignore, nil, 0o600); err != nil {
			return nil, fmt.Errorf("what is left out of the context: %w", err)
		}
	}
	ids := filepath.Join(dir, "id")
	args := []string{"build", "--layers", "--force-rm", "--format", "oci", "--iidfile", ids, "--file", j.dockerfile, "--ignorefile", ignore}
	args = append(append(args, login...), j.common()...)
	if platform != "" {
		args = append(args, "--platform", platform)
	}
	if err := b.build(ctx, j, nil, nil, "buildah", append(args, j.context)...); err != nil {
		return nil, err
	}
	id, err := os.ReadFile(ids)
	if err != nil {
		return nil, fmt.Errorf("what buildah built: %w", err)
	}
	// We compress by ourselves, so that the same comes of it each time.
	to := filepath.Join(dir, "image")
	if _, err := b.ask(ctx, "buildah", "push", "--disable-compression", "--format", "oci", strings.TrimSpace(string(id)), "oci:"+to); err != nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	made, _, err := readLayout(to, nil)
	if err != nil || made == nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	s, err := sourceOf(made)
	if err != nil {
		return nil, fmt.Errorf("the image that was built: %w", err)
	}
	if base := j.recipe.Base; base != "" {
		if layers, err := b.ask(ctx, "buildah", "inspect", "--type", "image", "--format", "{{len .OCIv1.RootFS.DiffIDs}}", base); err == nil {
			s.base = number(layers)
		}
	}
	return b.normal(ctx, j, s)
}
