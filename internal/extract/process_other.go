//go:build !unix

package extract

import (
	"os"
	"syscall"
)

func attributes(bool) *syscall.SysProcAttr { return nil }

func kill(p *os.Process) { _ = p.Kill() }

func signal(*os.ProcessState) string { return "" }

// tryLock does not lock: an open file cannot be removed here.
func tryLock(*os.File) error { return nil }
