// Package berthproc runs real `berth serve` processes for tests: builds the program once, starts it on a
// free loopback port with either pair of storage, kills it without warning or stops it politely, and starts
// it again on the same port and data.
//
// Everything a test needs of a server goes through what users have: flags and environment variables in,
// `berth env`, HTTP and exit codes out. No package of the server is linked in. What looks behind the server's back, at its
// bytes and its database, is in behind.go. Processes are ended by their own id when the test ends, and by the kernel if the
// test process dies first.
package berthproc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout is generous: two cores may be busy with other tests.
	startTimeout = 60 * time.Second
	stopTimeout  = 90 * time.Second
)

// Config is what a test may decide about a server. The zero value is SQLite and a directory.
type Config struct {
	Storage Storage
	Data    string   // the data directory; empty makes one
	Args    []string // further flags
	Env     []string // further variables, NAME=value
}

// Server is one server and its successors on the same port and data.
type Server struct {
	Host string // 127.0.0.1:port
	URL  string // http://127.0.0.1:port
	Data string

	t     testing.TB
	store Storage
	args  []string
	env   []string
	log   *tail
	leaks *leaks
	proc  *process // nil when none runs

	exports map[string]string // what `berth env` printed; it does not change over restarts
}

// process is one run of the program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
}

// Start starts a server and waits until it is ready. It ends with the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s := New(t, c)
	s.Start()
	return s
}

// New prepares a server without starting it.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Data == "" {
		c.Data = filepath.Join(t.TempDir(), "data")
	}
	host := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	args := []string{"serve", "--listen", host, "--data", c.Data}
	s := &Server{
		Host: host, URL: "http://" + host, Data: c.Data, t: t, store: c.Storage,
		args: append(append(args, c.Storage.Args...), c.Args...),
		env:  append(append(cleanEnvironment(t.TempDir()), c.Storage.Env...), c.Env...),
		log:  &tail{max: 256 << 10}, leaks: &leaks{},
	}
	t.Cleanup(s.end)
	return s
}

// Start launches the process and waits for /readyz.
func (s *Server) Start() {
	s.t.Helper()
	s.Launch()
	s.WaitReady()
}

// Launch starts the process without waiting for anything.
func (s *Server) Launch() {
	s.t.Helper()
	if s.proc != nil {
		s.t.Fatal("berthproc: the server is running already")
	}
	cmd := exec.Command(Binary(s.t), s.args...) //nolint:noctx // it outlives any one context; end ends it
	cmd.Env = s.env
	log := io.MultiWriter(s.log, s.leaks)
	cmd.Stdout, cmd.Stderr = log, log // one writer for both: os/exec then writes from one goroutine
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("starting %s: %v", cmd, err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state it leaves in cmd is what callers look at
		close(p.done)
	}()
	s.proc = p
}

// WaitReady polls /readyz until it answers 200, and fails the test when the process ends first.
func (s *Server) WaitReady() {
	s.t.Helper()
	p := s.proc
	deadline := time.Now().Add(startTimeout)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		last := probe(s.t.Context(), client, s.URL+"/readyz")
		if last == nil {
			return
		}
		select {
		case <-p.done:
			s.t.Fatalf("berth serve ended before it was ready: %v\n%s", p.cmd.ProcessState, s.log)
		case <-s.t.Context().Done():
			s.t.Fatal("the test ended while berth serve was starting")
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("berth serve is not ready after %v: %v\n%s", startTimeout, last, s.log)
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", url, resp.Status, body)
	}
	return nil
}

// Healthy tells whether the process runs and says that it is ready.
func (s *Server) Healthy() error {
	if s.proc == nil {
		return errors.New("berth serve is not running")
	}
	select {
	case <-s.proc.done:
		return fmt.Errorf("berth serve has ended: %v", s.proc.cmd.ProcessState)
	default:
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return probe(context.Background(), client, s.URL+"/readyz")
}

// Kill ends the process the way a crash does: SIGKILL, no warning. It returns when the process is gone.
func (s *Server) Kill() {
	s.t.Helper()
	p := s.take()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatalf("killing berth serve: %v", err)
	}
	<-p.done
}

// Terminate sends SIGTERM and returns at once; Wait says how it ended.
func (s *Server) Terminate() {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("berthproc: no server is running")
	}
	if err := s.proc.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("stopping berth serve: %v", err)
	}
}

// Wait waits for the process to end by itself and gives its exit code.
func (s *Server) Wait() int {
	s.t.Helper()
	p := s.take()
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		s.t.Fatalf("berth serve did not end within %v\n%s", stopTimeout, s.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop ends the process with SIGTERM and fails the test unless it ends cleanly.
func (s *Server) Stop() {
	s.t.Helper()
	s.Terminate()
	if code := s.Wait(); code != 0 {
		s.t.Fatalf("berth serve ended with code %d after SIGTERM, want 0\n%s", code, s.log)
	}
}

// Restart starts the server again on the same port and data.
func (s *Server) Restart() {
	s.t.Helper()
	s.Start()
}

// RestartWith is Restart with further flags, which count from then on.
func (s *Server) RestartWith(args ...string) {
	s.t.Helper()
	s.args = append(s.args, args...)
	s.Start()
}

// Log is the newest part of what the processes printed.
func (s *Server) Log() string { return s.log.String() }

// MemoryPeak is the most memory the running process has had resident, in bytes, or 0 where the system
// does not tell.
func (s *Server) MemoryPeak() int64 {
	if s.proc == nil {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.proc.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// take gives the running process and forgets it.
func (s *Server) take() *process {
	s.t.Helper()
	p := s.proc
	if p == nil {
		s.t.Fatal("berthproc: no server is running")
	}
	s.proc = nil
	return p
}

// end is the clean-up: it ends what still runs, and shows the log of a test that failed.
func (s *Server) end() {
	if p := s.proc; p != nil {
		s.proc = nil
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
	s.checkLeaks()
	log := s.log.String()
	if strings.Contains(log, "panic:") || strings.Contains(log, "DATA RACE") {
		s.t.Errorf("berth serve panicked or raced:\n%s", lastLines(log, 200))
	} else if s.t.Failed() {
		s.t.Logf("the end of the server's log:\n%s", lastLines(log, 30))
	}
}

// lastLines gives the last n lines that are worth a look: requests that went as they should are many.
func lastLines(s string, n int) string {
	var lines []string
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "msg=request ") || strings.Contains(line, " status=5") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
