package extract

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// namespaces: a child can have a network of its own, without anything in it.
const namespaces = true

// attributes put a child in a process group of its own that ends when we do; apart: in namespaces of its own.
func attributes(apart bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if apart {
		a.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC
	}
	return a
}

// confine limits the child itself, before it reads a byte.
func confine(r request) error {
	const (
		descriptors = 64
		threads     = 2               // that may use the CPU at a time: GOMAXPROCS
		spare       = 5 * time.Second // to answer
		addresses   = 1 << 30         // beyond those that it has and the memory: files that are mapped, and what Go sets aside
	)
	size, data, err := memory()
	if err != nil {
		return err
	}
	file := uint64(max(r.Limits.File, 256<<20)) + 1<<20 //nolint:gosec // positive
	limits := []struct {
		what  int
		limit uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, file},
		{unix.RLIMIT_NOFILE, descriptors},
		{unix.RLIMIT_CPU, uint64(math.Ceil((threads * (r.Time + spare)).Seconds()))},
	}
	if !raceDetector { // it maps many times what the program has
		limits = append(limits, []struct {
			what  int
			limit uint64
		}{
			{unix.RLIMIT_DATA, data + uint64(r.Memory)},           //nolint:gosec // positive
			{unix.RLIMIT_AS, size + uint64(r.Memory) + addresses}, //nolint:gosec // positive
		}...)
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.limit, Max: l.limit}); err != nil {
			return fmt.Errorf("setting limit %d to %d: %w", l.what, l.limit, err)
		}
	}
	// The one is of a thread, and the other asks whether that thread has it: then all have both.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	enclose(os.TempDir()) // the parent's choice
	deny()                // where the kernel does not know how, the rest has to do
	return nil
}

// memory gives how many bytes of addresses the process has, and how many of them it may write to (proc_pid_statm(5)).
func memory() (size, data uint64, err error) {
	const total, written, all = 0, 5, 7
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, fmt.Errorf("looking how much memory there is: %w", err)
	}
	fields := bytes.Fields(b)
	if len(fields) != all {
		return 0, 0, fmt.Errorf("looking how much memory there is: %q", b)
	}
	pages := func(field int) uint64 {
		n, parseErr := strconv.ParseUint(string(fields[field]), 10, 64)
		if parseErr != nil {
			err = fmt.Errorf("looking how much memory there is: %w", parseErr)
		}
		return n * uint64(os.Getpagesize()) //nolint:gosec // positive
	}
	return pages(total), pages(written), err
}

// end waits until a process has ended, then ends what it has started: that is before its number may be given to another.
func end(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	kill(cmd.Process)
	_ = cmd.Wait() // how it ended is its state
}
