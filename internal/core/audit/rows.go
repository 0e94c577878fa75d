package audit

import (
	"context"
	"errors"
	"time"
)

// rows reads a log's records from the database, in order.
type rows struct {
	ctx   context.Context //nolint:containedctx // it is one verification's
	store Store
	log   string

	blocks []Block // that come next
	ended  bool
	after  int64 // blocks that begin before this were read
	n      int64 // number of lines[0]
	lines  [][]byte
	kept   time.Time // the earliest of the times of the blocks' latest records
}

var errNoRows = errors.New("there are no more records")

// rowsPage is how many blocks are listed at once.
const rowsPage = 100

// at gives record n, nil where it is not there. It is asked for rising numbers.
func (r *rows) at(n int64) ([]byte, error) {
	for {
		if len(r.lines) > 0 && r.n > n {
			return nil, nil
		}
		if skip := n - r.n; skip < int64(len(r.lines)) {
			r.lines, r.n = r.lines[max(skip, 0):], max(n, r.n)
			return r.lines[0], nil
		}
		r.lines = nil
		if err := r.load(); errors.Is(err, errNoRows) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// next gives the next record and its number, or errNoRows.
func (r *rows) next() (int64, []byte, error) {
	for len(r.lines) == 0 {
		if err := r.load(); err != nil {
			return 0, nil, err
		}
	}
	n, line := r.n, r.lines[0]
	r.n, r.lines = r.n+1, r.lines[1:]
	return n, line, nil
}

// first tells which record is the first that is there.
func (r *rows) first() (int64, bool, error) {
	if err := r.load(); errors.Is(err, errNoRows) {
		return 0, false, nil
	} else if err != nil {
		return 0, false, err
	}
	return r.n, true, nil
}

// load reads the next block.
func (r *rows) load() error {
	for {
		if len(r.blocks) == 0 && !r.ended {
			var err error
			r.blocks, err = r.store.Blocks(r.ctx, BlockQuery{Log: r.log, FromRecord: r.after, Limit: rowsPage})
			if err != nil {
				return err
			}
			r.ended = len(r.blocks) < rowsPage
		}
		if len(r.blocks) == 0 {
			return errNoRows
		}
		id, first := r.blocks[0].ID, r.blocks[0].First
		r.blocks, r.after = r.blocks[1:], first+1
		block, err := r.store.Block(r.ctx, id)
		if err != nil {
			return err
		}
		if len(block.Data) == 0 {
			continue // it was forgotten meanwhile
		}
		if r.lines, err = block.Lines(); err != nil {
			return err
		}
		if r.kept.IsZero() || block.Until.Before(r.kept) {
			r.kept = block.Until
		}
		r.n = first
		return nil
	}
}
