package layer

import (
	"cmp"
	"time"
)

// Limits bound what a layer may cost. A zero field is its default.
type Limits struct {
	Unpacked     int64         // bytes of the tar
	Ratio        int64         // bytes of the tar for each byte that is stored, once the tar is larger than RatioFree
	RatioFree    int64         // bytes
	Entries      int           // of the tar
	PathBytes    int           // of an entry, and of the target of a symbolic link
	PathParts    int           // components of a path
	File         int64         // bytes of a file that is read
	InMemory     int64         // bytes of a file up to which it is not written to disk to be read
	Read         int64         // bytes of all files that are read
	FileTime     time.Duration // for one Format to read one file
	Packages     int           // of all files
	FilePackages int           // of one file
	Owned        int           // paths that packages of the operating system have installed
	Window       uint64        // bytes of history that zstd may ask for
	Kept         int64         // bytes of text that are kept: paths, targets of links, packages
}

// Defaults are the limits of docs/design/scanning.md.
func Defaults() Limits {
	return Limits{
		Unpacked:     20 << 30,
		Ratio:        200,
		RatioFree:    64 << 20,
		Entries:      500_000,
		PathBytes:    4096,
		PathParts:    256,
		File:         256 << 20,
		InMemory:     8 << 20,
		Read:         4 << 30,
		FileTime:     30 * time.Second,
		Packages:     50_000,
		FilePackages: 20_000,
		Owned:        2_000_000,
		Window:       128 << 20,
		Kept:         24 << 20,
	}
}

func (l Limits) orDefaults() Limits {
	d := Defaults()
	return Limits{
		Unpacked:     cmp.Or(l.Unpacked, d.Unpacked),
		Ratio:        cmp.Or(l.Ratio, d.Ratio),
		RatioFree:    cmp.Or(l.RatioFree, d.RatioFree),
		Entries:      cmp.Or(l.Entries, d.Entries),
		PathBytes:    cmp.Or(l.PathBytes, d.PathBytes),
		PathParts:    cmp.Or(l.PathParts, d.PathParts),
		File:         cmp.Or(l.File, d.File),
		InMemory:     cmp.Or(l.InMemory, d.InMemory),
		Read:         cmp.Or(l.Read, d.Read),
		FileTime:     cmp.Or(l.FileTime, d.FileTime),
		Packages:     cmp.Or(l.Packages, d.Packages),
		FilePackages: cmp.Or(l.FilePackages, d.FilePackages),
		Owned:        cmp.Or(l.Owned, d.Owned),
		Window:       cmp.Or(l.Window, d.Window),
		Kept:         cmp.Or(l.Kept, d.Kept),
	}
}

// Limit says which limit was hit, as a sentence of a layer's Problem. As the cause of a context's end it makes the end a Problem of
// the layer, where another cause is an error of the walk.
type Limit string

func (l Limit) Error() string { return string(l) }
