package formats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	rpmdb "github.com/erikvarga/go-rpmdb/pkg"
	_ "modernc.org/sqlite" // the driver that go-rpmdb asks for

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// sqliteLog is the write-ahead log of rpm's SQLite database.
const sqliteLog = "rpmdb.sqlite-wal"

// wantsRPM wants RPM's databases: Berkeley DB's, its own, SQLite's.
func wantsRPM(name string, _ fs.FileMode, size int64) bool {
	dir, base := path.Split(name)
	switch dir {
	case "var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/":
		return base == "Packages" || base == "Packages.db" || base == "rpmdb.sqlite" || base == sqliteLog && size > 0
	}
	return false
}

// readRPM reads by go-rpmdb, which wants a file of its own. On databases that are broken it panics, for Berkeley DB in a goroutine of its
// own, so that the process ends; it writes to standard output, and has been seen to go on beyond its context, so whoever calls does not
// wait for it.
func readRPM(ctx context.Context, f layer.Input, found *found) (err error) {
	if path.Base(f.Path) == sqliteLog {
		return fmt.Errorf("%w: %s has packages that are not in the database yet", layer.ErrLimit, f.Path)
	}
	found.Fact = true
	if f.Size == 0 {
		return nil
	}
	if err := checkNDB(f); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a broken RPM database: %v", r)
		}
	}()
	packages, err := listRPM(ctx, f)
	for _, p := range packages {
		if !found.add(rpmPackage(p)) || !found.rpmFiles(p) {
			break
		}
	}
	return err
}

// listRPM has go-rpmdb read a copy.
func listRPM(ctx context.Context, f layer.Input) (_ []*rpmdb.PackageInfo, err error) {
	dir, err := os.MkdirTemp("", "rpm-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "rpmdb")
	if err := copyTo(name, io.NewSectionReader(f.Content, 0, f.Size)); err != nil {
		return nil, err
	}
	db, err := rpmdb.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.ListPackagesWithContext(ctx)
}

func copyTo(name string, r io.Reader) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, r)
	return err
}

// rpmPackage gives a package with its version as RPM compares it: EPOCH:VERSION-RELEASE. Advisories know it by the source package,
// those of AlmaLinux and Red Hat by each package that is built of it.
func rpmPackage(p *rpmdb.PackageInfo) inventory.Package {
	epoch := ""
	if n := p.EpochNum(); n > 0 {
		epoch = strconv.Itoa(n) + ":"
	}
	version := p.Version
	if version != "" && p.Release != "" {
		version = epoch + version + "-" + p.Release
	}
	ours := inventory.Package{Type: inventory.RPM, Name: p.Name, Version: version, Arch: p.Arch}
	if p.Vendor != "AlmaLinux" && !strings.HasPrefix(p.Vendor, "Red Hat") {
		if name, version, ok := sourceRPM(p.SourceRpm); ok {
			ours.Source, ours.SourceVersion = name, epoch+version
		}
	}
	return ours
}

// sourceRPM takes NAME-VERSION-RELEASE.src.rpm apart.
func sourceRPM(file string) (name, version string, ok bool) {
	file = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(file, ".rpm"), ".src"), ".nosrc")
	release := strings.LastIndexByte(file, '-')
	if release < 0 {
		return "", "", false
	}
	at := strings.LastIndexByte(file[:release], '-')
	if at < 1 {
		return "", "", false
	}
	return file[:at], file[at+1:], true
}

// rpmFiles adds what the package has installed. Names and directories are lists of their own, which a broken header may have of different
// lengths.
func (f *found) rpmFiles(p *rpmdb.PackageInfo) bool {
	for i, name := range p.BaseNames {
		if i >= len(p.DirIndexes) {
			break
		}
		dir := int(p.DirIndexes[i])
		if dir < 0 || dir >= len(p.DirNames) {
			continue
		}
		if !f.own(p.DirNames[dir] + "/" + name) {
			return false
		}
	}
	return true
}
