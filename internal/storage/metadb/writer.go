package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// maxBatch bounds how many updates share a commit, and so how long the first of them waits.
const maxBatch = 128

var (
	errUnfinished = errors.New("the function of an update did not return")
	errOver       = errors.New("the transaction of this statement is over")
)

// writer owns the one connection that writes to a SQLite database. Its goroutine lends the connection to
// one caller at a time and commits what they did together; see "Life of an update".
type writer struct {
	another func() (*sqliteConn, error)
	stats   *counters
	turns   chan *turn // callers waiting; unbuffered, so that whoever got in is served
	closing chan struct{}
	gone    chan struct{} // closed when the goroutine has ended

	// The rest belongs to the goroutine.
	conn  *sqliteConn // nil when the last one was of no more use and there is no other yet
	open  bool        // a transaction is open
	batch []*turn     // whose outcome is the transaction's
}

// turn is one caller's update.
type turn struct {
	ctx  context.Context
	lend chan *lentSession // the connection, or nil when there will be none
	back chan error        // what the function said, when the connection comes back
	done chan error        // the outcome, with room for it: nobody may be there to hear it after a panic
	err  error             // the function's own error, which stands if the commit succeeds
}

func startWriter(c *sqliteConn, another func() (*sqliteConn, error), stats *counters, closing chan struct{}) *writer {
	w := &writer{conn: c, another: another, stats: stats, closing: closing, turns: make(chan *turn), gone: make(chan struct{})}
	go w.run()
	return w
}

// update runs f in the caller's own goroutine, where its panics belong, on the connection that the writer
// lends.
func (w *writer) update(ctx context.Context, f func(tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &turn{ctx: ctx, lend: make(chan *lentSession), back: make(chan error), done: make(chan error, 1)}
	select {
	case w.turns <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return unavailable(errClosed)
	}
	if s := <-t.lend; s != nil {
		t.use(s, f)
	}
	return <-t.done
}

// use gives the connection back however f ends.
func (t *turn) use(s *lentSession, f func(tx) error) {
	err := errUnfinished
	defer func() {
		s.over = true
		t.back <- err
	}()
	if err = f(newTx(s)); err == nil && s.failed != nil {
		err = wentOn(s.failed)
	}
}

func (w *writer) run() {
	defer close(w.gone)
	for {
		select {
		case t := <-w.turns:
			w.serve(t)
		case <-w.closing:
			return
		}
	}
}

// serve gives the first caller and all who are waiting by then their turn, and commits.
func (w *writer) serve(first *turn) {
	w.batch = w.batch[:0]
	for t, taken := first, 1; t != nil; taken++ {
		if err := w.take(t); err != nil {
			w.abandon(err)
			return
		}
		t = nil
		if taken < maxBatch {
			select {
			case t = <-w.turns:
			default:
			}
		}
	}
	w.commit()
}

// take gives one caller a turn. The error says that the whole transaction is lost, for everybody in it.
func (w *writer) take(t *turn) error {
	if err := t.ctx.Err(); err != nil {
		t.skip(err)
		return nil
	}
	if err := w.connect(); err != nil {
		t.skip(err)
		return nil
	}
	// Whoever comes first has nobody's work to spare when it fails, and needs no savepoint.
	begin, undo, keep := "BEGIN IMMEDIATE", "ROLLBACK", ""
	if w.open {
		begin, undo, keep = "SAVEPOINT turn", "ROLLBACK TO turn", "RELEASE turn"
	}
	if _, err := w.conn.exec(begin); err != nil {
		t.skip(classify(err))
		return w.orLost(err)
	}
	w.open = true
	s := &lentSession{conn: w.conn}
	t.lend <- s
	t.err = <-t.back
	if s.lost != nil {
		w.batch = append(w.batch, t)
		return s.lost
	}
	if t.err != nil {
		if _, err := w.conn.exec(undo); err != nil {
			w.batch = append(w.batch, t)
			return err
		}
		if keep == "" {
			w.open = false
			t.done <- t.err
			return nil
		}
	}
	w.batch = append(w.batch, t)
	if keep != "" {
		if _, err := w.conn.exec(keep); err != nil {
			return err
		}
	}
	return nil
}

// orLost passes on an error to begin a turn if there was a transaction that it may have broken.
func (w *writer) orLost(err error) error {
	if w.open && breaksTransaction(err) {
		return err
	}
	return nil
}

// skip answers a caller whose function will not run.
func (t *turn) skip(err error) {
	t.done <- err
	close(t.lend)
}

// commit makes everybody's work durable and tells them.
func (w *writer) commit() {
	if !w.open {
		return // whoever there was has been told
	}
	if _, err := w.conn.exec("COMMIT"); err != nil {
		w.abandon(err)
		return
	}
	w.open = false
	updates := 0
	for _, t := range w.batch {
		if t.err == nil {
			updates++
		}
	}
	// Counted first, so that whoever was told finds itself counted.
	w.stats.committed(updates)
	for _, t := range w.batch {
		t.done <- t.err
	}
}

// abandon ends a transaction that cannot be committed. Those in it are all told the same: even who failed
// by itself may have done so for what another had written, which is gone now.
func (w *writer) abandon(cause error) {
	w.end()
	w.open = false
	err := fmt.Errorf("committing: %w", classify(cause))
	for _, t := range w.batch {
		t.done <- err
	}
}

// end leaves no transaction open, whatever it takes: with one left open every later BEGIN would fail.
func (w *writer) end() {
	if _, err := w.conn.exec("ROLLBACK"); err == nil {
		return
	}
	// SQLite may have rolled back by itself. If so it can begin again, which takes no lock and no disk.
	if _, err := w.conn.exec("BEGIN"); err == nil {
		if _, err := w.conn.exec("ROLLBACK"); err == nil {
			return
		}
	}
	w.close() // closing rolls back
}

// connect makes sure that there is a connection.
func (w *writer) connect() (err error) {
	if w.conn == nil {
		w.conn, err = w.another()
	}
	return err
}

// close is for the writer's goroutine, or when that has ended.
func (w *writer) close() {
	if w.conn != nil {
		w.conn.discard()
		w.conn = nil
	}
}

// lentSession is the writer's connection for the time of one caller's turn.
type lentSession struct {
	conn *sqliteConn
	over bool  // the turn has ended
	lost error // what broke the transaction, for everybody in it

	failed error // the first statement's error, classified
}

// query implements session. It does not watch the context: interrupting a statement would roll back the
// neighbours' work too.
func (s *lentSession) query(_ context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	if err := s.unusable(); err != nil {
		return err
	}
	return s.note(s.conn.query(text, row, args...))
}

// exec implements session.
func (s *lentSession) exec(_ context.Context, text string, args ...any) (int64, error) {
	if err := s.unusable(); err != nil {
		return 0, err
	}
	n, err := s.conn.exec(text, args...)
	return n, s.note(err)
}

// unusable stops statements that would run outside the transaction.
func (s *lentSession) unusable() error {
	if s.over {
		return errOver
	}
	return classify(s.lost)
}

func (s *lentSession) note(err error) error {
	if breaksTransaction(err) {
		s.lost = err
	}
	err = classify(err)
	s.failed = cmp.Or(s.failed, err)
	return err
}
