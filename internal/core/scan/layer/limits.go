package layer

import "time"

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
		Unpacked:     or(l.Unpacked, d.Unpacked),
		Ratio:        or(l.Ratio, d.Ratio),
		RatioFree:    or(l.RatioFree, d.RatioFree),
		Entries:      or(l.Entries, d.Entries),
		PathBytes:    or(l.PathBytes, d.PathBytes),
		PathParts:    or(l.PathParts, d.PathParts),
		File:         or(l.File, d.File),
		InMemory:     or(l.InMemory, d.InMemory),
		Read:         or(l.Read, d.Read),
		FileTime:     or(l.FileTime, d.FileTime),
		Packages:     or(l.Packages, d.Packages),
		FilePackages: or(l.FilePackages, d.FilePackages),
		Owned:        or(l.Owned, d.Owned),
		Window:       or(l.Window, d.Window),
		Kept:         or(l.Kept, d.Kept),
	}
}

func or[T int | int64 | uint64 | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Limit says which limit was hit, as a sentence of a layer's Problem. As the cause of a context's end it makes the end a Problem of
// the layer, where another cause is an error of the walk.
type Limit string

func (l Limit) Error() string { return string(l) }
