package diskblob

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData makes the file's bytes and its size durable.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// startWriteback asks the kernel to begin writing a range. It is a hint: what matters is the sync at the
// end, which also reports what goes wrong here.
func startWriteback(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}
