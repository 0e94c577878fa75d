package diskblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	// namesAhead bounds how many of a directory's names are in memory: some 3 MiB of them. A directory with more is
	// read once for every so many.
	namesAhead = 1 << 16
	// namesAtOnce is how many names are asked for in one go.
	namesAtOnce = 1 << 12
)

// rooms are the directories that Walk goes through: the store's own, then its shards.
const rooms = 1 + 256

var _ blob.Walker = (*Store)(nil)

// Walk implements [blob.Walker]: the directory itself, then shard by shard, by name. An upload looks like an object
// here. A file, directory or anything else that is not of the store's making is listed without a Key.
func (s *Store) Walk(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	found, next, err := s.walk(ctx, after, max(limit, 1))
	if err != nil {
		return nil, "", fmt.Errorf("walking through blobs from %q: %w", after, err)
	}
	return found, next, nil
}

func (s *Store) walk(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	at, err := parsePlace(after)
	if err != nil {
		return nil, "", err
	}
	ahead, known := s.ahead.take(at)
	var found []blob.Found
	for at.room < rooms {
		dir := at.dir()
		if !known {
			if ahead, err = readNames(filepath.Join(s.dir, dir), at.name, s.ahead.most()); err != nil {
				return nil, "", err
			}
		}
		for len(ahead.names) > 0 {
			if len(found) >= limit {
				s.ahead.keep(at, ahead)
				return found, at.String(), nil
			}
			if err := ctx.Err(); err != nil {
				return nil, "", err
			}
			at.name, ahead.names = ahead.names[0], ahead.names[1:]
			f, there, err := s.look(dir, at.name)
			if err != nil {
				return nil, "", err
			}
			if there {
				found = append(found, f)
			}
		}
		known = false
		if !ahead.more {
			at = place{room: at.room + 1}
		}
	}
	return found, "", nil
}

// look describes what has a name in a shard, or in no shard, unless it is gone or the store's own business.
func (s *Store) look(shard, name string) (f blob.Found, there bool, err error) {
	f.Name = name
	if shard != "" {
		f.Name = shard + "/" + name
	} else if name == lockFile || name == idFile || isShard(name) {
		return f, false, nil
	}
	info, err := os.Lstat(s.dir + "/" + f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	f.At = writtenAt(info)
	if info.Mode().IsRegular() {
		f.Size = info.Size()
		if shard != "" && isKey(name) && name[:2] == shard {
			f.Key = blob.Key(name)
		}
	}
	return f, true, nil
}

// Discard implements [blob.Walker]. A file that an Append or a Complete has locked, here or in another process, is
// being written.
func (s *Store) Discard(_ context.Context, f blob.Found) error {
	path, err := s.path(f.Key)
	if err != nil || f.Name != string(f.Key[:2])+"/"+string(f.Key) {
		return fmt.Errorf("discarding %q: it is not of this store's making", f.Name)
	}
	if err := discard(path, f.At); err != nil {
		return fmt.Errorf("discarding %s: %w", f.Name, err)
	}
	s.history.forget(f.Key)
	return nil
}

func discard(path string, at time.Time) error {
	named, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !named.Mode().IsRegular() {
		return fmt.Errorf("it is no file but %v", named.Mode())
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release(f)
	if err := tryLock(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(info, named) || writtenAt(info).After(at) {
		return fmt.Errorf("%w: it was written at %v, later than it was found to be", blob.ErrBusy, writtenAt(info))
	}
	if unlinked(f) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writtenAt is a file's time as Found has it: a database that keeps it loses nothing of it.
func writtenAt(info fs.FileInfo) time.Time { return info.ModTime().UTC().Truncate(time.Microsecond) }

// place is where a walk is: behind a name in one of the rooms.
type place struct {
	room int // 0 is the store's own directory, the others are its shards
	name string
}

// dir is the room's directory, below the store's.
func (p place) dir() string {
	if p.room == 0 {
		return ""
	}
	return fmt.Sprintf("%02x", p.room-1)
}

// String is what Walk gives and takes. Names that somebody else chose may hold anything, so they are escaped.
func (p place) String() string { return p.dir() + "/" + url.PathEscape(p.name) }

func parsePlace(s string) (place, error) {
	if s == "" {
		return place{}, nil
	}
	dir, name, ok := strings.Cut(s, "/")
	name, err := url.PathUnescape(name)
	if !ok || err != nil || dir != "" && !isShard(dir) {
		return place{}, errors.New("no walk gives such a place")
	}
	p := place{name: name}
	if dir != "" {
		_, err = fmt.Sscanf(dir, "%x", &p.room)
		p.room++
	}
	return p, err
}

// isShard tells whether a name is a shard directory's.
func isShard(name string) bool { return len(name) == 2 && isHex(name) }

// names are a directory's next ones behind some place, in order.
type names struct {
	names []string
	more  bool // there are others behind these
}

// readNames reads a directory for the most next names behind one. It holds twice as many at a time.
func readNames(dir, after string, most int) (names, error) {
	d, err := os.Open(dir)
	if err != nil {
		return names{}, err
	}
	defer d.Close() //nolint:errcheck // it was only read
	var n names
	for {
		batch, err := d.Readdirnames(namesAtOnce)
		for _, name := range batch {
			if name > after {
				n.names = append(n.names, name)
			}
		}
		if len(n.names) > 2*most || err != nil {
			slices.Sort(n.names)
			if len(n.names) > most {
				clear(n.names[most:]) // nothing of them stays in memory
				n.names, n.more = n.names[:most], true
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return names{}, err
		}
	}
}

// readAhead keeps the names that a page of a walk has read and not come to, so that the next page need not read the
// whole directory again. It has room for one walk; of two that take turns each reads for itself.
type readAhead struct {
	mu    sync.Mutex
	at    place
	names names
	room  int // namesAhead if 0
}

func (a *readAhead) most() int {
	if a.room > 0 {
		return a.room
	}
	return namesAhead
}

// take gives the names behind a place to whoever comes first.
func (a *readAhead) take(at place) (n names, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at != at || len(a.names.names) == 0 {
		return names{}, false
	}
	n, a.names = a.names, names{}
	return n, true
}

func (a *readAhead) keep(at place, n names) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.names = at, n
}
