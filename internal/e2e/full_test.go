package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// TestDiskFull fills the disk under the data directory to the last byte: what does not fit is refused in
// clear words, what was acknowledged stays, reading goes on, and room makes it work again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	dir := smallDisk(t, "64m")
	s := berthproc.Start(t, berthproc.Config{Data: filepath.Join(dir, "data")})
	s.CreateRepositories("disk/full")
	f := &fullDisk{t: t, c: newClient(t, s)}

	before := oci.FromBytes(f.c.pushImage(t, "disk/full", "before", 1))
	layer, refused := f.fill()
	f.isFull("pushing a layer", refused)
	f.stillThere(before)

	// Now not even the database has room: a filler takes what is left.
	filler := filepath.Join(dir, "filler")
	fillUp(t, filler)
	last := f.fillDatabase()
	f.isFull("pushing a manifest", last)
	f.stillThere(before)
	if err := s.Healthy(); err != nil {
		// A server that cannot write may say that it is not ready, but must not have gone.
		t.Logf("with a full disk: %v", err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f.c.pushImage(t, "disk/full", "with-room", 2)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size=128m", dir).CombinedOutput(); err != nil {
		t.Fatalf("making the disk bigger: %v: %s", err, out)
	}
	f.pushed = append(f.pushed, f.c.pushBlob(t, "disk/full", layer).Digest)
	f.stillThere(before)
	s.Stop()
	s.Restart()
	f.stillThere(before)
}

type fullDisk struct {
	t      *testing.T
	c      *client
	pushed []oci.Digest
	tags   []string
}

// smallDisk mounts a file system of its own, which goes with the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		berthproc.Missing(t, "only root can mount a small disk")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "mode=0755,size="+size, "berth-e2e", dir).CombinedOutput(); err != nil {
		berthproc.Missing(t, "a small disk cannot be mounted here: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(background(t), "umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir
}

// fill pushes layers until one is refused, in all three ways in turn, and gives that one and the answer.
func (f *fullDisk) fill() ([]byte, reply) {
	f.t.Helper()
	const repo = "/v2/disk/full/blobs/uploads/"
	for i := range 100 {
		content := noise(uint64(1000+i), 3<<20)
		d := oci.FromBytes(content)
		var r reply
		var err error
		if i%2 == 0 {
			r, err = f.c.send(f.t.Context(), http.MethodPost, repo+"?digest="+string(d), bytes.NewReader(content))
		} else {
			start := f.c.must(f.t, http.StatusAccepted, http.MethodPost, repo, nil)
			r, err = f.c.send(f.t.Context(), http.MethodPatch, start.Header.Get("Location"), bytes.NewReader(content))
			if err == nil && r.Status == http.StatusAccepted {
				r, err = f.c.send(f.t.Context(), http.MethodPut, join(r.Header.Get("Location"), "digest="+string(d)), nil)
			}
		}
		if err != nil {
			f.t.Fatalf("pushing layer %d: %v", i, err)
		}
		if r.Status != http.StatusCreated {
			return content, r
		}
		f.pushed = append(f.pushed, d)
	}
	f.t.Fatal("100 layers of 3 MiB went onto a disk of 64 MiB")
	return nil, reply{}
}

// fillUp writes a file until nothing more fits.
func fillUp(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		block := make([]byte, size)
		for {
			if _, err := file.Write(block); err != nil {
				break // full for blocks of this size
			}
		}
	}
}

// fillDatabase puts tags until the database, too, has no room, and gives the answer that says so.
func (f *fullDisk) fillDatabase() reply {
	f.t.Helper()
	manifest := f.c.must(f.t, http.StatusOK, http.MethodGet, "/v2/disk/full/manifests/before", nil).Body
	for i := range 5000 {
		if i%1000 == 999 {
			manifest = append(manifest, '\n') // another image: one has at most 1,000 tags, and one of them is there
		}
		tag := fmt.Sprintf("tag-%s-%d", strings.Repeat("x", 100), i)
		r, err := f.c.send(f.t.Context(), http.MethodPut, "/v2/disk/full/manifests/"+tag, bytes.NewReader(manifest),
			"Content-Type", oci.MediaTypeOCIManifest)
		if err != nil {
			f.t.Fatalf("putting tag %d: %v", i, err)
		}
		if r.Status != http.StatusCreated {
			return r
		}
		f.tags = append(f.tags, tag)
	}
	f.t.Fatal("5000 tags went into a database on a full disk")
	return reply{}
}

func (f *fullDisk) isFull(what string, r reply) {
	f.t.Helper()
	clear := bytes.Contains(r.Body, []byte("full")) || bytes.Contains(r.Body, []byte("no room"))
	if r.Status != http.StatusInsufficientStorage || len(r.codes()) != 1 || !clear {
		f.t.Errorf("%s on a full disk answered %v, want 507 in the protocol's envelope, and that there is no room", what, r)
	}
}

// stillThere pulls everything that was acknowledged.
func (f *fullDisk) stillThere(image oci.Digest) {
	f.t.Helper()
	if err := f.c.verifyImage(f.t.Context(), "disk/full", image); err != nil {
		f.t.Errorf("after the disk was full: %v", err)
	}
	for _, d := range f.pushed {
		if err := f.c.verifyBlob(f.t.Context(), "disk/full", d); err != nil {
			f.t.Errorf("after the disk was full: an acknowledged layer: %v", err)
		}
	}
	tags, err := f.c.tags(f.t.Context(), "disk/full")
	if err != nil {
		f.t.Errorf("after the disk was full: %v", err)
	}
	for _, tag := range f.tags {
		if !slices.Contains(tags, tag) {
			f.t.Errorf("after the disk was full: the acknowledged tag %s is gone", tag)
		}
	}
}
