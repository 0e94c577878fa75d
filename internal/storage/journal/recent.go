package journal

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

const (
	// maxRecent is how many bytes of records wait in memory to be read: some seconds of a busy server. What does not fit is read from
	// the files.
	maxRecent = 8 << 20
	// recentChunk is how much memory is taken at once.
	recentChunk = 256 << 10
)

// recent is what was appended and not read yet, so that whoever reads it need neither ask the files nor hash it again. The files stay the
// truth: what is here was written to them.
type recent struct {
	first int64 // the number of lines[0]
	lines []audit.Line
	bytes int
	chunk []byte
}

// add takes a copy of record n. While it is full, or has missed some, it takes none until what it has was read.
func (r *recent) add(n int64, text []byte, hash tlog.Hash) {
	if len(r.lines) == 0 {
		r.first = n
	}
	if n != r.first+int64(len(r.lines)) || r.bytes+len(text) > maxRecent {
		return
	}
	if cap(r.chunk)-len(r.chunk) < len(text) {
		r.chunk = make([]byte, 0, max(recentChunk, len(text)))
	}
	from := len(r.chunk)
	r.chunk = append(r.chunk, text...)
	r.lines = append(r.lines, audit.Line{Text: r.chunk[from:len(r.chunk):len(r.chunk)], Hash: hash})
	r.bytes += len(text)
}

// take gives at most limit records from number n on, none where it does not have n, and forgets what it gave and what is before that.
func (r *recent) take(n int64, limit int) []audit.Line {
	end := r.first + int64(len(r.lines))
	if n < r.first {
		return nil
	}
	if n >= end {
		r.forget()
		return nil
	}
	to := int(min(n+int64(limit), end) - r.first)
	for _, l := range r.lines[:to] {
		r.bytes -= len(l.Text)
	}
	taken := r.lines[n-r.first : to : to]
	r.lines, r.first = r.lines[to:], r.first+int64(to)
	if len(r.lines) == 0 {
		r.lines = nil
	}
	return taken
}

func (r *recent) forget() { *r = recent{} }
