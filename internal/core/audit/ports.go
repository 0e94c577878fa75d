package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

// ErrChanged is what a [Store] answers where a log is not what it was when a batch of it was prepared.
var ErrChanged = errors.New("the audit log was read by somebody else meanwhile")

// Journal is this process's log, in files.
type Journal interface {
	ID() string
	// Append puts a record that an Encoder wrote at the end, and gives its buffer back.
	Append(record []byte) ([]byte, error)
	// Size is how many records there are.
	Size() int64
	// Read gives at most limit records from number n on, without line ends; none where there are no more yet. Where n was forgotten it
	// answers Forgotten.
	Read(n int64, limit int) ([]Line, error)
	// Sync makes what was appended safe from power cuts.
	Sync() error
	// Publish puts the last checkpoint beside the log.
	Publish(checkpoint string) error
	// Renew goes on in another log, since this one is not what it was.
	Renew() error
}

// Forgotten is a [Journal]'s answer for records that were kept for their time: what is left of them.
type Forgotten struct{ Left Tree }

// Error implements error.
func (f Forgotten) Error() string {
	return fmt.Sprintf("records %d to %d were kept for their time, and are gone", f.Left.First, f.Left.Next-1)
}

// Line is a record as it was written, without the line's end, and its hash ([tlog.RecordHash]). Nobody changes its text.
type Line struct {
	Text []byte
	Hash tlog.Hash
}

// Store is where records are searched, in the metadata database.
type Store interface {
	// Log gives what is known of a log: nothing of one that is new.
	Log(ctx context.Context, id string) (Log, error)
	// Logs lists all, in order of id.
	Logs(ctx context.Context) ([]Log, error)
	// Checkpoints lists those of a log that are kept, in order of size.
	Checkpoints(ctx context.Context, log string) ([]string, error)
	// Commit stores a batch and its events in one transaction, and gives the ids of its blocks; or answers ErrChanged.
	Commit(ctx context.Context, b Batch) ([]int64, error)
	// Blocks lists blocks, those with the latest records first.
	Blocks(ctx context.Context, q BlockQuery) ([]Block, error)
	// Block gives one with its data; one that is gone has none.
	Block(ctx context.Context, id int64) (Block, error)
	// DropBlocks forgets blocks whose records are all from before a time, at most so many, and tells how many.
	DropBlocks(ctx context.Context, before time.Time, limit int) (int, error)
}

// Log is how far a log has been read.
type Log struct {
	ID         string
	Tree       Tree
	Checkpoint string // a signed note
	At         time.Time
}

// Batch is some records that follow what was read before.
type Batch struct {
	Log            Log   // as it is after it
	From           int64 // how many records it had before it
	Blocks         []Block
	Events         []event.Event
	KeepCheckpoint bool
}

// Block is records of one log, one after the other.
type Block struct {
	ID       int64 // 0: it is new; otherwise it was there, and has more now
	Log      string
	First    int64
	Records  int
	From     time.Time // of its earliest record
	Until    time.Time // of its latest
	Requests []byte    // see [Filter]
	Terms    []int64
	NewTerms []int64 // those of Terms that it did not have before
	Data     []byte
}

// BlockQuery selects blocks. Times are of records: a block is one that may have records in [Since, Until).
type BlockQuery struct {
	Since, Until time.Time // zero: no bound
	Terms        []int64   // all of them
	// After is the last block that was given; a zero id: none.
	AfterUntil time.Time
	AfterID    int64
	Requests   bool // whether Requests is wanted
	// Log and FromRecord select the blocks of one log that begin with that record or a later one, in order, and by nothing else.
	Log        string
	FromRecord int64
	Limit      int
}
