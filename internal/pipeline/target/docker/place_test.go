package docker_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/docker"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// engine is a Docker engine for the tests, by its socket.
type engine struct {
	host string
	api  *client.Client
}

var (
	engineOnce sync.Once
	theEngine  *engine
	engineErr  error
	engineStop = func() {}
)

func TestMain(m *testing.M) {
	code := m.Run()
	engineStop()
	os.Exit(code)
}

// newEngine finds the engine of DOCKER_HOST, or starts one of the tests' own, which touches nothing of the machine's.
func newEngine(t *testing.T) *engine {
	t.Helper()
	engineOnce.Do(func() { theEngine, engineStop, engineErr = startEngine() })
	if engineErr != nil {
		berthproc.Missing(t, "no Docker engine: %v", engineErr)
	}
	return theEngine
}

func connect(host string) (*engine, error) {
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := api.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, err
	}
	return &engine{host, api}, nil
}

func startEngine() (*engine, func(), error) {
	nothing := func() {}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		e, err := connect(host)
		return e, nothing, err
	}
	if e, err := connect(client.DefaultDockerHost); err == nil {
		return e, nothing, nil
	}
	daemon, err := exec.LookPath("dockerd")
	if err != nil {
		return nil, nothing, err
	}
	if os.Getuid() != 0 {
		return nil, nothing, errors.New("only root can start one")
	}
	var problems []error
	for _, driver := range []string{"overlay2", "vfs"} {
		e, stop, err := startDaemon(daemon, driver)
		if err == nil {
			return e, stop, nil
		}
		problems = append(problems, err)
	}
	return nil, nothing, errors.Join(problems...)
}

func startDaemon(daemon, driver string) (*engine, func(), error) {
	dir, err := os.MkdirTemp("", "bd") // short, for the socket's path
	if err != nil {
		return nil, nil, err
	}
	host := "unix://" + filepath.Join(dir, "d.sock")
	var log bytes.Buffer
	cmd := exec.Command(daemon, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", host, "--storage-driver", driver,
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		_ = os.RemoveAll(dir)
	}
	deadline := time.After(60 * time.Second)
	for {
		e, err := connect(host)
		if err == nil {
			return e, stop, nil
		}
		select {
		case <-done:
			_ = os.RemoveAll(dir)
			return nil, nil, errors.New(driver + ": " + log.String())
		case <-deadline:
			stop()
			return nil, nil, errors.New(driver + ": " + err.Error())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// front is a socket before the engine that tells of each change, and can go dead.
type front struct {
	host string
	dead context.CancelFunc
}

func newFront(t testing.TB, e *engine, during func() bool) *front {
	t.Helper()
	dir, err := os.MkdirTemp("", "bf") // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	alive, kill := context.WithCancel(context.Background())
	var gone atomic.Bool
	dial := e.api.Dialer()
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		FlushInterval: -1,
		Transport:     &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, DisableKeepAlives: true},
		ModifyResponse: func(answer *http.Response) error {
			if m := answer.Request.Method; (m != http.MethodPost && m != http.MethodDelete) || strings.HasSuffix(answer.Request.URL.Path, "/wait") {
				return nil
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				return err
			}
			answer.Body = io.NopCloser(bytes.NewReader(body))
			if answer.StatusCode < 300 && !during() {
				gone.Store(true)
				kill()
				return errors.New("killed")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: nil, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			panic(http.ErrAbortHandler)
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer context.AfterFunc(alive, cancel)()
		proxy.ServeHTTP(w, r.WithContext(ctx))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { kill(); _ = server.Close() })
	return &front{"unix://" + filepath.Join(dir, "sock"), kill}
}

// decoded are options as berth.yaml has them.
func decoded(t testing.TB, lines ...string) workspace.Options {
	t.Helper()
	text := "repository: shop\napps: [apps/*]\nenvironments:\n  - name: staging\n    target:\n      type: docker\n"
	for _, line := range lines {
		text += "      " + line + "\n"
	}
	f, err := workspace.Parse("berth.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.Environments[0].Target.Options
}

const environment = "staging"

// place is an app on the engine. Its users know its container's name.
type place struct {
	*targettest.Registry
	engine  *engine
	app     string
	options []string
	ask     func(ctx context.Context, container string) (string, error) // what the container of a name answers, "" if nobody does
}

func newPlace(t *testing.T, options ...string) *place {
	t.Helper()
	p := &place{engine: newEngine(t), app: "web-" + strings.ToLower(rand.Text()[:8]), options: options}
	p.Registry = targettest.NewRegistry(t, nil)
	t.Cleanup(func() {
		for _, suffix := range []string{"", ".next", ".trial", ".before"} {
			_, _ = p.engine.api.ContainerRemove(context.Background(), p.name()+suffix, client.ContainerRemoveOptions{Force: true})
		}
		for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending} {
			_, _ = p.engine.api.ImageRemove(context.Background(), p.Image(p.app, environment, b).Reference(), client.ImageRemoveOptions{})
		}
	})
	return p
}

func (p *place) name() string { return p.app + "-" + environment }

func (p *place) open(t testing.TB, host string) deploy.Target {
	t.Helper()
	target, err := docker.Open(t.Context(), docker.Config{Options: decoded(t, append(p.options, "host: "+host)...), Dir: t.TempDir(), Environ: os.Environ(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (p *place) inspect(ctx context.Context, name string) (client.ContainerInspectResult, error) {
	return p.engine.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
}

// left are containers of the app that run beside it, or that are there and not the one before.
func (p *place) left(t testing.TB) []string {
	t.Helper()
	var left []string
	for _, suffix := range []string{".next", ".trial", ".before"} {
		c, err := p.inspect(t.Context(), p.name()+suffix)
		if err == nil && (suffix != ".before" || c.Container.State.Running || c.Container.HostConfig.RestartPolicy.Name != "no") {
			left = append(left, c.Container.Name)
		}
	}
	if c, err := p.inspect(t.Context(), p.name()); err == nil && c.Container.HostConfig.RestartPolicy.Name != "unless-stopped" {
		left = append(left, c.Container.Name+", which nobody starts again")
	}
	return left
}

// suite is the place for the suite.
func (p *place) suite() *targettest.Place {
	return &targettest.Place{
		Open: func(t testing.TB, during func() bool) deploy.Target {
			if during == nil {
				return p.open(t, p.engine.host)
			}
			return p.open(t, newFront(t, p.engine, during).host)
		},
		Gone: func(t testing.TB) (deploy.Target, error) {
			return p.open(t, "unix://"+filepath.Join(t.TempDir(), "nobody")), nil
		},
		Image: func(_ testing.TB, b targettest.Behaviour) deploy.Image { return p.Image(p.app, environment, b) },
		Serves: func(ctx context.Context) (oci.Digest, error) {
			for range 20 { // whoever finds nobody asks again if the name is nobody's or another's by then
				before, _ := p.inspect(ctx, p.name())
				behaviour, err := p.ask(ctx, p.name())
				if behaviour != "" || err != nil {
					return p.Digest(behaviour), err
				}
				if after, err := p.inspect(ctx, p.name()); err == nil && after.Container.ID == before.Container.ID {
					break
				}
			}
			return "", nil
		},
		Instance: func(t testing.TB) string {
			c, err := p.inspect(t.Context(), p.name())
			if err != nil {
				t.Fatal(err)
			}
			return c.Container.ID + " since " + c.Container.State.StartedAt
		},
		Left:    p.left,
		Changes: true,
	}
}

// patience is how long a check asks.
const patience = 3 * time.Second

// until asks until the image answers as healthy. A minute is for a machine that is busy: the sick answer at once, and patience is for them.
func (p *place) until(ctx context.Context, to deploy.Image, ask func(ctx context.Context) (string, bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	for {
		behaviour, healthy, err := ask(ctx)
		if err == nil && healthy && p.Digest(behaviour) == to.Digest {
			return nil
		}
		if err == nil && p.Digest(behaviour) != to.Digest {
			return errors.New(behaviour + " answers")
		}
		if err == nil && since.IsZero() {
			since = time.Now()
		}
		if !since.IsZero() && time.Since(since) > patience/10 {
			return errors.New("it is not healthy")
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func httpBase(host string, port int) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}
