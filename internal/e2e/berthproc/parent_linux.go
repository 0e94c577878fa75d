package berthproc

import "syscall"

// dieWithParent lets the kernel kill the process when the test process dies, even by SIGKILL.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
