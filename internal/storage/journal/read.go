package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// cursor is where the last Read ended.
type cursor struct {
	*lines
	file   file
	next   int64 // the number of the line that comes
	offset int64 // of that, in a plain file
}

// Read gives at most limit records from number n on, without their ends: none where there are no more yet. A record that was forgotten is an
// error. What was appended a moment ago comes from memory, once.
func (j *Journal) Read(n int64, limit int) ([]audit.Line, error) {
	j.reading.Lock()
	defer j.reading.Unlock()
	j.mu.Lock()
	records := j.recent.take(n, limit)
	j.mu.Unlock()
	if len(records) > 0 {
		return records, nil
	}
	return j.readFiles(n, limit)
}

func (j *Journal) readFiles(n int64, limit int) ([]audit.Line, error) {
	var records []audit.Line
	for len(records) < limit {
		f, end, last, ok := j.find(n)
		if !ok {
			return records, nil
		}
		got, err := j.readFile(f, end, n, limit-len(records))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has another form now
		}
		if err != nil {
			return records, fmt.Errorf("reading the audit log from record %d on: %w", n, err)
		}
		records = append(records, got...)
		n += int64(len(got))
		if len(got) == 0 || last {
			return records, nil
		}
	}
	return records, nil
}

// find tells which file a record is in, and how many of its bytes are whole lines, 0 where it is not written to any more.
func (j *Journal) find(n int64) (f file, end int64, last, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n >= j.next {
		return file{}, 0, false, false
	}
	i := sort.Search(len(j.files), func(i int) bool { return j.files[i].first > n }) - 1
	if i < 0 {
		return file{}, 0, false, false
	}
	if last = i == len(j.files)-1; last {
		end = j.size
	}
	return j.files[i], end, last, true
}

func (j *Journal) readFile(f file, end, n int64, limit int) ([]audit.Line, error) {
	if f.state == forgotten {
		left, err := readTree(j.dir, f)
		if err != nil {
			return nil, err
		}
		return nil, audit.Forgotten{Left: audit.Tree{First: left.First, Next: left.Next, Nodes: left.Nodes}}
	}
	c, err := j.seek(f, n)
	if err != nil {
		return nil, err
	}
	var records []audit.Line
	for len(records) < limit {
		if end > 0 && c.offset >= end {
			return records, nil
		}
		line, err := c.advance()
		if errors.Is(err, io.EOF) {
			j.drop()
			return records, nil
		}
		if err != nil {
			j.drop()
			return records, err
		}
		records = append(records, audit.Line{Text: bytes.Clone(line), Hash: tlog.RecordHash(line)})
	}
	return records, nil
}

// advance reads a line and moves on.
func (c *cursor) advance() ([]byte, error) {
	line, err := c.lines.next()
	if err == nil {
		c.next++
		c.offset += int64(len(line)) + 1
	}
	return line, err
}

// seek gives the cursor at record n of a file.
func (j *Journal) seek(f file, n int64) (*cursor, error) {
	if c := j.cursor; c != nil && c.file == f && c.next == n {
		if f.state != plain {
			return c, nil
		}
		// A buffer may hold what was the file's end when it was filled.
		in, err := os.Open(f.path(j.dir))
		if err != nil {
			return nil, err
		}
		if _, err := in.Seek(c.offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, in.Close())
		}
		_ = c.Close() // it was only read
		c.lines = &lines{in, bufio.NewReaderSize(in, 256<<10)}
		return c, nil
	}
	j.drop()
	l, err := openLines(j.dir, f)
	if err != nil {
		return nil, err
	}
	c := &cursor{lines: l, file: f, next: f.first}
	for c.next < n {
		if _, err := c.advance(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	j.cursor = c
	return c, nil
}

func (j *Journal) drop() {
	if j.cursor != nil {
		_ = j.cursor.Close() // it was only read
		j.cursor = nil
	}
}
