package targettest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// Registry is a registry on the loopback interface that has an image of each behaviour, for places that run real containers. Who
// pulls must log in. The images' program is testdata/app, which says what it answers.
type Registry struct {
	Host         string
	User, Secret string

	images map[Behaviour]oci.Digest
}

// Port is where the program in the images listens, unless the variable PORT says otherwise.
const Port = "8080"

// built is the program of the images, made once.
var built = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "berth-app")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "app")
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../targettest/testdata/app") // tests run in a package beside this one
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, &exec.Error{Name: string(out), Err: err}
	}
	return os.ReadFile(path)
})

// NewRegistry starts one for the length of the test. Change changes the images' configuration, if it is not nil.
func NewRegistry(t testing.TB, change func(*v1.Config)) *Registry {
	t.Helper()
	program, err := built()
	if err != nil {
		t.Fatalf("building the images' program: %v", err)
	}
	r := &Registry{User: "AWS", Secret: "a secret " + rand.Text(), images: map[Behaviour]oci.Digest{}}
	store := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, secret, _ := q.BasicAuth(); user != r.User || secret != r.Secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.Host = strings.TrimPrefix(server.URL, "http://")
	seed := rand.Text() // no two tests have the same images
	for _, b := range []Behaviour{First, Second, Third, Sick, Ending} {
		r.images[b] = r.push(t, program, b, seed, change)
	}
	r.images[Missing] = "sha256:" + oci.Digest(strings.Repeat("0123456789abcdef", 4))
	return r
}

func (r *Registry) push(t testing.TB, program []byte, b Behaviour, seed string, change func(*v1.Config)) oci.Digest {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0)})
	if err == nil {
		_, err = w.Write(program)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint: []string{"/app"}, Env: []string{"BEHAVIOUR=" + string(b), "SEED=" + seed},
		ExposedPorts: map[string]struct{}{Port + "/tcp": {}},
	}
	if change != nil {
		change(&file.Config)
	}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(r.Host + "/shop/web:" + string(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context()), remote.WithAuth(&authn.Basic{Username: r.User, Password: r.Secret})); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return oci.Digest(digest.String())
}

// Image gives one of the images, for an app in an environment.
func (r *Registry) Image(app, environment string, b Behaviour) deploy.Image {
	return deploy.Image{
		App: app, Environment: environment, Repository: r.Host + "/shop/web", Digest: r.images[b], Commit: strings.Repeat("c0", 20), Deployment: "d-" + string(b),
		Login: func(context.Context) (string, string, error) { return r.User, r.Secret, nil },
	}
}

// Digest is that of the image of a behaviour, as the program answers it: "" of none.
func (r *Registry) Digest(b string) oci.Digest { return r.images[Behaviour(b)] }

// Ask asks the program at an address for its behaviour, and tells whether it is healthy.
func Ask(ctx context.Context, c *http.Client, base string) (behaviour string, healthy bool, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, base, http.NoBody)
	if err != nil {
		return "", false, err
	}
	answer, err := c.Do(q)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), answer.StatusCode == http.StatusOK, err
}
