//go:build unix

package extract

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// kill ends a child and all that it has started.
func kill(p *os.Process) {
	if p.Pid > 1 {
		_ = unix.Kill(-p.Pid, unix.SIGKILL)
	}
}

// signal is the one that ended a process, such as SIGSEGV; "" if none did.
func signal(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}

// tryLock takes a lock on an open file that goes when the process ends, or says that somebody has it.
func tryLock(f *os.File) error {
	return os.NewSyscallError("flock", unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)) //nolint:gosec // a descriptor
}
