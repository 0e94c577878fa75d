package ship_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ggcr "github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/berthtest"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/ship"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const repository = "hoopstat-haus/prod"

// yard is a monorepo, a Berth to ship to, and a builder that copies the Dockerfile's directory into a layer.
type yard struct {
	tb     testing.TB
	dir    string
	client *registry.Client

	mu    sync.Mutex
	built []string
	specs []build.Spec
}

// newYard makes an empty monorepo, and a Berth with its repository.
func newYard(tb testing.TB) *yard {
	tb.Helper()
	berth := berthtest.New(tb)
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": berth.URL, "AWS_ENDPOINT_URL_ECR": berth.URL, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": berth.Region,
		"AWS_ACCESS_KEY_ID": berth.AccessKeyID, "AWS_SECRET_ACCESS_KEY": berth.SecretAccessKey,
		"AWS_CONFIG_FILE": filepath.Join(tb.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(tb.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		tb.Setenv(variable, value)
	}
	berth.CreateRepository(tb, repository)
	y := &yard{tb: tb, dir: tb.TempDir()}
	var err error
	if y.client, err = registry.New(tb.Context(), registry.Config{Now: time.Now}); err != nil {
		tb.Fatal(err)
	}
	y.git("init", "--quiet", "--initial-branch=main", "--template=")
	return y
}

func (y *yard) git(args ...string) string {
	y.tb.Helper()
	cmd := exec.CommandContext(y.tb.Context(), "git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
	cmd.Dir = y.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		y.tb.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, by name and text in turn, and commits everything. An empty text removes a file.
func (y *yard) commit(files ...string) string {
	y.tb.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(y.dir, filepath.FromSlash(files[i]))
		if files[i+1] == "" {
			if err := os.Remove(name); err != nil {
				y.tb.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			y.tb.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			y.tb.Fatal(err)
		}
	}
	y.git("add", "--all")
	y.git("commit", "--quiet", "--allow-empty", "--message", "a change")
	return y.git("rev-parse", "HEAD")
}

// Name says which builder it is.
func (y *yard) Name() string { return "copier" }

// Build makes an image of the files of the app's directory.
func (y *yard) Build(_ context.Context, s build.Spec, out io.Writer) (*build.Built, error) {
	if _, err := fmt.Fprintf(out, "copying %s\n", s.Context); err != nil {
		return nil, err
	}
	var text strings.Builder
	files, err := filepath.Glob(filepath.Join(s.Root, filepath.FromSlash(s.Context), "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "%s: %s\n", filepath.Base(name), content)
	}
	for name, digest := range s.Bases {
		fmt.Fprintf(&text, "from %s %s\n", name, digest)
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer([]byte(text.String()), ggcr.OCIUncompressedLayer))
	if err != nil {
		return nil, err
	}
	image = mutate.ConfigMediaType(mutate.MediaType(image, ggcr.OCIManifestSchema1), ggcr.OCIConfigJSON)
	annotated := mutate.Annotations(image, s.Annotations).(v1.Image) //nolint:forcetypeassert // of an image it is one
	digest, err := annotated.Digest()
	y.mu.Lock()
	defer y.mu.Unlock()
	y.built, y.specs = append(y.built, s.App), append(y.specs, s)
	return &build.Built{Image: annotated, Digest: digest, Builder: "copier"}, err
}

// silent is a sink for nobody.
type silent struct{}

func (silent) Event(progress.Event) {}

// ship ships, where images need no scan unless the request says otherwise.
func (y *yard) ship(change func(*ship.Request)) (*report.Summary, error) {
	y.tb.Helper()
	r := ship.Request{Dir: y.dir, Unscanned: workspace.Pass, Jobs: 4}
	if change != nil {
		change(&r)
	}
	return ship.Run(y.tb.Context(), r, ship.Config{
		Client:  func(context.Context) (*registry.Client, error) { return y.client, nil },
		Builder: func(context.Context) (build.Builder, error) { return y, nil },
		Sink:    silent{}, Now: time.Now, Environ: []string{"PATH=" + os.Getenv("PATH")},
	})
}

// tag gives what a tag names, "" if it is not there.
func (y *yard) tag(tag string) string {
	y.tb.Helper()
	name := repository
	out, err := y.client.ECR.DescribeImages(y.tb.Context(), &ecr.DescribeImagesInput{RepositoryName: &name})
	if err != nil {
		y.tb.Fatal(err)
	}
	for _, d := range out.ImageDetails {
		if slices.Contains(d.ImageTags, tag) {
			return *d.ImageDigest
		}
	}
	return ""
}
