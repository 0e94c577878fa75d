//go:build !unix

package deploy

import (
	"os"
	"os/exec"
)

// Where there are no process groups, a program is ended by itself.

func separate(*exec.Cmd) {}

func terminateAll(leader *os.Process) { _ = leader.Kill() }

func killAll(leader *os.Process) { _ = leader.Kill() }
