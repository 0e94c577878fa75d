// Package enginetest has a Docker engine for the tests of targets that need one.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// Engine is one.
type Engine struct {
	Host string
	API  *client.Client
}

var (
	engineOnce sync.Once
	theEngine  *Engine
	engineErr  error
	engineStop = func() {}
)

// Main runs the tests of a package that asks for an engine, and gives the exit code.
func Main(m *testing.M) int {
	defer func() { engineStop() }()
	return m.Run()
}

// New finds the engine of DOCKER_HOST, or starts one of the tests' own, which touches nothing of the machine's. It is for make
// test-e2e alone: containers take their time, and whose engine it is has not asked for them.
func New(t testing.TB) *Engine {
	t.Helper()
	berthproc.Gate(t)
	engineOnce.Do(func() { theEngine, engineStop, engineErr = startEngine() })
	if engineErr != nil {
		berthproc.Missing(t, "no Docker engine: %v", engineErr)
	}
	return theEngine
}

func connect(host string) (*Engine, error) {
	api, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := api.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, err
	}
	return &Engine{host, api}, nil
}

func startEngine() (*Engine, func(), error) {
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

func startDaemon(daemon, driver string, more ...string) (*Engine, func(), error) {
	dir, err := os.MkdirTemp("", "bd") // short, for the socket's path
	if err != nil {
		return nil, nil, err
	}
	host := "unix://" + filepath.Join(dir, "d.sock")
	var log bytes.Buffer
	args := append([]string{
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", host, "--storage-driver", driver,
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false",
	}, more...)
	cmd := exec.CommandContext(context.Background(), daemon, args...)
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

// Front gives the host of a socket before the engine that tells of each change, and is dead after during has given false.
func (e *Engine) Front(t testing.TB, during func() bool) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bf") //nolint:usetesting // short, for the socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	alive, kill := context.WithCancel(context.Background())
	var gone atomic.Bool
	dial := e.API.Dialer()
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
	return "unix://" + filepath.Join(dir, "sock")
}
