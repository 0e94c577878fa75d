//go:build unix

package deploy

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// separate gives a program a session of its own, and so a process group, and no terminal.
func separate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// terminateAll asks a program and all that it started to end.
func terminateAll(leader *os.Process) { signalAll(leader.Pid, unix.SIGTERM) }

// killAll ends those that are left.
func killAll(leader *os.Process) { signalAll(leader.Pid, unix.SIGKILL) }

// signalAll signals a group. That all are gone is no error.
func signalAll(group int, signal syscall.Signal) {
	if group > 1 { // the others are everybody
		_ = unix.Kill(-group, signal)
	}
}
