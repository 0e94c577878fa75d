//go:build unix

package program

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Group puts a program of exec.CommandContext, and those that it starts, in a process group: it is told to end as one, and the ^C of a
// terminal does not reach it.
func Group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err //nolint:wrapcheck // os/exec looks at it
	}
}

// end kills what is left of the group.
func end(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
