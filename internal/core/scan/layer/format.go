// Package layer walks through a layer's tar as a stream, within limits, and has what is of interest in it read.
//
// It runs in the child process of internal/extract, and trusts nothing that it reads.
package layer

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// ErrLimit is what an error of [Format.Read] is when the file may well be sound and have more packages than were found: the layer's
// Problem says so. Its text names the limit.
var ErrLimit = errors.New("limit of the scanner")

// Format reads the packages out of files of one kind. It is a function of the file alone: its path, mode and bytes.
type Format interface {
	// Name is inventory.File's Format.
	Name() string
	// Wants tells by its path (cleaned, without a slash at its ends), mode and size whether a regular file is of this kind.
	Wants(path string, mode fs.FileMode, size int64) bool
	// Read reads one. An error says that the file is none, or is broken, or is more than is read (ErrLimit): what was found until then
	// counts. A broken database of an operating system (dpkg, apk, rpm; a Fact) is a problem of the layer, too.
	Read(ctx context.Context, f Input) (Result, error)
}

// Input is a file to read.
type Input struct {
	Path    string
	Mode    fs.FileMode
	Size    int64
	Content io.ReaderAt // of Size bytes
}

// Result is what a file says.
type Result struct {
	Packages []inventory.Package
	// Owns are paths, as Wants gets them, that packages of the operating system have installed. A file that only says this (dpkg's
	// .list) has no Packages and is no inventory.File, unless Fact.
	Owns []string
	// Fact: the file is an inventory.File even without packages, since it replaces one that may have had some.
	Fact bool
}
