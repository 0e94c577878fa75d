//go:build !linux

package berthproc

import "syscall"

// dieWithParent has no counterpart outside Linux: the test's clean-up ends the process.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
