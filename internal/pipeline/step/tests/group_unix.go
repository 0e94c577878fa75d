//go:build unix

package tests

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// separate gives a program a session of its own, and so a process group, and no terminal: one that asks for a password there is
// refused, where in a group alone it would be stopped until somebody looks.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// terminateAll asks a program and what is left of its group to end.
func terminateAll(leader *os.Process) { signalAll(leader.Pid, unix.SIGTERM) }

// killAll ends them.
func killAll(leader *os.Process) { signalAll(leader.Pid, unix.SIGKILL) }

// signalAll signals a group. That all are gone is no error.
func signalAll(group int, signal syscall.Signal) {
	if group > 1 { // the others are everybody
		_ = unix.Kill(-group, signal)
	}
}

// signalOf is the signal that ended a program, "" if none did.
func signalOf(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
