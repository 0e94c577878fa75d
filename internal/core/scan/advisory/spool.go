package advisory

import (
	"fmt"
	"os"
)

// Spool is a file for what must be on disk to be read in any order. Nobody else sees it: where the system lets it, its name goes at
// once, so that a crash leaves nothing behind.
type Spool struct{ *os.File }

// NewSpool makes one in a directory; in the system's, if that is empty.
func NewSpool(dir string) (Spool, error) {
	f, err := os.CreateTemp(dir, "advisories-*.zip")
	if err != nil {
		return Spool{}, fmt.Errorf("making a temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // on Windows the file is in use, and goes when it is closed
	return Spool{f}, nil
}

// Close gives the file's room back.
func (s Spool) Close() error {
	err := s.File.Close()
	_ = os.Remove(s.Name())
	return err
}
