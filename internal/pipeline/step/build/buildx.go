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
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// buildx is docker with BuildKit.
type buildx struct {
	Config
	platform string // the engine's, where it is the engine that builds
	exports  bool   // it gives images in OCI's layout; else the engine must be asked for them
}

// findBuildx looks at docker's buildx plugin and at which builder it uses.
func (c Config) findBuildx(ctx context.Context) (Builder, error) {
	if err := c.program("docker"); err != nil {
		return nil, err
	}
	version, err := c.ask(ctx, "docker", "buildx", "version")
	if err != nil || !strings.HasPrefix(version, "github.com/docker/buildx ") { // podman has a word of this name, too
		return nil, errNoBuildx
	}
	described, err := c.ask(ctx, "docker", "buildx", "inspect")
	if err != nil {
		return nil, fmt.Errorf("docker's buildx is here, and its builder does not answer: %w", err)
	}
	b := &buildx{Config: c}
	if driver := field(described, "Driver"); driver != "docker" {
		if problem := field(described, "Error"); problem != "" {
			return nil, fmt.Errorf("docker's buildx is here, and its builder %s does not answer: %s", field(described, "Name"), problem)
		}
		b.exports = true
		return b, nil
	}
	engine, err := c.findDocker(ctx)
	if err != nil {
		return nil, err
	}
	b.platform = engine.(*docker).platform
	status, err := c.ask(ctx, "docker", "info", "--format", "{{json .DriverStatus}}")
	if err != nil {
		return nil, fmt.Errorf("docker's engine: %w", err)
	}
	b.exports = strings.Contains(status, "io.containerd.snapshotter") // with containerd's images, the engine can
	return b, nil
}

// field gives what is behind "Name:" at the beginning of a line of a description.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Name is buildx.
func (b *buildx) Name() string { return "buildx" }

// Build makes the image.
func (b *buildx) Build(ctx context.Context, s Spec, out io.Writer) (_ *Built, err error) {
	if !b.exports && (len(s.Platforms) > 1 || len(s.Platforms) == 1 && plain(s.Platforms[0]) != plain(b.platform)) {
		return nil, fmt.Errorf("the builder that docker's buildx uses is the engine, which builds for %s alone, not for %s: make another with docker buildx create --use",
			b.platform, strings.Join(s.Platforms, ", "))
	}
	if strings.ContainsAny(s.Cache, ",\"\n") {
		return nil, fmt.Errorf("%q is no reference of a cache", s.Cache)
	}
	j, err := b.prepare(s, b.Name(), out)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(j.dir))
		}
	}()
	env, done, err := b.dockerLogin(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	image, index, err := b.make(ctx, j, append(env, epochArg+"="+j.epoch()))
	if err != nil {
		return nil, err
	}
	return j.finished(image, index)
}

func (b *buildx) make(ctx context.Context, j *job, env []string) (v1.Image, v1.ImageIndex, error) {
	// What BuildKit would note of the build itself is left out: it makes an index of each image, and differs each time.
	args := []string{"buildx", "build", "--progress", "plain", "--provenance=false", "--sbom=false", "--file", j.dockerfile}
	args = append(args, j.common()...)
	if len(j.Platforms) > 0 {
		args = append(args, "--platform", strings.Join(j.Platforms, ","))
	}
	if !b.exports {
		return b.load(ctx, j, env, args)
	}
	if j.Cache != "" {
		args = append(args, "--cache-from", "type=registry,ref="+j.Cache)
		if !j.CacheReadOnly { // ECR takes a cache in the form of an image alone
			args = append(args, "--cache-to", "type=registry,ref="+j.Cache+",mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true")
		}
	}
	dir := filepath.Join(j.dir, "image")
	args = append(args, "--output", "type=oci,tar=false,oci-mediatypes=true,rewrite-timestamp=true,dest="+dir, j.context)
	if err := b.build(ctx, j, nil, env, "docker", args...); err != nil {
		return nil, nil, err
	}
	image, index, err := readLayout(dir, j.Annotations)
	if err != nil {
		return nil, nil, fmt.Errorf("the image that was built: %w", err)
	}
	return image, index, nil
}

// load has the engine keep the image, and takes it out of there.
func (b *buildx) load(ctx context.Context, j *job, env, args []string) (v1.Image, v1.ImageIndex, error) {
	if j.Cache != "" {
		j.note("the builder that docker's buildx uses is the engine, which has no cache in a registry: make another with docker buildx create --use")
	}
	ids := filepath.Join(j.dir, "id")
	if err := b.build(ctx, j, nil, env, "docker", append(args, "--load", "--iidfile", ids, j.context)...); err != nil {
		return nil, nil, err
	}
	id, err := os.ReadFile(ids)
	if err != nil {
		return nil, nil, fmt.Errorf("what docker built: %w", err)
	}
	image, err := b.export(ctx, j, strings.TrimSpace(string(id)))
	return image, nil, err
}

// readLayout reads what a builder exported in OCI's layout: one image, or one index.
func readLayout(dir string, annotations map[string]string) (v1.Image, v1.ImageIndex, error) {
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // the caller says of what
	}
	list, err := all.IndexManifest()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // the caller says of what
	}
	if len(list.Manifests) != 1 {
		return nil, nil, fmt.Errorf("there are %d manifests, not one", len(list.Manifests))
	}
	found := list.Manifests[0]
	if found.MediaType.IsIndex() {
		index, err := all.ImageIndex(found.Digest)
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // the caller says of what
		}
		return nil, annotatedIndex(index, annotations), nil
	}
	image, err := all.Image(found.Digest)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // the caller says of what
	}
	return annotatedImage(image, annotations), nil, nil
}
