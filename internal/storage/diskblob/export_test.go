package diskblob

import (
	"crypto/rand"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// OpenUnlocked opens a directory as if it were not in use, as another server could on a file system that
// only pretends to lock.
func OpenUnlocked(dir string) (*Store, error) { return prepare(dir) }

// RememberOthers notes what Appends to n new uploads note, without their files.
func (s *Store) RememberOthers(n int) {
	for range n {
		u := blob.Upload{Key: blob.Key(rand.Text())}
		s.history.cutTo(u)
		u.Size, u.State = 1, newToken()
		s.history.add(u)
	}
}

// Remembered counts the states of uploads that are in memory.
func (s *Store) Remembered() int {
	n := 0
	for _, marks := range s.history.states {
		n += len(marks)
	}
	for _, marks := range s.history.older {
		n += len(marks)
	}
	return n
}

// HoldAhead changes how many names of a directory Walk holds in memory.
func (s *Store) HoldAhead(n int) { s.ahead.room = n }
