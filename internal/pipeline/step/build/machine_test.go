package build_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
)

// missing ends a test for want of something on this machine.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
		t.Fatal(why + " (BERTH_TEST_REQUIRE=all makes this a failure)")
	}
	t.Skip(why)
}

// tool finds a program on PATH or among the project's tools.
func tool(program string) (string, bool) {
	if path, err := exec.LookPath(program); err == nil {
		return path, true
	}
	dir := os.Getenv("TOOLS")
	if dir == "" {
		dir = filepath.Join(os.Getenv("HOME"), ".cache", "berth-tools")
	}
	path := filepath.Join(dir, program)
	_, err := os.Stat(path)
	return path, err == nil
}

// machine is a place where a builder works.
type machine struct {
	want string
	env  []string // what is particular to it, the last of a name counts
	temp string   // all temporary files of builds

	network   string
	platforms bool // it builds for several
}

func (m *machine) config(t *testing.T) build.Config {
	t.Helper()
	return build.Config{Want: m.want, Env: slices.Concat(os.Environ(), m.env), Temp: m.temp, Network: m.network, Cache: t.TempDir()}
}

func (m *machine) builder(t *testing.T) build.Builder {
	t.Helper()
	b, err := build.Find(t.Context(), m.config(t))
	if err != nil {
		t.Fatalf("finding %s: %v", m.want, err)
	}
	if b.Name() != m.want {
		t.Fatalf("found %s, want %s", b.Name(), m.want)
	}
	return b
}

// onEach runs a test with each builder that there is. These are programs and engines that make test does not ask for: make
// test-e2e runs them.
func onEach(t *testing.T, test func(t *testing.T, m *machine)) {
	t.Helper()
	if os.Getenv("BERTH_E2E") == "" {
		t.Skip("real builders are for make test-e2e, or BERTH_E2E=1")
	}
	for name, make := range map[string]func(*testing.T, *machine){"docker": plainDocker, "buildx": buildxEngine, "buildkit": buildxRemote, "buildah": withBuildah} {
		t.Run(name, func(t *testing.T) {
			m := &machine{temp: t.TempDir()}
			t.Cleanup(func() { m.clean(t) })
			make(t, m)
			test(t, m)
		})
	}
}

// clean tells of temporary files that are left.
func (m *machine) clean(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(m.temp)
	if err != nil {
		t.Error(err)
	}
	for _, e := range left {
		t.Errorf("%s is left in the directory for temporary files", e.Name())
	}
}

func plainDocker(t *testing.T, m *machine) {
	t.Helper()
	m.want, m.env = "docker", engine(t)
	m.env = append(m.env, "DOCKER_CONFIG="+t.TempDir())
}

// plugin makes settings of docker with the buildx plugin.
func plugin(t *testing.T) string {
	t.Helper()
	buildx, ok := tool("buildx")
	if !ok {
		missing(t, "docker's buildx plugin is neither in PATH nor among the tools: tools/install.sh buildx")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "cli-plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(buildx, filepath.Join(dir, "cli-plugins", "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func buildxEngine(t *testing.T, m *machine) {
	t.Helper()
	m.want, m.network = "buildx", "none" // an engine of the test's own has no other, and BuildKit does not know that
	m.env = []string{"DOCKER_CONFIG=" + plugin(t)}
	m.env = append(m.env, engine(t)...)
}

func buildxRemote(t *testing.T, m *machine) {
	t.Helper()
	m.want, m.platforms = "buildx", true
	m.env = []string{"DOCKER_CONFIG=" + plugin(t), "DOCKER_HOST=unix:///nowhere"}
	create := exec.CommandContext(t.Context(), "docker", "buildx", "create", "--name", "test", "--use", "--driver", "remote", buildkit(t))
	create.Env = slices.Concat(os.Environ(), m.env)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func withBuildah(t *testing.T, m *machine) {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		missing(t, "buildah is not on PATH")
	}
	m.want, m.platforms = "buildah", true
	dir := short(t)
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("buildah leaves what cannot be removed: %v", err)
		}
	})
	m.env = []string{
		"BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs", "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "TMPDIR=" + dir,
		"CONTAINERS_STORAGE_CONF=" + filepath.Join(dir, "storage.conf"),
	}
	conf := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + dir + "/run\"\ngraphroot = \"" + dir + "/graph\"\n"
	if err := os.WriteFile(filepath.Join(dir, "storage.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := exec.CommandContext(t.Context(), "buildah", "info")
	ask.Env = slices.Concat(os.Environ(), m.env)
	if out, err := ask.CombinedOutput(); err != nil {
		missing(t, "buildah does not work here: "+string(out))
	}
}

// short makes a directory with a name that is short enough for a socket. The caller removes it.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bb") //nolint:usetesting // t.TempDir's names are too long
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// servers are those that the tests started: a docker engine for all, which takes seconds to start, and BuildKit's.
var servers struct {
	sync.Mutex
	engine string // "" if none was needed
	stop   []func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range servers.stop {
		stop()
	}
	os.Exit(code)
}

// engine gives the environment that reaches a docker engine: one that runs, or one of the tests' own.
func engine(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		missing(t, "docker is not on PATH")
	}
	servers.Lock()
	defer servers.Unlock()
	if servers.engine != "" {
		return []string{"DOCKER_HOST=" + servers.engine}
	}
	if host := os.Getenv("DOCKER_HOST"); answers(t, host) {
		if host == "" {
			return nil
		}
		return []string{"DOCKER_HOST=" + host}
	}
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		missing(t, "no docker engine runs, and none can be started")
	}
	for _, driver := range []string{"overlay2", "vfs"} {
		dir := short(t)
		host := "unix://" + dir + "/sock"
		stop, ok := serve(t, dir, func() bool { return answers(t, host) }, "dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
			"--host", host, "--storage-driver", driver, "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false")
		if ok {
			servers.engine, servers.stop = host, append(servers.stop, stop)
			return []string{"DOCKER_HOST=" + host}
		}
		stop()
	}
	missing(t, "dockerd does not start")
	return nil
}

func answers(t *testing.T, host string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "version", "--format", "{{.Server.Version}}")
	if host != "" {
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
	}
	return cmd.Run() == nil
}

// buildkit starts BuildKit's own server.
func buildkit(t *testing.T) string {
	t.Helper()
	daemon, ok := tool("buildkitd")
	if !ok || os.Getuid() != 0 { // optional, also where nothing else may be missing: it takes minutes to build
		t.Skip("BuildKit's server is neither in PATH nor among the tools, or this is not root: tools/install.sh buildkitd")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		missing(t, "runc is not on PATH")
	}
	dir := short(t)
	socket := dir + "/sock"
	stop, ok := serve(t, dir, func() bool { _, err := os.Stat(socket); return err == nil }, daemon, "--root", dir+"/data", "--addr", "unix://"+socket,
		"--oci-worker-net", "host", "--containerd-worker=false")
	t.Cleanup(stop)
	if !ok {
		missing(t, "buildkitd does not start")
	}
	return "unix://" + socket
}

// serve starts a server and waits until it is ready, or has ended. Its directory goes with it.
func serve(t *testing.T, dir string, ready func() bool, program string, args ...string) (stop func(), ok bool) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		_ = os.RemoveAll(dir)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case <-done:
			t.Logf("%s: %s", program, log.String())
			return stop, false
		case <-time.After(50 * time.Millisecond):
			if ready() {
				return stop, true
			}
		}
	}
	return stop, false
}

// shelf is a registry that only somebody with the password may use, with a base image that has a shell.
type shelf struct {
	host   string
	login  *build.Login
	digest v1.Hash // of the base
	layer  v1.Hash // of the base, as it is in the registry
}

const user, secret = "AWS", "s3cr3t-t0k3n-of-the-test"

func newShelf(t *testing.T) *shelf {
	t.Helper()
	inner := ggcr.New(ggcr.Logger(nothing))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s := &shelf{host: strings.TrimPrefix(server.URL, "http://")}
	s.login = &build.Login{Host: s.host, PlainHTTP: true, Secret: loginOf}
	image := shellImage(t)
	s.push(t, "base:1", image)
	var err error
	if s.digest, err = image.Digest(); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if s.layer, err = layers[0].DiffID(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shelf) push(t *testing.T, to string, image v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(s.host+"/"+to, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: user, Password: secret})); err != nil {
		t.Fatal(err)
	}
}

// base is the name of the base by its digest.
func (s *shelf) base() string { return s.host + "/base@" + s.digest.String() }

// shellImage is an image of a shell and its tools. Its files are newer than what the tests build.
func shellImage(t *testing.T) v1.Image {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		missing(t, "busybox, for an image with a shell, is not on PATH")
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "bin/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))},
		{Typeflag: tar.TypeSymlink, Name: "bin/sh", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "bin/sleep", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "bin/cat", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "bin/mkdir", Linkname: "busybox"},
		{Typeflag: tar.TypeSymlink, Name: "bin/ls", Linkname: "busybox"},
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o777},
	} {
		h.ModTime = epoch.Add(24 * time.Hour)
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(program); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", "amd64", []string{"PATH=/bin"}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// tee keeps what a builder prints.
type tee struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen chan struct{} // closed when want was printed
	want string
}

// Write keeps it.
func (o *tee) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if o.want != "" && strings.Contains(o.text.String(), o.want) {
		close(o.seen)
		o.want = ""
	}
	return len(b), nil
}

func (o *tee) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// failure gives an *build.Error.
func failure(t *testing.T, err error) *build.Error {
	t.Helper()
	failed, ok := errors.AsType[*build.Error](err)
	if !ok {
		t.Fatalf("the error is %T: %v, want a *build.Error", err, err)
	}
	return failed
}
