// Package build makes the image of an app from its Dockerfile: with docker and BuildKit (buildx), with plain docker, or with
// buildah, behind one interface. It pushes nothing. What comes out is an image in OCI's media types, which is the same each
// time that a commit is built with the same builder, as far as the instructions of the Dockerfile make the same files.
//
// A Dockerfile is built from a copy, in which names of other apps' images are replaced by what was just pushed, by digest. A
// login is in a file that only its owner reads, for as long as the build runs, and in no argument and no environment.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Builder makes an image of a Spec.
type Builder interface {
	// Name is buildx, docker or buildah.
	Name() string
	// Build makes the image; what the builder prints goes to out. An error of the build itself is an *Error. When ctx ends, so do the
	// programs that were started, and nothing is left behind.
	Build(ctx context.Context, s Spec, out io.Writer) (*Built, error)
}

// Spec is what is to be built. Paths are from the root, with slashes.
type Spec struct {
	App        string
	Root       string // of the workspace, on disk
	Context    string
	Dockerfile string
	Target     string // a stage; the last one if ""
	Args       map[string]string
	Platforms  []string // such as linux/arm64; the builder's own if none

	// Bases are images that the Dockerfile names in FROM, COPY --from or RUN --mount=from=, as they are when the ARGs are put in,
	// and what is to be taken for each, with a digest.
	Bases map[string]string

	Labels      map[string]string // of the configuration of each platform's image
	Annotations map[string]string // of the manifest, or of the index where there are several platforms
	Epoch       time.Time         // the time of all that the build makes: the commit's

	NoCache       bool   // run each instruction, though the builder may know what comes of it
	Cache         string // the reference of a cache in a registry; "" for none
	CacheReadOnly bool   // as for a build that is to leave nothing in the registry

	Login *Login // for bases and the cache; nil for what the machine's user is logged in to
}

// Login is how to get into one registry.
type Login struct {
	Host      string // as in a reference, with a port if it has one
	PlainHTTP bool   // it has no TLS
	Secret    func(ctx context.Context) (user, secret string, err error)
}

// Built is an image, or an index of images where more than one platform was asked for.
type Built struct {
	Image   v1.Image      // nil if there is an Index
	Index   v1.ImageIndex // nil if there is an Image
	Digest  v1.Hash
	Builder string
	Notes   []string // what of the Spec was left out, and what else is worth knowing

	dir string
}

// Close removes the files that the image is read from.
func (b *Built) Close() error { return os.RemoveAll(b.dir) }

// Error is that a Dockerfile could not be built.
type Error struct {
	Builder string
	Path    string // of the Dockerfile, from the root
	Line    int    // in it; 0 if the builder does not say
	Text    string // what the builder says
}

// Error says where and what.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Text)
}

// job is one build on its way.
type job struct {
	Spec
	builder    string
	network    string
	dir        string // of temporary files
	context    string // on disk
	dockerfile string // on disk, with the bases replaced
	ignoreFile string // on disk, "" if there is none
	recipe     plan.Pinned
	broken     int // the line that could not be read
	out        io.Writer
	notes      []string
}

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// prepare looks at what is to be built and makes a directory with the Dockerfile for it. The caller removes it.
func (c Config) prepare(s Spec, builder string, out io.Writer) (*job, error) {
	j := &job{Spec: s, builder: builder, network: c.Network, out: out}
	root, err := filepath.EvalSymlinks(s.Root)
	if err != nil {
		return nil, fmt.Errorf("the workspace: %w", err)
	}
	if j.context, err = inside(root, s.Context, "the build's context"); err != nil {
		return nil, err
	}
	if info, err := os.Stat(j.context); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("the build's context %s is no directory", s.Context)
	}
	original, err := inside(root, s.Dockerfile, "the Dockerfile")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return nil, fmt.Errorf("the Dockerfile: %w", err)
	}
	args := map[string]workspace.ArgValue{}
	for k, v := range s.Args {
		args[k] = workspace.ArgValue(v)
	}
	if j.recipe, err = plan.Pin(text, args, s.Target, s.Bases); err != nil {
		if m := lineWord.FindStringSubmatch(err.Error()); m != nil {
			j.broken = number(m[1])
		}
		if _, ok := errors.AsType[*plan.NoStageError](err); ok || len(s.Bases) > 0 {
			return nil, &Error{builder, s.Dockerfile, j.broken, err.Error()}
		}
		j.recipe = plan.Pinned{Text: text} // the builder may know more of the language
	}
	for _, name := range j.recipe.Unnamed {
		return nil, &Error{builder, s.Dockerfile, 0, fmt.Sprintf("names no image %s, which was to be replaced by %s", name, s.Bases[name])}
	}
	if j.dir, err = os.MkdirTemp(c.Temp, "berth-build-"); err != nil {
		return nil, fmt.Errorf("a directory for the build: %w", err)
	}
	if err := j.write(original); err != nil {
		return nil, errors.Join(err, os.RemoveAll(j.dir))
	}
	return j, nil
}

// write makes the Dockerfile's copy, with the file beside it that says what of the context is left out. One that is named after
// the Dockerfile goes before the context's.
func (j *job) write(original string) error {
	j.dockerfile = filepath.Join(j.dir, "Dockerfile")
	if err := os.WriteFile(j.dockerfile, j.recipe.Text, 0o600); err != nil {
		return fmt.Errorf("the Dockerfile's copy: %w", err)
	}
	for _, name := range []string{original + ".dockerignore", filepath.Join(j.context, ".dockerignore")} {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("what is left out of the context: %w", err)
		}
		j.ignoreFile = j.dockerfile + ".dockerignore"
		if err := os.WriteFile(j.ignoreFile, text, 0o600); err != nil {
			return fmt.Errorf("what is left out of the context: %w", err)
		}
		return nil
	}
	return nil
}

// inside gives a path of the workspace on disk, which no link leads out of it.
func inside(root, name, what string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(path.Clean(name))) {
		return "", fmt.Errorf("%s %s is outside of the workspace", what, name)
	}
	found, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if found != root && !strings.HasPrefix(found, root+string(filepath.Separator)) {
		return "", fmt.Errorf("%s %s leads outside of the workspace, to %s", what, name, found)
	}
	return found, nil
}
