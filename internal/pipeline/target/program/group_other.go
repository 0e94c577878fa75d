//go:build !unix

package program

import "os/exec"

// Where there are no process groups a program is ended by itself.

func group(*exec.Cmd) {}

func end(*exec.Cmd) {}
