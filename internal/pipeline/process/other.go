//go:build !unix

package process

import (
	"os"
	"os/exec"
)

// Where there are no process groups, a program is ended by itself.

// Session leaves a program as it is.
func Session(*exec.Cmd) {}

// Group leaves a program as it is: exec.CommandContext ends it.
func Group(*exec.Cmd) {}

// Terminate ends a program.
func Terminate(leader *os.Process) { _ = leader.Kill() }

// Kill ends a program.
func Kill(leader *os.Process) { _ = leader.Kill() }

// Signal is "": there are none.
func Signal(*os.ProcessState) string { return "" }
