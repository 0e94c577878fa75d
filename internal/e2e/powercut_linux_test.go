package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const defaultPowerCuts = 6

// TestPowerCut is TestKilledWhilePushing with the power going off instead of the process: the data directory
// is a file system of its own that stops in one instant, so that whatever was not synced is gone when it is
// mounted again. It shows what a killed process cannot: that a 201 waits for the disk.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	rounds := envInt(t, "BERTH_CRASH_ROUNDS", defaultPowerCuts)
	seed := envInt(t, "BERTH_CRASH_SEED", time.Now().UnixNano()&0xffffffff)
	t.Logf("BERTH_CRASH_SEED=%d", seed)
	disk := newDisk(t)
	s := berthproc.New(t, berthproc.Config{Data: filepath.Join(disk.dir, "data")})
	s.Start()
	c := newCrash(t, s, uint64(seed))
	var dark atomic.Bool
	for _, p := range c.pushers {
		p.dark = &dark
	}
	c.strike = func() {
		// A machine without power sends nothing. This one does for a moment, and not all of it is true: an
		// fsync that is under way while ext4 shuts down may return success for a transaction that was thrown
		// away. So what counts is what the clients had in hand before.
		dark.Store(true)
		disk.cutPower()
		s.Kill()
	}
	c.revive = func() {
		dark.Store(false)
		disk.unmount()
		disk.mount()
		s.Restart()
	}
	c.rounds(int(rounds))
	s.Stop()
	checkSQLite(t, filepath.Join(s.Data, "berth.db"))
}

// disk is an ext4 file system in a file, mounted over a loop device.
type disk struct {
	t          *testing.T
	image, dir string
	mounted    bool
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		berthproc.Missing(t, "only root can mount a disk to cut the power of")
	}
	mkfs := berthproc.Tool(t, "mkfs.ext4")
	root := t.TempDir()
	d := &disk{t: t, image: filepath.Join(root, "image"), dir: filepath.Join(root, "disk")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 1<<30); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), mkfs, "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		berthproc.Missing(t, "a disk cannot be mounted here: %v: %s", err, bytes.TrimSpace(out))
	}
	d.mounted = true
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	if out, err := exec.CommandContext(d.t.Context(), "mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("mounting the disk after the power cut: %v: %s", err, out)
	}
	d.mounted = true
}

func (d *disk) unmount() {
	d.t.Helper()
	if !d.mounted {
		return
	}
	d.mounted = false
	if out, err := exec.CommandContext(background(d.t), "umount", d.dir).CombinedOutput(); err != nil {
		d.t.Errorf("unmounting the disk: %v: %s", err, out)
	}
}

// cutPower stops the file system in this instant: nothing that is still in memory, the journal included,
// reaches the disk (EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, as xfstests do it).
func (d *disk) cutPower() {
	d.t.Helper()
	const (
		shutdown   = 0x8004587d // _IOR('X', 125, __u32)
		noLogFlush = 2
	)
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		d.t.Fatalf("cutting the disk's power: %v", errno)
	}
}
