//go:build unix

package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Session gives a program a session of its own, and so a process group, and no terminal: one that asks for a password there is
// refused, where in a group alone it would be stopped until somebody looks.
func Session(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// Group puts a program of exec.CommandContext in a process group of its own, all of which is asked to end when the context ends; the ^C of
// a terminal does not reach it.
func Group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := signal(cmd.Process, unix.SIGTERM)
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return err //nolint:wrapcheck // os/exec looks at it
	}
}

// Terminate asks the leader of a group and what is left of it to end. That all are gone is no error.
func Terminate(leader *os.Process) { _ = signal(leader, unix.SIGTERM) }

// Kill ends them.
func Kill(leader *os.Process) { _ = signal(leader, unix.SIGKILL) }

func signal(leader *os.Process, s syscall.Signal) error {
	if leader.Pid <= 1 { // these groups are everybody's
		return unix.EINVAL
	}
	return unix.Kill(-leader.Pid, s)
}

// Signal is the one that ended a program, such as SIGSEGV; "" if none did.
func Signal(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
