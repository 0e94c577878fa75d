package s3test

import (
	"os/exec"
	"runtime"
	"syscall"
)

// endWithParent makes the kernel kill the server when its parent ends, however that ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// run starts the process and waits for its end. To the kernel the parent is the thread that started it, so
// this goroutine keeps its thread as long.
func (s *server) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // it is killed, so this is always an error
	}
	close(s.exited)
}
