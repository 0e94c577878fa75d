//go:build !linux

package s3test

import "os/exec"

// endWithParent has no counterpart here: a killed test binary leaves its server behind.
func endWithParent(*exec.Cmd) {}

// run starts the process and waits for its end.
func (s *server) run(cmd *exec.Cmd, started chan<- error) {
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait()
	}
	close(s.exited)
}
