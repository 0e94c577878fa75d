package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
)

var begin = time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)

// desk is a directory of logs with a clock.
type desk struct {
	dir string
	now time.Time
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	return &desk{dir: t.TempDir(), now: begin}
}

func (d *desk) config() journal.Config {
	return journal.Config{
		Dir: d.dir, Now: func() time.Time { return d.now }, Notice: encoder.Notice, Logger: slog.New(slog.DiscardHandler), MaxFile: 4 << 10,
	}
}

var encoder = audit.Encoder{Account: "123456789012", Region: "us-east-1"}

func (d *desk) open(t testing.TB, c journal.Config) *journal.Journal {
	t.Helper()
	j, err := journal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return j
}

func entry(i int, at time.Time) audit.Entry {
	return audit.Entry{
		At: at, ID: fmt.Sprintf("%032x", i), Service: "ecr", Operation: "BatchGetImage", Repository: "app", Status: 200,
		Caller: identity.Caller{ARN: "arn:aws:iam::123456789012:user/eve", UserID: "AIDA"},
	}
}

func (d *desk) append(t testing.TB, j *journal.Journal, from, to int) {
	t.Helper()
	var buf []byte
	for i := from; i < to; i++ {
		e := entry(i, d.now)
		var err error
		if buf, err = j.Append(encoder.Append(buf[:0], &e)); err != nil {
			t.Fatal(err)
		}
	}
}

// read gives all records, having checked numbers and chain.
func read(t testing.TB, j *journal.Journal, from int64, limit int) []audit.Record {
	t.Helper()
	lines, err := j.Read(from, limit)
	if err != nil {
		t.Fatal(err)
	}
	// What came from memory is forgotten there: the files say the same.
	again, err := j.Read(from, len(lines))
	if err != nil || !slices.EqualFunc(lines, again, func(a, b audit.Line) bool { return a.Hash == b.Hash && bytes.Equal(a.Text, b.Text) }) {
		t.Fatalf("read again, records from %d on differ: %v", from, err)
	}
	var records []audit.Record
	for i, line := range lines {
		l := line.Text
		r, err := audit.Decode(l)
		if err != nil || r.Sequence != from+int64(i) || r.Log != j.ID() {
			t.Fatalf("record %d of %s: %v: %s", from+int64(i), j.ID(), err, l)
		}
		if i > 0 {
			if hash := tlog.RecordHash(lines[i-1].Text); !bytes.Equal(r.Previous, hash[:8]) || hash != lines[i-1].Hash {
				t.Fatalf("record %d names another one before it: %s", r.Sequence, l)
			}
		}
		records = append(records, r)
	}
	return records
}

func files(t testing.TB, d *desk, j *journal.Journal) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.dir, j.ID()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	j := d.open(t, d.config())
	if got := read(t, j, 0, 10); len(got) != 0 {
		t.Fatalf("an empty log has %v", got)
	}
	d.append(t, j, 0, 3)
	if got := read(t, j, 0, 10); len(got) != 3 {
		t.Fatalf("read %d records of 3", len(got))
	}
	d.append(t, j, 3, 40) // several files
	for from := int64(3); from < 40; {
		got := read(t, j, from, 7)
		if len(got) != int(min(7, 40-from)) {
			t.Fatalf("read %d records from %d on", len(got), from)
		}
		from += int64(len(got))
	}
	if got := read(t, j, 17, 100); len(got) != 23 || got[0].RequestID != fmt.Sprintf("%032x", 17) {
		t.Errorf("from 17 on there are %d records", len(got))
	}
	if len(files(t, d, j)) < 3 {
		t.Errorf("40 records are in %v", files(t, d, j))
	}
	// The next process goes on.
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	again := d.open(t, d.config())
	if again.ID() != j.ID() || again.Size() != 40 {
		t.Fatalf("opened again it is %s with %d records", again.ID(), again.Size())
	}
	d.append(t, again, 40, 45)
	if got := read(t, again, 0, 100); len(got) != 45 {
		t.Errorf("there are %d records", len(got))
	}
}

func TestEachProcessHasALogOfItsOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a, b := d.open(t, d.config()), d.open(t, d.config())
	if a.ID() == b.ID() {
		t.Fatalf("two processes write %s", a.ID())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if c := d.open(t, d.config()); c.ID() != a.ID() {
		t.Errorf("a third goes on with %s, want %s", c.ID(), a.ID())
	}
}

func TestDaysHaveFilesOfTheirOwn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := d.config()
	c.MaxFile = 1 << 20
	j := d.open(t, c)
	d.append(t, j, 0, 2)
	d.now = d.now.Add(24 * time.Hour)
	d.append(t, j, 2, 4)
	d.now = d.now.Add(-48 * time.Hour) // a clock that goes back begins none
	d.append(t, j, 4, 6)
	if got := files(t, d, j); !slices.Equal(got, []string{"0000000000000000.jsonl", "0000000000000002.jsonl"}) {
		t.Errorf("the files are %v", got)
	}
	if got := read(t, j, 0, 10); len(got) != 6 {
		t.Errorf("there are %d records", len(got))
	}
}

// TestATornRecordIsCutOff tears the last record at each of its bytes.
func TestATornRecordIsCutOff(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := d.config()
	c.MaxFile = 1 << 20
	j := d.open(t, c)
	d.append(t, j, 0, 3)
	path := filepath.Join(d.dir, j.ID(), "0000000000000000.jsonl")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := second + 1; cut < len(whole); cut += 37 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again := d.open(t, c)
		d.append(t, again, 3, 4)
		got := read(t, again, 0, 10)
		if len(got) != 4 || got[2].Operation != string(audit.Torn) || got[3].RequestID != fmt.Sprintf("%032x", 3) {
			t.Fatalf("cut at %d: %d records, the third is %+v", cut, len(got), got[2])
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheChainGoesOnAfterAnEmptyFile is what a crash leaves that comes right after a file was begun.
func TestTheChainGoesOnAfterAnEmptyFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	j := d.open(t, d.config())
	d.append(t, j, 0, 3)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, j.ID(), "0000000000000003.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := d.open(t, d.config())
	d.append(t, again, 3, 5)
	if got := read(t, again, 0, 10); len(got) != 5 {
		t.Errorf("there are %d records", len(got))
	}
}

func TestAFullDiskCountsWhatIsLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	full := false
	j := d.open(t, d.config().WithWrite(func(f *os.File, b []byte) (int, error) {
		if full {
			n, err := f.Write(b[:len(b)/2])
			return n, errors.Join(err, syscall.ENOSPC)
		}
		return f.Write(b)
	}))
	d.append(t, j, 0, 2)
	full = true
	for i := range 5 {
		e := entry(i, d.now)
		if _, err := j.Append(encoder.Append(nil, &e)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Append: %v", err)
		}
	}
	if j.Lost() != 5 {
		t.Errorf("%d are lost", j.Lost())
	}
	full = false
	d.append(t, j, 7, 9)
	got := read(t, j, 0, 10)
	if len(got) != 5 || got[2].Operation != string(audit.Lost) || !strings.Contains(string(got[2].Line), `"count":5,"since":"2026-11-27T07:00:00Z"`) {
		t.Fatalf("the log has %d records, the third %s", len(got), got[2].Line)
	}
	if j.Lost() != 0 {
		t.Errorf("%d are still lost", j.Lost())
	}
}

func TestFullFilesArePackedAndForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.now = time.Now() // which files have
	c := d.config()
	c.Keep = 24 * time.Hour
	j := d.open(t, c)
	d.append(t, j, 0, 30)
	if got := read(t, j, 0, 3); len(got) != 3 {
		t.Fatal("there is nothing to read")
	}
	if err := j.Care(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := files(t, d, j)
	for i, name := range names {
		if strings.HasSuffix(name, ".zst") == (i == len(names)-1) {
			t.Errorf("the files are %v", names)
		}
	}
	if got := read(t, j, 3, 100); len(got) != 27 { // the cursor was within a file that is packed now
		t.Errorf("there are %d records, want 27", len(got))
	}
	d.now = d.now.Add(25 * time.Hour)
	d.append(t, j, 30, 31)
	for range 2 {
		if err := j.Care(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	names = files(t, d, j)
	if !strings.HasSuffix(names[0], ".tree") || strings.HasSuffix(names[len(names)-1], ".tree") {
		t.Errorf("a day later the files are %v", names)
	}
	if _, err := j.Read(0, 1); err == nil {
		t.Error("a record that was forgotten can be read")
	}
	if got := read(t, j, 30, 10); len(got) != 1 {
		t.Errorf("there are %d new records", len(got))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if again := d.open(t, c); again.Size() != 31 {
		t.Errorf("opened again it has %d records", again.Size())
	}
}

func TestManyWriteAndOneReads(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 200
	d := newDesk(t)
	c := d.config()
	c.MaxFile = 64 << 10
	j := d.open(t, c)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				e := entry(w*each+i, begin)
				if _, err := j.Append(encoder.Append(nil, &e)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		writing.Wait()
		if err := j.Sync(); err != nil {
			t.Error(err)
		}
	}()
	seen := map[string]bool{}
	for n := int64(0); n < writers*each; {
		got := read(t, j, n, 50)
		if err := j.Care(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			seen[r.RequestID] = true
		}
		n += int64(len(got))
	}
	<-done
	if len(seen) != writers*each {
		t.Errorf("%d of %d records are in the log", len(seen), writers*each)
	}
}

func BenchmarkAppend(b *testing.B) {
	d := newDesk(b)
	c := d.config()
	c.MaxFile = 0
	j := d.open(b, c)
	e := entry(1, begin)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = j.Append(encoder.Append(buf[:0], &e)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRecordsThatAreManyComeFromTheFiles: what is appended faster than it is read is bounded in memory, and nothing is missing.
func TestRecordsThatAreManyComeFromTheFiles(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := d.config()
	c.MaxFile = 0
	j := d.open(t, c)
	e := entry(1, begin)
	e.Path = strings.Repeat("p", 1000)
	e.Message = strings.Repeat("m", 1000)
	e.DecidedBy = strings.Repeat("d", 2000)
	const many = 3000 // 13 MB
	for i := range many {
		e.ID = fmt.Sprintf("%032x", i)
		if _, err := j.Append(encoder.Append(nil, &e)); err != nil {
			t.Fatal(err)
		}
	}
	if held := j.Held(); held < many/4 || held > many*3/4 {
		t.Errorf("%d records of %d are held in memory", held, many)
	}
	n := int64(0)
	for got := read(t, j, n, 700); len(got) > 0; got = read(t, j, n, 700) {
		n += int64(len(got))
	}
	if n != many {
		t.Errorf("%d records were read, want %d", n, many)
	}
	if held := j.Held(); held != 0 {
		t.Errorf("%d records are held that were read", held)
	}
	e.ID = fmt.Sprintf("%032x", many)
	if _, err := j.Append(encoder.Append(nil, &e)); err != nil {
		t.Fatal(err)
	}
	if held := j.Held(); held != 1 {
		t.Errorf("%d records are held after all were read, and one came", held)
	}
	if got := read(t, j, many, 10); len(got) != 1 {
		t.Errorf("%d records came", len(got))
	}
}
