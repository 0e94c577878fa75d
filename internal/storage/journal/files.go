package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// state is the form that a file is in.
type state int

const (
	plain state = iota
	packed
	forgotten // only hashes are left
)

// suffixes are what the names of files in each state end with.
var suffixes = [...]string{".jsonl", ".jsonl.zst", ".tree"} //nolint:gochecknoglobals // a table

// file is a run of records.
type file struct {
	first int64 // number of the first record
	state state
}

func (f file) path(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("%016d", f.first)+suffixes[f.state])
}

// Logs lists the logs below a directory, in order of their ids.
func Logs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing audit logs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// listFiles lists a log's files in order. Where a crash left one in two forms, the one that it was in before counts.
func listFiles(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		for s, suffix := range suffixes {
			digits, ok := strings.CutSuffix(e.Name(), suffix)
			first, err := strconv.ParseInt(digits, 10, 64)
			if ok && err == nil && first >= 0 && e.Name() == filepath.Base(file{first, state(s)}.path("")) {
				files = append(files, file{first, state(s)})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.state, b.state)) })
	return slices.CompactFunc(files, func(a, b file) bool { return a.first == b.first }), nil
}

// ended is where a file's whole lines end.
type ended struct {
	records, bytes int64
	previous       [audit.PreviousSize]byte
}

// readEnd reads a whole file.
func readEnd(dir string, f file) (ended, error) {
	var e ended
	if f.state == forgotten {
		t, err := readTree(dir, f)
		copy(e.previous[:], t.Last)
		e.records = t.Next - f.first
		return e, err
	}
	lines, err := openLines(dir, f)
	if err != nil {
		return e, err
	}
	defer lines.Close()
	var last []byte
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return e, err
		}
		e.records++
		e.bytes += int64(len(line)) + 1
		last = append(last[:0], line...)
	}
	if e.records > 0 {
		hash := tlog.RecordHash(last)
		copy(e.previous[:], hash[:])
	}
	return e, nil
}

// lines reads a file's whole lines.
type lines struct {
	io.Closer
	r *bufio.Reader
}

// openLines opens a file from its beginning.
func openLines(dir string, f file) (*lines, error) {
	in, err := os.Open(f.path(dir))
	if err != nil {
		return nil, err
	}
	if f.state == plain {
		return &lines{in, bufio.NewReaderSize(in, 256<<10)}, nil
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &lines{closers{in, z.IOReadCloser()}, bufio.NewReaderSize(z, 256<<10)}, nil
}

type closers struct {
	a, b io.Closer
}

// Close closes both.
func (c closers) Close() error { return errors.Join(c.b.Close(), c.a.Close()) }

// next gives a line without its end, or io.EOF: what is no whole line is none. It is good until the next call.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		whole := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(whole) < 16<<20 {
			line, err = l.r.ReadSlice('\n')
			whole = append(whole, line...)
		}
		line = whole
	}
	if err != nil {
		return nil, err
	}
	return line[:len(line)-1], nil
}

// Care compresses the files that are full, and forgets those that are old.
func (j *Journal) Care(ctx context.Context) error {
	j.mu.Lock()
	full, dir := slices.Clone(j.files[:max(0, len(j.files)-1)]), j.dir
	j.mu.Unlock()
	for i, f := range full {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the rest is done next time
		}
		info, err := os.Stat(f.path(dir))
		if err != nil {
			return fmt.Errorf("looking at a file of the audit log: %w", err)
		}
		old := j.Keep > 0 && j.Now().Sub(info.ModTime()) > j.Keep
		switch {
		case f.state != forgotten && old:
			err = j.replace(dir, i, f, forgotten, func(w io.Writer) error { return forget(w, dir, f) })
		case f.state == plain:
			err = j.replace(dir, i, f, packed, func(w io.Writer) error { return pack(w, dir, f) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replace puts a file into another form. The new one is there and synced before the old one goes.
func (j *Journal) replace(dir string, i int, f file, to state, write func(io.Writer) error) (err error) {
	info, err := os.Stat(f.path(dir))
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("caring for the audit log: %w", err)
	}
	defer func() {
		if removing := os.Remove(out.Name()); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, removing)
		}
	}()
	if err := errors.Join(write(out), out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("caring for the audit log: %w", err)
	}
	after := file{f.first, to}
	// It is as old as its records.
	if err := errors.Join(os.Chtimes(out.Name(), info.ModTime(), info.ModTime()), os.Rename(out.Name(), after.path(dir)), syncDir(dir)); err != nil {
		return fmt.Errorf("caring for the audit log: %w", err)
	}
	j.mu.Lock()
	if dir == j.dir {
		j.files[i] = after
	}
	j.mu.Unlock()
	if err := errors.Join(os.Remove(f.path(dir)), syncDir(dir)); err != nil {
		return fmt.Errorf("caring for the audit log: %w", err)
	}
	return nil
}

func pack(w io.Writer, dir string, f file) error {
	in, err := os.Open(f.path(dir))
	if err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(z, in)
	return errors.Join(err, z.Close(), in.Close())
}

// leftover is what stays of a file that was forgotten: the hashes that the tree of the rest needs.
type leftover struct {
	First int64        `json:"first"`
	Next  int64        `json:"next"`
	Nodes []audit.Node `json:"nodes"`
	Last  []byte       `json:"last"` // the first bytes of the hash of its last record
}

func forget(w io.Writer, dir string, f file) error {
	in, err := openLines(dir, f)
	if err != nil {
		return err
	}
	defer in.Close()
	tree := audit.Tree{First: f.first, Next: f.first}
	var last tlog.Hash
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		last = tlog.RecordHash(line)
		tree.Add(last)
	}
	return json.NewEncoder(w).Encode(leftover{f.first, tree.Next, tree.Nodes, last[:audit.PreviousSize]})
}

func readTree(dir string, f file) (leftover, error) {
	var l leftover
	b, err := os.ReadFile(f.path(dir))
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err == nil && (l.First != f.first || len(l.Last) != audit.PreviousSize || !whole(l)) {
		err = fmt.Errorf("%s does not say what is left of the audit log", f.path(dir))
	}
	return l, err
}

// whole tells whether the subtrees are one after the other what is between the two numbers.
func whole(l leftover) bool {
	at := l.First
	for _, n := range l.Nodes {
		if n.Level < 0 || n.Level > 60 || at%(1<<n.Level) != 0 {
			return false
		}
		at += 1 << n.Level
	}
	return at == l.Next
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
