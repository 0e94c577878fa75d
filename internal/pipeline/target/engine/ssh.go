package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/process"
)

// dialSSH reaches an engine on another machine by way of ssh, and of docker's own program there, which passes a connection on.
// Who may log in is ssh's business: its keys, its agent, its settings.
func (e *Engine) dialSSH(ctx context.Context, _, _ string) (net.Conn, error) {
	args := []string{"-o", "BatchMode=yes", "-o", "ConnectTimeout=30"}
	if user := e.url.User.Username(); user != "" {
		args = append(args, "-l", user)
	}
	if port := e.url.Port(); port != "" {
		args = append(args, "-p", port)
	}
	args = append(args, "--", e.url.Hostname(), "docker", "system", "dial-stdio")
	// A connection outlives the request that it was made for, and ^C: there may be something to undo through it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "ssh", args...)
	process.Group(cmd)
	cmd.Env = e.Environ
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err //nolint:wrapcheck // cannot happen
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err //nolint:wrapcheck // cannot happen
	}
	c := &tunnel{cmd: cmd, in: in, out: out, ended: make(chan struct{})}
	cmd.Stderr = &c.said
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	return c, nil
}

// tunnel is a program whose input and output are a connection.
type tunnel struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	said complaints

	once  sync.Once
	ended chan struct{}
}

// last is how long a program that has closed its output may take to end, and to say why.
const last = 2 * time.Second

// wait waits for the program's end. Nothing is read any more.
func (c *tunnel) wait() {
	c.once.Do(func() {
		go func() {
			defer close(c.ended)
			_ = c.cmd.Wait() // what it said says more
		}()
	})
	timer := time.NewTimer(last)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
	}
}

// Read reads what comes, and says what ssh complained of if it went.
func (c *tunnel) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err != nil && n == 0 {
		c.wait()
		if said := c.said.last(); said != "" {
			err = fmt.Errorf("ssh: %s", said)
		}
	}
	return n, err
}

// Write sends.
func (c *tunnel) Write(p []byte) (int, error) { return c.in.Write(p) } //nolint:wrapcheck // net/http looks at it

// CloseWrite tells that nothing more is sent.
func (c *tunnel) CloseWrite() error { return c.in.Close() } //nolint:wrapcheck // net/http looks at it

// Close ends the program.
func (c *tunnel) Close() error {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	c.wait()
	return nil
}

// errNoDeadline is that a tunnel knows none.
var errNoDeadline = errors.New("a connection through ssh has no deadline")

// LocalAddr and the others are what a net.Conn must have.
func (c *tunnel) LocalAddr() net.Addr { return tunnelAddr{} }

// RemoteAddr names the other side.
func (c *tunnel) RemoteAddr() net.Addr { return tunnelAddr{} }

// SetDeadline is not known here.
func (c *tunnel) SetDeadline(time.Time) error { return errNoDeadline }

// SetReadDeadline is not known here.
func (c *tunnel) SetReadDeadline(time.Time) error { return errNoDeadline }

// SetWriteDeadline is not known here.
func (c *tunnel) SetWriteDeadline(time.Time) error { return errNoDeadline }

type tunnelAddr struct{}

// Network is how it is reached.
func (tunnelAddr) Network() string { return "ssh" }

// String names it.
func (tunnelAddr) String() string { return "ssh" }

// complaints keeps the end of what a program complains of.
type complaints struct {
	mu   sync.Mutex
	text []byte
}

// Write takes some of it.
func (c *complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p...)
	if over := len(c.text) - 4<<10; over > 0 {
		c.text = c.text[over:]
	}
	return len(p), nil
}

func (c *complaints) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lastLine(strings.ToValidUTF8(string(c.text), "?"))
}
