package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// Directory reads all logs below a directory, whoever writes them. It implements audit.Files.
type Directory string

var _ audit.Files = Directory("")

// Logs implements audit.Files.
func (d Directory) Logs() ([]string, error) { return Logs(string(d)) }

// Checkpoint implements audit.Files.
func (d Directory) Checkpoint(log string) (string, error) {
	b, err := os.ReadFile(filepath.Join(string(d), log, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the audit log's checkpoint: %w", err)
	}
	return string(b), nil
}

// Records implements audit.Files. A file that gets another form meanwhile is read in that.
func (d Directory) Records(log string) iter.Seq2[audit.Item, error] {
	dir := filepath.Join(string(d), log)
	return func(yield func(audit.Item, error) bool) {
		files, err := listFiles(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return // it is another machine's
		}
		if err != nil {
			yield(audit.Item{}, fmt.Errorf("reading the audit log %s: %w", log, err))
			return
		}
		for _, f := range files {
			if !eachItem(dir, f, yield) {
				return
			}
		}
	}
}

// eachItem goes through a file, and tells whether to go on.
func eachItem(dir string, f file, yield func(audit.Item, error) bool) bool {
	for ; f.state != forgotten; f.state++ {
		in, err := openLines(dir, f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return yield(audit.Item{}, err)
		}
		return eachLine(in, filepath.Base(f.path(dir)), yield)
	}
	left, err := readTree(dir, f)
	if err != nil {
		return yield(audit.Item{}, err)
	}
	return yield(audit.Item{Left: &audit.Tree{First: left.First, Next: left.Next, Nodes: left.Nodes}, File: filepath.Base(f.path(dir))}, nil)
}

func eachLine(in *lines, name string, yield func(audit.Item, error) bool) bool {
	defer in.Close()
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return true
		}
		if !yield(audit.Item{Line: line, File: name}, err) || err != nil {
			return false
		}
	}
}
