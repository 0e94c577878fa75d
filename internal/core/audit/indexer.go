package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// batchRecords bounds a transaction.
	batchRecords = 1000
	// blockOpen is how long a block that is not full is added to.
	blockOpen = 10 * time.Minute
	// maxBlockLines is how much a block that is not full may hold to be added to, in bytes: it is packed anew each time.
	maxBlockLines = 1 << 20
	// checkpointEvery is how often a checkpoint is kept for good.
	checkpointEvery = 10 * time.Minute
	// dropBlocks is how many blocks are forgotten at once.
	dropBlocks = 50
)

// IndexerConfig is what an Indexer is made of. Every field must be set, but for Keep and Notify.
type IndexerConfig struct {
	Journal Journal
	Store   Store
	Key     Key
	Encoder Encoder
	Now     func() time.Time
	Logger  *slog.Logger
	Keep    time.Duration // how long records can be searched; 0: for ever
	Notify  func()        // is told that there are events
}

// Indexer reads this process's journal into the database: each record once, however often it is interrupted, since what follows from a batch and
// how far it goes are one transaction.
type Indexer struct {
	IndexerConfig
	known bool
	log   Log
	kept  time.Time // when a checkpoint was last kept
	open  *building // the last block, where it is not full
	spare *building // one whose memory can be used again
}

// NewIndexer makes one. Its methods are for one job at a time.
func NewIndexer(c IndexerConfig) *Indexer { return &Indexer{IndexerConfig: c} }

// Once reads a batch, and tells whether there may be more.
func (x *Indexer) Once(ctx context.Context) (more bool, err error) {
	if err := x.load(ctx); err != nil {
		return false, err
	}
	from := x.log.Tree.Next
	lines, err := x.Journal.Read(from, batchRecords)
	if gone, ok := errors.AsType[Forgotten](err); ok && len(lines) == 0 {
		return true, x.skip(ctx, gone.Left)
	}
	if err != nil || len(lines) == 0 {
		return false, err
	}
	// What the database knows of must not be lost by a power cut that the database survives.
	if err := x.Journal.Sync(); err != nil {
		return false, err
	}
	if err := x.commit(ctx, from, lines); err != nil {
		x.known, x.open = false, nil // what is there now is read again
		if errors.Is(err, ErrChanged) {
			return true, nil
		}
		return false, err
	}
	return len(lines) == batchRecords, nil
}

// Begin looks at the log before anything is written to it: one that has been rolled back could be as long as it was a moment later, and would be
// taken for what it was.
func (x *Indexer) Begin(ctx context.Context) error { return x.load(ctx) }

// skip goes past records of which only hashes are left, where the database does not know of them: it is another one, or was restored.
func (x *Indexer) skip(ctx context.Context, left Tree) error {
	from, now := x.log.Tree.Next, x.Now()
	if left.First != from { // the database has some of these: what is left cannot be added to that
		return x.renew(ctx, left.Next)
	}
	tree := x.log.Tree.Clone()
	for _, n := range left.Nodes {
		tree.AddNode(n)
	}
	signed, err := x.Key.Sign(Checkpoint{x.log.ID, tree.Next, tree.Root(), now})
	if err != nil {
		return err
	}
	x.Logger.LogAttrs(ctx, slog.LevelWarn, "the database lacks records of the audit log that were forgotten since: they cannot be searched", slog.String("log", x.log.ID),
		slog.Int64("from", from), slog.Int64("to", tree.Next))
	batch := Batch{Log: Log{ID: x.log.ID, Tree: tree, Checkpoint: signed, At: now}, From: from, KeepCheckpoint: true}
	x.known, x.open = false, nil
	if _, err := x.Store.Commit(ctx, batch); err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("going past what is forgotten of the audit log: %w", err)
	}
	return nil
}

// load finds out how far the log was read. One that is shorter than that has been rolled back: it is left as it is, for Verify
// to tell, and another one is begun.
func (x *Indexer) load(ctx context.Context) error {
	if x.known {
		return nil
	}
	id := x.Journal.ID()
	log, err := x.Store.Log(ctx, id)
	if err != nil {
		return fmt.Errorf("finding out how far the audit log is read: %w", err)
	}
	if x.Journal.Size() < log.Tree.Next {
		return x.renew(ctx, log.Tree.Next)
	}
	x.log, x.known, x.open = log, true, nil
	return nil
}

// renew leaves a log as it is, which should have so many records, and begins another.
func (x *Indexer) renew(ctx context.Context, should int64) error {
	id, size := x.Journal.ID(), x.Journal.Size()
	x.Logger.LogAttrs(ctx, slog.LevelError, "the audit log lacks records that it had: it goes on in another one", slog.String("log", id),
		slog.Int64("records", size), slog.Int64("should_be", should))
	if err := x.Journal.Renew(); err != nil {
		return err
	}
	x.log, x.known, x.open = Log{ID: x.Journal.ID()}, true, nil
	notice := Notice{Kind: RolledBack, At: x.Now(), ID: id + fmt.Sprintf("%020x", size), Count: should, Log: id}
	_, err := x.Journal.Append(x.Encoder.Notice(notice))
	return err
}

// close leaves the last block as it is after its time, and where so many records come that they make half a block by themselves: what it has
// would be packed again.
func (x *Indexer) close(now time.Time, records int) {
	if x.open != nil && (now.Sub(x.open.opened) > blockOpen || records >= blockRecords/2 && len(x.open.lines) >= maxBlockLines/4) {
		x.open, x.spare = nil, x.open
	}
}

// newBuilding begins a block.
func (x *Indexer) newBuilding(now time.Time) *building {
	if b := x.spare; b != nil {
		x.spare = nil
		b.reset(now)
		return b
	}
	return newBuilding(now)
}

func (x *Indexer) commit(ctx context.Context, from int64, lines []Line) error {
	now := x.Now()
	tree := x.log.Tree.Clone()
	x.close(now, len(lines))
	var blocks []*building
	sum := newSummary()
	for i, line := range lines {
		r, err := Decode(line.Text)
		if err != nil || r.Sequence != from+int64(i) {
			// It counts as what it is, a leaf of the tree, and Verify will name it. Nothing can be found by it.
			x.Logger.LogAttrs(ctx, slog.LevelError, "the audit log has a record that cannot be read", slog.String("log", x.log.ID),
				slog.Int64("record", from+int64(i)), slog.Any("error", err))
			r = Record{Line: line.Text, Log: x.log.ID, Sequence: from + int64(i), At: now}
		}
		tree.Add(line.Hash)
		if x.open == nil || x.open.block.Records >= blockRecords || len(x.open.lines) >= maxBlockLines {
			x.open = x.newBuilding(now)
		}
		if len(blocks) == 0 || blocks[len(blocks)-1] != x.open {
			blocks = append(blocks, x.open)
		}
		x.open.add(&r)
		sum.add(&r)
	}
	batch := Batch{
		Log: Log{ID: x.log.ID, Tree: tree, At: now}, From: from, Events: sum.events(),
		KeepCheckpoint: now.Sub(x.kept) >= checkpointEvery || now.Before(x.kept),
	}
	var err error
	if batch.Log.Checkpoint, err = x.Key.Sign(Checkpoint{x.log.ID, tree.Next, tree.Root(), now}); err != nil {
		return err
	}
	for _, b := range blocks {
		batch.Blocks = append(batch.Blocks, b.finish())
	}
	ids, err := x.Store.Commit(ctx, batch)
	if err != nil {
		return fmt.Errorf("storing records of the audit log: %w", err)
	}
	for i, b := range blocks {
		b.block.ID, b.block.NewTerms = ids[i], nil
		if b != x.open {
			x.spare = b
		}
	}
	x.log = batch.Log
	if batch.KeepCheckpoint {
		x.kept = now
	}
	if x.Notify != nil && len(batch.Events) > 0 {
		x.Notify()
	}
	return x.Journal.Publish(batch.Log.Checkpoint)
}

// DropOnce forgets what was kept for long enough.
func (x *Indexer) DropOnce(ctx context.Context) (more bool, err error) {
	if x.Keep <= 0 {
		return false, nil
	}
	n, err := x.Store.DropBlocks(ctx, x.Now().Add(-x.Keep), dropBlocks)
	return n == dropBlocks, err
}
