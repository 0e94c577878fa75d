// Package proc runs the measured servers as child processes and reads what they cost from /proc.
//
// It needs Linux: elsewhere Start works and the readings fail.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat; USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// stopPatience is how long a server may take to stop before it is killed.
const stopPatience = 15 * time.Second

// Process is a running child.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	exit chan struct{} // closed once the child has ended and err is set
	err  error
}

// Start runs a program. What it prints goes to the file at log. It is asked to stop when the context ends.
func Start(ctx context.Context, name, log, program string, arguments ...string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &Process{name: name, log: log, cmd: cmd, exit: make(chan struct{})}
	go func() {
		defer close(p.exit)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// Ready waits until an HTTP server at the address answers something, or the process ends, or the context
// does. That it takes connections is not enough: a server may listen before it has made all else ready.
func (p *Process) Ready(ctx context.Context, address string) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		if answers(ctx, address) == nil {
			return nil
		}
		select {
		case <-p.exit:
			return p.Explain(errors.New("it ended at once"))
		case <-ctx.Done():
			return p.Explain(ctx.Err())
		case <-retry.C:
		}
	}
}

// answers asks for the root path and waits for the first byte of whatever comes back.
func answers(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer release()
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// Stop asks the child to end and waits until it has, with force if need be.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended already
	force := time.AfterFunc(stopPatience, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()
	<-p.exit
	if exit, ok := errors.AsType[*exec.ExitError](p.err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil // one that does not catch the signal has stopped as well
	}
	if p.err == nil || errors.Is(p.err, context.Canceled) {
		return nil
	}
	return p.Explain(p.err)
}

// Explain adds the end of the process's log to an error; of a crash, its beginning.
func (p *Process) Explain(err error) error {
	const most = 2000
	text, readErr := os.ReadFile(p.log)
	if readErr != nil || len(bytes.TrimSpace(text)) == 0 {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	for _, crash := range []string{"panic: ", "fatal error: ", "SIGSEGV"} {
		if i := bytes.Index(text, []byte(crash)); i >= 0 {
			return fmt.Errorf("%s: %w; it crashed:\n%s", p.name, err, text[i:min(i+most, len(text))])
		}
	}
	return fmt.Errorf("%s: %w; the end of its log:\n%s", p.name, err, text[max(0, len(text)-most):])
}

// PID is the child's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU is the processor time, user and system, that a process has used up to now.
func CPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return 0, err
	}
	return ParseCPU(stat)
}

// ParseCPU adds utime and stime of a /proc/<pid>/stat. The program's name, in the second field, may hold
// anything, blanks and parentheses included, so fields are counted from the last parenthesis.
func ParseCPU(stat []byte) (time.Duration, error) {
	const utime, stime = 11, 12 // counted behind the name
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("process status %q has too few fields", stat)
	}
	var ticks int64
	for _, field := range [][]byte{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process status %q: %w", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// PeakMemory is the largest resident set since the process began, or since the last [ResetPeak].
func PeakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(path(pid, "status"))
	if err != nil {
		return 0, err
	}
	return ParsePeak(status)
}

// ParsePeak finds VmHWM in a /proc/<pid>/status, in bytes.
func ParsePeak(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte("VmHWM:"))
		if !ok {
			continue
		}
		digits, ok := bytes.CutSuffix(bytes.TrimSpace(rest), []byte(" kB"))
		if !ok {
			break
		}
		kilobytes, err := strconv.ParseInt(string(digits), 10, 53)
		if err != nil {
			return 0, fmt.Errorf("peak memory %q: %w", line, err)
		}
		return kilobytes << 10, nil
	}
	return 0, errors.New("process status has no VmHWM in kB")
}

// ResetPeak lets the peak start anew. Where that is not permitted, later peaks include earlier ones.
func ResetPeak(pid int) {
	_ = os.WriteFile(path(pid, "clear_refs"), []byte("5"), 0)
}

// Settle waits until the kernel has written back what is dirty, so that no measurement pays for the
// bytes of the one before.
func Settle(ctx context.Context) error {
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return fmt.Errorf("syncing disks: %w", err)
	}
	return nil
}

// WarmMemory lets the kernel have used, and freed again, as much memory as size says. On a virtual machine
// the first use of a page is paid for by a fault in the host, which costs several times what writing the
// page does and would be charged to whichever server comes first.
func WarmMemory(dir string, size int64) (err error) {
	f, err := os.CreateTemp(dir, "warm-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	chunk := make([]byte, 1<<20)
	for written := int64(0); written < size; written += int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// FreeAddress is a loopback address that nobody listens on at the moment.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// Run runs a program to its end and returns what it wrote to stdout.
func Run(ctx context.Context, program string, arguments ...string) ([]byte, error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running %s: %w: %s", cmd, err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out.Bytes(), nil
}

func path(pid int, file string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), file)
}
