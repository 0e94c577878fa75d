package extract

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// enclose leaves the process of the file system no more than a directory and /dev/null, in all threads: a reader that a layer has taken over finds
// neither the registry's files nor, in /proc, what the server was started with. See landlock(7); kernels before 5.13 have none of it, and
// a program with cgo cannot ask for it in all threads.
func enclose(dir string) {
	const (
		first    = 1<<13 - 1 // what its first version knows
		withMove = 2
		withCut  = 3
		never    = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
			unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	)
	version, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if failed != 0 {
		return
	}
	all := uint64(first)
	if version >= withMove {
		all |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= withCut {
		all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	rules := unix.LandlockRulesetAttr{Handled_access_fs: all}
	set, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules.Handled_access_fs), 0)
	if failed != 0 {
		return
	}
	defer unix.Close(int(set)) //nolint:errcheck // it was used
	if !opens(set, dir, all&^never) || !opens(set, os.DevNull, unix.LANDLOCK_ACCESS_FS_READ_FILE|unix.LANDLOCK_ACCESS_FS_WRITE_FILE) {
		return
	}
	if _, _, failed = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); failed == 0 {
		_, _, _ = syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0)
	}
}

// opens adds to a set of rules what may be done at a path and below it.
func opens(set uintptr, path string, what uint64) bool {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(at)                                                             //nolint:errcheck // it was used
	rule := unix.LandlockPathBeneathAttr{Allowed_access: what, Parent_fd: int32(at)} //nolint:gosec // a descriptor
	_, _, failed := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	return failed == 0
}
