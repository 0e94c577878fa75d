package tests

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/process"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

const (
	// grace is how long programs have to end when they are asked to.
	grace = 10 * time.Second
	// linger is how long those that a test leaves behind have to print what they were about to.
	linger = 2 * time.Second
)

// process runs a program to its end, and ends with it all that it started. What they print goes to the task. When the context
// ends they are asked to end, and after a while they are killed.
//
// A program that keeps the output open, though the one that started it is gone, keeps nobody waiting: it is asked, it is killed, and
// if it went to a session of its own it is not read any more.
func (c Config) process(ctx context.Context, cmd *exec.Cmd, task *progress.Task) (e ending, err error) {
	// A pipe of our own: with one of os/exec's, Wait would wait for all that hold it.
	r, w, err := os.Pipe()
	if err != nil {
		return e, err
	}
	defer func() { _ = r.Close() }() // again, mostly
	cmd.Stdout, cmd.Stderr = w, w    // and no stdin, which is then the null device
	g := &group{grace: c.Grace, killed: make(chan struct{})}
	if g.grace <= 0 {
		g.grace = grace
	}
	process.Session(cmd)
	cmd.Cancel = func() error { g.end(cmd.Process); return nil }
	cmd.WaitDelay = g.grace + time.Second // where the group is not to be had
	err = cmd.Start()
	_ = w.Close() // theirs is a copy
	if err != nil {
		return e, err
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		out := task.Writer()
		_, _ = io.Copy(out, r) // an error is that we closed it
		_ = out.Close()
	}()
	err = cmd.Wait()
	e.cause = context.Cause(ctx)
	wait := min(linger, g.grace)
	if !within(copied, wait) {
		g.end(cmd.Process)
		select {
		case <-copied:
		case <-g.killed:
		}
	}
	g.kill(cmd.Process) // those that print nothing
	if e.held = !within(copied, wait); e.held {
		_ = r.Close()
		<-copied
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed || errors.Is(err, exec.ErrWaitDelay) || e.cause != nil {
		err = nil // it is in the state
	}
	return e, err
}

// ending is how it went with a program, beyond what its state says.
type ending struct {
	cause error // why the context ended, if it did before the program
	held  bool  // one that it started still holds the output
}

// within tells whether something is done before a time is over.
func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// group is a program with all that it started.
type group struct {
	grace  time.Duration
	killed chan struct{}

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// end asks all to end, and has them killed after a while.
func (g *group) end(leader *os.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil || g.over {
		return
	}
	process.Terminate(leader)
	g.timer = time.AfterFunc(g.grace, func() { g.kill(leader) })
}

// kill ends all that are left, once: later the group's number may be another's.
func (g *group) kill(leader *os.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	g.over = true
	if g.timer != nil {
		g.timer.Stop()
	}
	process.Kill(leader)
	close(g.killed)
}
