package build

import "os/exec"

// group leaves a program as it is: Windows has no process groups that end as one.
func group(*exec.Cmd) {}

func run(cmd *exec.Cmd) error { return cmd.Run() }
