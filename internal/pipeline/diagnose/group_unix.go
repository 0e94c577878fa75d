//go:build unix

package diagnose

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// group puts a program and those that it starts in a process group, which ends as one.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // they only look at something
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err //nolint:wrapcheck // os/exec looks at it
	}
}
