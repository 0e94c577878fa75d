package diagnose

import "os/exec"

// group leaves a program as it is: Windows has no process groups that end as one.
func group(*exec.Cmd) {}
