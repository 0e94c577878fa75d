package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// maxKept is how much of what a task prints is kept in memory; the rest goes to a temporary file.
const maxKept = 1 << 20

// spool keeps what a task printed until it is known whether anybody wants to see it. It is used by one goroutine at a
// time. A spool that has lines must be dropped.
type spool struct {
	kept bytes.Buffer
	file *os.File
	lost int   // lines that could not be kept
	err  error // why
}

// add keeps a line, which is printable.
func (s *spool) add(line string) {
	if s.err != nil {
		s.lost++
		return
	}
	if s.kept.Len()+len(line) >= maxKept {
		s.spill()
	}
	s.kept.WriteString(line)
	s.kept.WriteByte('\n')
}

// spill writes what is in memory to the file.
func (s *spool) spill() {
	if s.file == nil {
		f, err := os.CreateTemp("", "berth-output-*")
		if err != nil {
			s.err = err // what is in memory stays there
			return
		}
		s.file = f
		_ = os.Remove(f.Name()) // where a file that is open has no need of a name, nothing is left if we are killed
	}
	if _, err := s.kept.WriteTo(s.file); err != nil {
		s.err = err
	}
}

// empty tells whether nothing was printed.
func (s *spool) empty() bool { return s.kept.Len() == 0 && s.file == nil && s.lost == 0 }

// writeTo writes everything that was kept, and what was not.
func (s *spool) writeTo(w io.Writer) error {
	if s.file != nil {
		if _, err := s.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(w, s.file); err != nil {
			return err
		}
	}
	if _, err := w.Write(s.kept.Bytes()); err != nil {
		return err
	}
	if s.lost == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, shown(fmt.Sprintf("(%s could not be kept: %v)", counted(s.lost, "line"), s.err)))
	return err
}

// drop forgets everything.
func (s *spool) drop() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name()) // where it could not be removed while it was open
	}
	*s = spool{}
}
