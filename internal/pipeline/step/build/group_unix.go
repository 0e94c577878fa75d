//go:build unix

package build

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
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err //nolint:wrapcheck // os/exec looks at it
	}
}

// run runs a program. If it was told to end, what is left of its group afterwards is killed.
func run(cmd *exec.Cmd) error {
	err := cmd.Run()
	if err != nil && cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // mostly nobody is left
	}
	return err //nolint:wrapcheck // the caller looks at it
}
