// Package formats reads what is installed out of single files: databases of package managers, metadata of language packages,
// programs that know what they were built from.
//
// Each format is a function of one file, and takes no more of it than its bounds. Most are simple, and are read here; go-rpmdb reads
// RPM's databases. In tests osv-scalibr's extractors are asked about the same files, and must say the same: in the program they would be a
// third more of it, with readers of file systems and of Git that are never used.
//
// What is read is what is installed: no lock files, no archives of packages that lie around, no manifest of the application itself.
package formats

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// Bounds of what is taken from one file.
const (
	maxPackages   = 20_000
	maxOwned      = 500_000  // paths
	maxOwnedBytes = 64 << 20 // of all of them
	maxPath       = 4096     // bytes; a layer's own limit
	maxDocument   = 32 << 20 // a JSON document, which is decoded as a whole
)

// All gives every format, in a fixed order.
func All() []layer.Format {
	return []layer.Format{
		format{"dpkg", wantsDpkg, readDpkg},
		format{"apk", wantsAPK, readAPK},
		format{"python", wantsPython, readPython},
		format{"node", wantsNode, readNode},
		format{"gobinary", wantsProgram, readGo},
		format{"rpm", wantsRPM, readRPM},
		format{"java", wantsJava, readJava},
		format{"ruby", wantsGem, readGem},
		format{"rust", wantsProgram, readRust},
		format{"dotnet", wantsDotnet, readDotnet},
		format{"php", wantsPHP, readPHP},
	}
}

// format is a [layer.Format] made of functions.
type format struct {
	name  string
	wants func(path string, mode fs.FileMode, size int64) bool
	read  func(ctx context.Context, f layer.Input, found *found) error
}

func (f format) Name() string { return f.name }

func (f format) Wants(path string, mode fs.FileMode, size int64) bool {
	return f.wants(path, mode, size)
}

func (f format) Read(ctx context.Context, in layer.Input) (layer.Result, error) {
	var found found
	if err := ctx.Err(); err != nil {
		return found.Result, err
	}
	err := f.read(ctx, in, &found)
	return found.Result, errors.Join(err, found.problem)
}

// found collects what a file says, within bounds.
type found struct {
	layer.Result

	problem    error // the first bound that was hit
	ownedBytes int
}

// add takes a package that has a name and a version. It tells whether there is room for more.
func (f *found) add(p inventory.Package) bool {
	if len(f.Packages) >= maxPackages {
		f.limit("more than %d packages", maxPackages)
		return false
	}
	if p.Name == "" || p.Version == "" {
		return true
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	if p.SourceVersion == "" {
		p.SourceVersion = p.Version
	}
	if !fits(p.Arch, inventory.MaxVersion) {
		p.Arch = ""
	}
	if !fits(p.Name, inventory.MaxName) || !fits(p.Source, inventory.MaxName) {
		f.limit("a package name of more than %d bytes, or that is no text", inventory.MaxName)
		return true
	}
	if !fits(p.Version, inventory.MaxVersion) || !fits(p.SourceVersion, inventory.MaxVersion) {
		f.limit("a version of more than %d bytes, or that is no text", inventory.MaxVersion)
		return true
	}
	f.Packages = append(f.Packages, clone(p))
	return true
}

// own takes the path of a file that a package of the operating system has installed. It tells whether there is room for more.
func (f *found) own(name string) bool {
	if len(name) > maxPath {
		return true // no layer has it
	}
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return true
	}
	f.ownedBytes += len(name)
	if len(f.Owns) >= maxOwned || f.ownedBytes > maxOwnedBytes {
		f.limit("more than %d installed paths, or %d bytes of them", maxOwned, maxOwnedBytes)
		return false
	}
	f.Owns = append(f.Owns, strings.Clone(name))
	return true
}

// limit remembers the first bound that was hit.
func (f *found) limit(text string, args ...any) {
	if f.problem == nil {
		f.problem = fmt.Errorf("%w: %s", layer.ErrLimit, fmt.Sprintf(text, args...))
	}
}

// clone lets go of the file that the texts are parts of.
func clone(p inventory.Package) inventory.Package {
	p.Name, p.Version, p.Arch = strings.Clone(p.Name), strings.Clone(p.Version), strings.Clone(p.Arch)
	p.Source, p.SourceVersion = strings.Clone(p.Source), strings.Clone(p.SourceVersion)
	return p
}

// fits tells whether s is text without control characters, of at most most bytes.
func fits(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
