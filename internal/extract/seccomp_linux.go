//go:build amd64 || arm64

package extract

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deny has the kernel refuse what a reader of files never does, in all threads: to start processes and programs, to talk to others,
// to look into them. See seccomp(2); the numbers are those of the machine that we are compiled for.
func deny() {
	const (
		nr, arch, flags = 0, 4, 16 // offsets in struct seccomp_data; flags are the first argument's lower half
		otherABI        = 0x40000000
		load            = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal           = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atLeast         = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		bits            = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		answer          = unix.BPF_RET | unix.BPF_K
		refuse          = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
		unknown         = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	)
	// Jumps are over no, one or two instructions.
	p := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, Jt: 1, K: machine},
		{Code: answer, K: refuse},
		{Code: load, K: nr},
		{Code: atLeast, Jf: 1, K: otherABI},
		{Code: answer, K: refuse},
		// Go asks for threads with clone; whoever asks with clone3 asks again with clone.
		{Code: equal, Jf: 1, K: unix.SYS_CLONE3},
		{Code: answer, K: unknown},
		{Code: equal, Jf: 4, K: unix.SYS_CLONE},
		{Code: load, K: flags},
		{Code: bits, Jf: 1, K: unix.CLONE_THREAD},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
		{Code: answer, K: refuse},
	}
	for _, call := range denied {
		p = append(p, unix.SockFilter{Code: equal, Jf: 1, K: call}, unix.SockFilter{Code: answer, K: refuse})
	}
	p = append(p, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]} //nolint:gosec // a hundred
	_, _, _ = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(p)
}

// denied are calls that every machine has.
var denied = append([]uint32{
	unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_KILL, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_SETPGID, unix.SYS_SETSID, unix.SYS_PRLIMIT64,
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_MKNODAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_IO_URING_SETUP, unix.SYS_USERFAULTFD,
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
}, deniedHere...)
