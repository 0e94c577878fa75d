package audit

import (
	"sync"
	"time"
)

// Recorder records what the faces note.
type Recorder struct {
	journal Journal
	encoder Encoder
	now     func() time.Time
	notify  func()
	buffers sync.Pool // *[]byte
}

// NewRecorder makes one. Notify is told that there is something to read.
func NewRecorder(journal Journal, encoder Encoder, now func() time.Time, notify func()) *Recorder {
	return &Recorder{journal: journal, encoder: encoder, now: now, notify: notify}
}

// maxPooled is the largest buffer that is kept.
const maxPooled = 64 << 10

// Record appends the entry's record to the journal, with the time of now. What cannot be written is counted there, and lost: it
// is no reason to refuse what was asked for.
func (l *Recorder) Record(e *Entry) {
	e.At = l.now()
	buf, ok := l.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
		*buf = make([]byte, 0, 2048)
	}
	b, err := l.journal.Append(l.encoder.Append((*buf)[:0], e))
	if cap(b) <= maxPooled {
		*buf = b
		l.buffers.Put(buf)
	}
	if err == nil {
		l.notify()
	}
}
