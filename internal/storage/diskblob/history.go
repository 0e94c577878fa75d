package diskblob

import (
	"bytes"
	"crypto/rand"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	// marksPerUpload is how many states of one upload are remembered. Whoever goes on has the newest, or the
	// one before if that was not stored; from an older one an upload cannot be continued here.
	marksPerUpload = 8
	// historiesPerGeneration bounds how many uploads are remembered: the newest so many, and up to as many more.
	historiesPerGeneration = 1 << 12
)

// histories remembers, for the uploads that this process has appended to, which states of each are
// still what its file begins with. An Append that starts from an older Upload is a retry, and replaces
// what came behind it; should that have been somebody's who goes on, they must not go on over foreign
// bytes. The lock on the file cannot tell, for it is free between two calls. An upload that is not known
// here, because nobody wrote it since the process started or thousands of others were written since, is
// taken at its word.
type histories struct {
	mu sync.Mutex
	// Two generations: when the first is full it becomes the second, and what nobody has touched since the
	// last time is forgotten.
	states, older map[blob.Key][]mark // each in order of size
}

// mark stands for one Upload: its size, and the token that is its State.
type mark struct {
	size  int64
	token []byte
}

// newToken is an Upload's State.
func newToken() []byte { return []byte(rand.Text()) }

// vouches tells whether the file still begins with the upload's bytes.
func (h *histories) vouches(u blob.Upload) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	marks, known := h.of(u.Key)
	return !known || u.Size == 0 || find(marks, u) >= 0
}

// cutTo notes that the file is about to lose, or to change, what is behind the upload's bytes.
func (h *histories) cutTo(u blob.Upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	marks, _ := h.of(u.Key)
	switch i := find(marks, u); {
	case i >= 0:
		marks = marks[:i+1]
	case u.Size == 0:
		marks = nil
	default: // not known yet
		marks = []mark{{u.Size, u.State}}
	}
	h.set(u.Key, marks)
}

// add notes what an Append returns.
func (h *histories) add(u blob.Upload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	marks, _ := h.of(u.Key)
	marks = append(marks, mark{u.Size, u.State})
	if n := len(marks) - marksPerUpload; n > 0 {
		marks = slices.Delete(marks, 0, n)
	}
	h.set(u.Key, marks)
}

// forget drops an upload that has ended.
func (h *histories) forget(key blob.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.states, key)
	delete(h.older, key)
}

// of and set are called with mu held.
func (h *histories) of(key blob.Key) (marks []mark, known bool) {
	if marks, known = h.states[key]; !known {
		marks, known = h.older[key]
	}
	return marks, known
}

func (h *histories) set(key blob.Key, marks []mark) {
	if h.states == nil || len(h.states) >= historiesPerGeneration {
		h.states, h.older = make(map[blob.Key][]mark), h.states
	}
	delete(h.older, key)
	h.states[key] = marks
}

func find(marks []mark, u blob.Upload) int {
	return slices.IndexFunc(marks, func(m mark) bool {
		return m.size == u.Size && bytes.Equal(m.token, u.State)
	})
}
