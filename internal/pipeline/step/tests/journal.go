package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	journalName    = "tests.json"
	journalVersion = 1
	// maxPassed is how many passed tests are remembered: those of a large monorepo's projects on a few branches.
	maxPassed = 1000
	// maxJournal bounds the file, which has a line of 200 bytes for each.
	maxJournal = 4 << 20
)

// Journal remembers the tests that passed, by keys that stand for all that goes into them. It is a file in a clone, which
// several runs share.
//
// It never stands in a run's way. What is no journal counts as an empty one, and is written over: at worst a test is run again.
type Journal struct {
	dir string

	mu     sync.Mutex
	passed map[string]pass
}

// pass is a test that passed.
type pass struct {
	Project string    `json:"project"` // for people
	At      time.Time `json:"at"`
}

// journalFile is what is in the file.
type journalFile struct {
	Version int             `json:"version"`
	Passed  map[string]pass `json:"passed"`
}

var journalKey = regexp.MustCompile(`^[0-9a-f]{1,128}$`)

// OpenJournal reads the journal that is in a directory, which need not be there. The note says what is wrong with it, "" if nothing is.
func OpenJournal(dir string) (j *Journal, note string) {
	j = &Journal{dir: dir}
	passed, err := j.read()
	if err != nil {
		note = fmt.Sprintf("which tests passed before is not known, and all are run: %v", err)
	}
	j.passed = passed
	return j, note
}

// Passed tells whether a test passed with a key, in a run before this one began or in this one.
func (j *Journal) Passed(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.passed[key]
	return ok
}

// Record notes that a project's tests passed. A key is hexadecimal digits in lower case, 128 at most.
//
// When it returns the file has it, with whatever other runs have recorded, up to a thousand: the oldest are forgotten. A process
// that is killed in the middle leaves the file as it was.
func (j *Journal) Record(key, project string, at time.Time) error {
	if !journalKey.MatchString(key) {
		return fmt.Errorf("recording that the tests of %s passed: %q is no key", project, key)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.passed[key] = pass{project, at.UTC()} // also if the file cannot be written
	if err := j.write(); err != nil {
		return fmt.Errorf("recording that the tests of %s passed: %w", project, err)
	}
	return nil
}

// write adds what this run knows to what the file has.
func (j *Journal) write() error {
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(j.dir, journalName+".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	all, err := j.read()
	if _, damaged := errors.AsType[*damagedError](err); err != nil && !damaged {
		return err // it may be a good one
	}
	for key, p := range j.passed {
		if other, ok := all[key]; !ok || p.At.After(other.At) {
			all[key] = p
		}
	}
	forget(all)
	text, err := json.MarshalIndent(journalFile{journalVersion, all}, "", " ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(j.dir, journalName), append(text, '\n'))
}

// forget leaves the newest.
func forget(all map[string]pass) {
	keys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if c := all[b].At.Compare(all[a].At); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys[min(maxPassed, len(keys)):] {
		delete(all, key)
	}
}

// damagedError is that a file is no journal.
type damagedError struct {
	file string
	why  string
}

func (d *damagedError) Error() string { return d.file + " is no journal of tests: " + d.why }

// read gives what is in the file: nothing if there is none, and what makes sense of one that is damaged.
func (j *Journal) read() (map[string]pass, error) {
	all := map[string]pass{}
	name := filepath.Join(j.dir, journalName)
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err != nil:
		return all, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return all, fmt.Errorf("%s is no file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxJournal+1))
	if err != nil {
		return all, err
	}
	if len(text) > maxJournal {
		return all, &damagedError{name, "it is larger than 4 MiB"}
	}
	var file struct {
		Version int                        `json:"version"`
		Passed  map[string]json.RawMessage `json:"passed"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return all, &damagedError{name, err.Error()}
	}
	if file.Version != journalVersion {
		return all, &damagedError{name, fmt.Sprintf("it is of version %d, and this is %d", file.Version, journalVersion)}
	}
	wrong := 0
	for key, value := range file.Passed {
		var p pass
		if !journalKey.MatchString(key) || bytes.Equal(value, []byte("null")) || json.Unmarshal(value, &p) != nil {
			wrong++
			continue
		}
		all[key] = p
	}
	if wrong > 0 {
		return all, &damagedError{name, fmt.Sprintf("%d of its entries make no sense", wrong)}
	}
	return all, nil
}

// replace writes a file beside the old one and puts it in its place. The name is always the same, so that those who are killed leave
// one file at most; the lock keeps others from it.
func replace(name string, text []byte) error {
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
