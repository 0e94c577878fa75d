// Package rootfstest makes images out of a real root file system, for tests of scanning: Debian's bookworm by debootstrap, with packages
// installed by apt, an application of Python, Node and Go above it, and a layer that removes some of it. Beside them stands what dpkg
// itself said was installed at each step.
//
// It is made once, which takes minutes and Debian's mirror, and kept in the user's cache directory; later runs take what is there.
package rootfstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// version is of how the root file system is made. It rises when that changes, so that what is cached is made anew.
const version = "debian-bookworm-1"

// mirror has Debian's packages as they were released, without security updates: old ones have more to find.
const (
	mirror = "http://deb.debian.org/debian"
	suite  = "bookworm"
)

// The steps, which are layers of the image from the lowest up.
const (
	Base     = "base"     // debootstrap --variant=minbase
	Packages = "packages" // apt-get install
	App      = "app"      // Python and Node packages below opt/shop, a Go program in usr/local/bin
	Removed  = "removed"  // apt-get purge of RemovedPackage, and one Node package less
)

// What the last layer takes away.
const (
	RemovedPackage     = "rsync"
	RemovedNodePackage = "moment"
)

// Package is what dpkg-query says of one.
type Package struct {
	Name, Version, Arch, Source, SourceVersion string
}

// Layer is a file, and what it hashes to.
type Layer struct {
	Name   string  `json:"name"`
	File   string  `json:"-"` // a tar, compressed with gzip
	Digest v1.Hash `json:"digest"`
	DiffID v1.Hash `json:"diffId"`
	Size   int64   `json:"size"`
}

// Image is Debian's.
type Image struct {
	Layers []Layer  // in order: Base, Packages, App, Removed
	OCI    v1.Image // an OCI image of the layers
	Docker v1.Image // the same in Docker's media types
	// Installed is what dpkg-query said after Base, Packages and Removed.
	Installed map[string][]Package
}

// Debian gives the image, and makes it if that has not been done on this machine. It ends the test where it cannot.
func Debian(tb testing.TB) Image {
	tb.Helper()
	image, err := debian()
	if errors.Is(err, errLacking) {
		berthproc.Missing(tb, "a Debian root file system: %v", err)
	}
	if err != nil {
		tb.Fatalf("make a Debian root file system: %v", err)
	}
	return image
}

// errLacking: it is not in the cache, and is not or cannot be made here.
var errLacking = errors.New("is not there")

var debian = sync.OnceValues(func() (Image, error) {
	dir, err := cacheDir()
	if err != nil {
		return Image{}, err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	if _, err := os.Stat(filepath.Join(dir, layersFile)); err != nil {
		if err := makeOnce(dir); err != nil {
			return Image{}, err
		}
	}
	layers, err := readLayers(dir)
	if err != nil {
		return Image{}, err
	}
	app, err := appLayer(filepath.Dir(dir))
	if err != nil {
		return Image{}, err
	}
	image := Image{Layers: []Layer{layers[Base], layers[Packages], app, layers[Removed]}, Installed: map[string][]Package{}}
	for _, step := range []string{Base, Packages, Removed} {
		if image.Installed[step], err = readInstalled(filepath.Join(dir, step+".dpkg-query")); err != nil {
			return Image{}, err
		}
	}
	image.OCI, image.Docker, err = images(image.Layers, debianHistory)
	return image, err
})

// cacheDir is where this version of the root file system is.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "berth-testdata", version)
	return dir, os.MkdirAll(filepath.Dir(dir), 0o755)
}

// lock waits until no other test process makes the same.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// makeOnce makes the root file system and its layers in a directory beside dir, which it becomes when it is whole.
func makeOnce(dir string) (err error) {
	if !berthproc.Enabled() && os.Getenv("BERTH_TEST_REQUIRE") != "all" {
		return fmt.Errorf("%w: it takes minutes, once: BERTH_E2E=1 go test -timeout 30m ./internal/e2e/rootfstest", errLacking)
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("%w: debootstrap needs root", errLacking)
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return fmt.Errorf("%w: debootstrap is not on PATH", errLacking)
	}
	// What a killed run has left is removed first: nobody else is at it, since this holds the lock.
	work := dir + ".making"
	if err := remove(work); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(work)) }()
	done := filepath.Join(work, "done")
	if err := os.MkdirAll(done, 0o755); err != nil {
		return err
	}
	if err := makeDebian(filepath.Join(work, "root"), done); err != nil {
		return err
	}
	return os.Rename(done, dir)
}

// remove goes into no file system that debootstrap, killed, has left mounted.
func remove(dir string) error { return run("rm", "-rf", "--one-file-system", dir) }

const layersFile = "layers.json"

func writeLayers(dir string, layers ...Layer) error {
	text, err := json.MarshalIndent(layers, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, layersFile), text, 0o600)
}

// readLayers reads what writeLayers has written last, when all else was there.
func readLayers(dir string) (map[string]Layer, error) {
	text, err := os.ReadFile(filepath.Join(dir, layersFile))
	if err != nil {
		return nil, err
	}
	var layers []Layer
	if err := json.Unmarshal(text, &layers); err != nil {
		return nil, err
	}
	named := map[string]Layer{}
	for _, l := range layers {
		l.File = filepath.Join(dir, l.Name+".tar.gz")
		named[l.Name] = l
	}
	return named, nil
}

// readInstalled reads dpkg-query's lines in the form of queryFormat.
func readInstalled(name string) ([]Package, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []Package
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("%s: %q is not a line of six", name, line)
		}
		if f[5] == "installed" {
			all = append(all, Package{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return all, nil
}
