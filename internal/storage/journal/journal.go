// Package journal keeps the audit log in files: a folder for each process's log, in it files of lines, one after the other.
//
//	<dir>/<log>/lock                          held by the process that writes
//	<dir>/<log>/0000000000000000.jsonl        records from number 0 on
//	<dir>/<log>/0000000000041213.jsonl.zst    a file that is full, or of a day that is over, compressed
//	<dir>/<log>/0000000000000000.tree         what stays of one that was kept for long enough: hashes
//	<dir>/<log>/checkpoint                    the last signed checkpoint
//	<dir>/<log>/ended                         nobody goes on with this log
//
// A record is one write, so that a process that is killed leaves whole lines. A power cut takes at most what came since the last sync, a second
// ago, and may leave a torn line, which is cut off at the next start. When the disk is full requests go on: the records that are lost are
// counted, and the next one that can be written is preceded by one that says so.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

const (
	// DefaultMaxFile is how large a file grows, in bytes, before there is another one.
	DefaultMaxFile = 64 << 20
	// syncEvery bounds what a power cut takes.
	syncEvery = time.Second
	// careEvery is how often files are compressed and forgotten.
	careEvery = time.Minute
)

// Config is what a Journal is made of. Dir, Now, Notice and Logger must be set.
type Config struct {
	Dir     string
	Now     func() time.Time
	MaxFile int64         // bytes; 0: DefaultMaxFile
	Keep    time.Duration // how long files are kept after their last record; 0: for ever
	// Notice writes the record of something that happened to the log itself.
	Notice func(audit.Notice) []byte
	Logger *slog.Logger

	// write stands in for the file's own in tests.
	write func(f *os.File, b []byte) (int, error)
}

// Journal is one process's log. Its methods may be called from many goroutines.
type Journal struct {
	Config

	mu       sync.Mutex // guards what follows; id and dir change only while reading is held too
	id       string
	dir      string
	lock     *os.File
	files    []file // in order; the last one is written to
	current  *os.File
	size     int64 // of the current file: whole lines
	day      int64 // of the current file
	next     int64 // number of the next record
	previous [audit.PreviousSize]byte
	dirty    bool // there may be a part of a line after size
	unsynced bool
	lost     int64 // records since lostAt
	lostAt   time.Time
	recent   recent

	reading sync.Mutex // guards cursor
	cursor  *cursor
}

// Open opens the first log below the directory that no other process has, or begins one.
func Open(c Config) (*Journal, error) {
	if c.MaxFile == 0 {
		c.MaxFile = DefaultMaxFile
	}
	if c.write == nil {
		c.write = (*os.File).Write
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	ids, err := Logs(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := os.Stat(filepath.Join(c.Dir, id, endedName)); err == nil {
			continue
		}
		j, err := c.open(id)
		if !errors.Is(err, errTaken) {
			return j, err
		}
	}
	return c.begin()
}

// begin makes a log of its own.
func (c Config) begin() (*Journal, error) {
	id := newID(6)
	if err := os.Mkdir(filepath.Join(c.Dir, id), 0o700); err != nil {
		return nil, fmt.Errorf("beginning an audit log: %w", err)
	}
	return c.open(id)
}

func newID(size int) string {
	raw := make([]byte, size)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

var errTaken = errors.New("another process writes this log")

func (c Config) open(id string) (_ *Journal, err error) {
	j := &Journal{Config: c, id: id, dir: filepath.Join(c.Dir, id)}
	j.lock, err = os.OpenFile(filepath.Join(j.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the audit log: %w", err)
	}
	if err := unix.Flock(int(j.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(errTaken, j.lock.Close())
	}
	if err := j.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the audit log %s: %w", id, err), j.lock.Close())
	}
	return j, nil
}

// recover finds the log's end, and cuts off what is no whole line.
func (j *Journal) recover() error {
	files, err := listFiles(j.dir)
	if err != nil {
		return err
	}
	j.files = files
	if len(files) == 0 {
		return j.rotate(j.Now())
	}
	last := files[len(files)-1]
	end, err := readEnd(j.dir, last)
	if err != nil {
		return err
	}
	j.next, j.previous = last.first+end.records, end.previous
	if last.state != plain {
		return j.rotate(j.Now())
	}
	if j.current, err = os.OpenFile(last.path(j.dir), os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := j.current.Stat()
	if err != nil {
		return err
	}
	j.size, j.day = end.bytes, dayOf(info.ModTime())
	if end.records == 0 && len(files) > 1 { // the chain goes on from the file before
		if before, err := readEnd(j.dir, files[len(files)-2]); err == nil {
			j.previous = before.previous
		}
	}
	return j.cut(info.Size() - end.bytes)
}

// cut cuts off a part of a record, and says so.
func (j *Journal) cut(torn int64) error {
	if torn == 0 {
		return nil
	}
	if err := j.current.Truncate(j.size); err != nil {
		return err
	}
	j.Logger.Warn("the audit log ended within a record, which was cut off", slog.String("log", j.id), slog.Int64("record", j.next), slog.Int64("bytes", torn))
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.notice(audit.Notice{Kind: audit.Torn, Count: torn}); err != nil {
		j.lost, j.lostAt = 1, j.Now() // a full disk keeps nobody from serving
	}
	return nil
}

// ID names the log.
func (j *Journal) ID() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.id
}

const (
	endedName      = "ended"
	checkpointName = "checkpoint"
)

// Renew goes on in another log, and leaves this one as it is.
func (j *Journal) Renew() error {
	next, err := j.begin()
	if err != nil {
		return err
	}
	j.reading.Lock()
	defer j.reading.Unlock()
	j.drop()
	j.mu.Lock()
	defer j.mu.Unlock()
	err = os.WriteFile(filepath.Join(j.dir, endedName), nil, 0o600)
	if j.current != nil {
		err = errors.Join(err, j.current.Sync(), j.current.Close())
	}
	err = errors.Join(err, j.lock.Close())
	j.id, j.dir, j.lock, j.files, j.current = next.id, next.dir, next.lock, next.files, next.current
	j.recent.forget()
	j.size, j.day, j.next, j.previous, j.dirty, j.unsynced = next.size, next.day, next.next, next.previous, false, true
	if err != nil {
		return fmt.Errorf("ending an audit log: %w", err)
	}
	return nil
}

// Publish puts a checkpoint beside the log.
func (j *Journal) Publish(checkpoint string) (err error) {
	j.mu.Lock()
	path := filepath.Join(j.dir, checkpointName)
	j.mu.Unlock()
	// Not synced: it is one of many, and none is the only one.
	if err := os.WriteFile(path+".new", []byte(checkpoint), 0o600); err != nil {
		return fmt.Errorf("writing the audit log's checkpoint: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing the audit log's checkpoint: %w", err)
	}
	return nil
}

// Size is how many records the log has had.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Append puts a record that [audit.Encoder] wrote at the log's end, and gives its buffer back, which may have grown. The record is safe from
// the end of this process when it returns. A record that cannot be written is counted as lost.
func (j *Journal) Append(record []byte) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost > 0 {
		if err := j.notice(audit.Notice{Kind: audit.Lost, Count: j.lost, Since: j.lostAt}); err != nil {
			j.lost++
			return record, err
		}
		j.Logger.Error("the audit log can be written again; records were lost", slog.String("log", j.id), slog.Int64("records", j.lost), slog.Time("since", j.lostAt))
		j.lost = 0
	}
	record, err := j.append(record)
	if err != nil {
		if j.lost == 0 {
			j.lostAt = j.Now()
			j.Logger.Error("the audit log cannot be written", slog.String("log", j.id), slog.Any("error", err))
		}
		j.lost++
	}
	return record, err
}

// Lost tells how many records could not be written, since the last one that was.
func (j *Journal) Lost() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lost
}

// notice appends a record about the log itself.
func (j *Journal) notice(n audit.Notice) error {
	n.At, n.ID = j.Now(), newID(16)
	_, err := j.append(j.Notice(n))
	return err
}

func (j *Journal) append(record []byte) ([]byte, error) {
	if j.current == nil {
		return record, fs.ErrClosed
	}
	now := j.Now()
	if j.size > 0 && (j.size >= j.MaxFile || dayOf(now) > j.day) { // a clock that goes back begins no file
		if err := j.rotate(now); err != nil {
			j.Logger.Error("the audit log goes on in its old file", slog.String("log", j.id), slog.Any("error", err))
			j.day = dayOf(now)
		}
	}
	if j.dirty {
		if err := j.current.Truncate(j.size); err != nil {
			return record, fmt.Errorf("cutting off a part of a record: %w", err)
		}
		j.dirty = false
	}
	record = append(audit.Number(record, j.id, j.next, j.previous[:]), '\n')
	n, err := j.write(j.current, record)
	if err != nil {
		j.dirty = n > 0
		return record, fmt.Errorf("writing the audit log: %w", err)
	}
	hash := tlog.RecordHash(record[:len(record)-1])
	copy(j.previous[:], hash[:])
	j.recent.add(j.next, record[:len(record)-1], hash)
	j.size += int64(n)
	j.next++
	j.unsynced = true
	return record, nil
}

// rotate goes on in a new file. What is in the old one is synced before, since nobody will look at it again.
func (j *Journal) rotate(now time.Time) error {
	f := file{first: j.next, state: plain}
	next, err := os.OpenFile(f.path(j.dir), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("beginning a file of the audit log: %w", err)
	}
	if err := syncDir(j.dir); err != nil {
		return errors.Join(err, next.Close(), os.Remove(f.path(j.dir)))
	}
	if old := j.current; old != nil {
		if err := errors.Join(old.Sync(), old.Close()); err != nil {
			j.Logger.Error("ending a file of the audit log", slog.String("log", j.id), slog.Any("error", err))
		}
	}
	j.files = append(j.files, f)
	j.current, j.size, j.day, j.dirty = next, 0, dayOf(now), false
	return nil
}

// Sync makes all records that were appended before safe from power cuts.
func (j *Journal) Sync() error {
	j.mu.Lock()
	f, unsynced := j.current, j.unsynced
	j.unsynced = false
	j.mu.Unlock()
	if !unsynced || f == nil {
		return nil
	}
	err := f.Sync()
	if errors.Is(err, fs.ErrClosed) {
		return nil // it was full meanwhile, and synced with that
	}
	if err != nil {
		j.mu.Lock()
		j.unsynced = true
		j.mu.Unlock()
		return fmt.Errorf("syncing the audit log: %w", err)
	}
	return nil
}

// Run syncs each second, and takes care of old files, until ctx ends.
func (j *Journal) Run(ctx context.Context) {
	syncing, caring := time.NewTicker(syncEvery), time.NewTicker(careEvery)
	defer syncing.Stop()
	defer caring.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-syncing.C:
			err = j.Sync()
		case <-caring.C:
			err = j.Care(ctx)
		}
		if err != nil {
			j.Logger.LogAttrs(ctx, slog.LevelError, "keeping the audit log", slog.String("log", j.ID()), slog.Any("error", err))
		}
	}
}

// Close syncs, and lets go of the log.
func (j *Journal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current != nil {
		err = errors.Join(err, j.current.Close())
		j.current = nil
	}
	return errors.Join(err, j.lock.Close())
}

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
