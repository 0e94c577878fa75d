package rootfstest

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// epoch is when every file was changed last, so that what is the same has the same digest.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// state is what tells whether a file has changed.
type state struct {
	mode    fs.FileMode
	size    int64
	changed time.Time
	inode   uint64
	links   uint64
	target  string
}

// snapshot is the files of a root file system, by path.
type snapshot map[string]state

// left out are files that images do not have, or that only make them larger.
func leftOut(name string) bool {
	for _, dir := range []string{
		"dev", "proc", "sys", "run", "tmp", "debootstrap", "var/cache", "var/log", "var/lib/apt/lists",
		"usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
	} {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return strings.HasPrefix(name, "var/lib/dpkg/") && strings.HasSuffix(name, "-old")
}

func takeSnapshot(root string) (snapshot, error) {
	all := snapshot{}
	return all, fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if leftOut(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := state{mode: info.Mode(), size: info.Size(), changed: info.ModTime()}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			s.inode, s.links = stat.Ino, uint64(stat.Nlink) //nolint:unconvert // its size differs between machines
		}
		switch {
		case d.IsDir(): // its size and links change with what is in it
			s.size, s.changed, s.links = 0, time.Time{}, 0
		case info.Mode()&fs.ModeSymlink != 0:
			s.target, err = os.Readlink(filepath.Join(root, name))
		case !info.Mode().IsRegular():
			return nil
		}
		all[name] = s
		return err
	})
}

// writeLayer writes dir/name.tar.gz.
func writeLayer(dir, name string, fill func(*layerWriter) error) (_ Layer, err error) {
	f, err := os.Create(filepath.Join(dir, name+".tar.gz"))
	if err != nil {
		return Layer{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	packed, plain := sha256.New(), sha256.New()
	zip := gzip.NewWriter(io.MultiWriter(f, packed))
	w := &layerWriter{tar: tar.NewWriter(io.MultiWriter(zip, plain)), linked: map[uint64]string{}, dirs: map[string]bool{}}
	if err := errors.Join(fill(w), w.tar.Close(), zip.Close()); err != nil {
		return Layer{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return Layer{}, err
	}
	return Layer{Name: name, File: f.Name(), Digest: sum(packed), DiffID: sum(plain), Size: info.Size()}, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

type layerWriter struct {
	tar    *tar.Writer
	linked map[uint64]string // by inode: the first name of a file that has several
	dirs   map[string]bool
}

// difference writes what after has and before has not, and whiteouts for what is gone.
func (w *layerWriter) difference(root string, before, after snapshot, whiteouts []string) error {
	for name := range before {
		_, still := after[name]
		_, parent := after[path.Dir(name)]
		if !still && (parent || path.Dir(name) == ".") {
			whiteouts = append(whiteouts, path.Join(path.Dir(name), ".wh."+path.Base(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[name]; ok && was == after[name] {
			continue
		}
		if err := w.copy(root, name, after[name]); err != nil {
			return err
		}
	}
	slices.Sort(whiteouts)
	for _, name := range whiteouts {
		if err := w.file(name, 0o644, nil); err != nil {
			return err
		}
	}
	return nil
}

// copy writes one file of the root file system.
func (w *layerWriter) copy(root, name string, s state) error {
	h := &tar.Header{Name: name, Mode: int64(s.mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case s.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		w.dirs[name] = true
		return w.tar.WriteHeader(h)
	case s.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, s.target
		return w.tar.WriteHeader(h)
	case s.links > 1 && w.linked[s.inode] != "":
		h.Typeflag, h.Linkname = tar.TypeLink, w.linked[s.inode]
		return w.tar.WriteHeader(h)
	}
	w.linked[s.inode] = name
	h.Typeflag, h.Size = tar.TypeReg, s.size
	f, err := os.Open(filepath.Join(root, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(w.tar, f)
	return err
}

// file writes a file, and the directories above it.
func (w *layerWriter) file(name string, mode int64, content []byte) error {
	for i, c := range name {
		if c != '/' || w.dirs[name[:i]] {
			continue
		}
		w.dirs[name[:i]] = true
		err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[:i+1], Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX})
		if err != nil {
			return err
		}
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: epoch, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.tar.Write(content)
	return err
}
