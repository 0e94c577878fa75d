package metadb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"modernc.org/sqlite"
)

// sqliteReaders is how many reads run at the same time. A read takes tens of microseconds, mostly of
// processor time, so that more would take memory (each has a page cache) and give nothing.
const sqliteReaders = 4

// sqlitePragmas are set on every connection.
func sqlitePragmas() []string {
	return []string{
		"busy_timeout(10000)", // milliseconds; for other processes, such as a backup
		"journal_mode(WAL)",
		"synchronous(FULL)", // a commit is on the disk when it returns
		"foreign_keys(1)",
		"cache_size(-2048)",            // KiB, for each connection
		"mmap_size(0)",                 // read errors come back as errors, not as signals
		"temp_store(MEMORY)",           // savepoints' journals
		"wal_autocheckpoint(2000)",     // pages of 4 KiB
		"journal_size_limit(33554432)", // what the log is cut back to after growing
		"trusted_schema(0)",
	}
}

// sqliteEngine is one writer and a few readers on a database file.
type sqliteEngine struct {
	db      *sql.DB
	free    chan *sqliteConn // readers that nobody is using
	writer  *writer
	closing chan struct{}
	once    sync.Once
	err     error // of close
}

// OpenSQLite opens the database in the file at path, creates it if need be, and migrates it. The folder must be
// there. Other processes on the same machine may have it open too.
func OpenSQLite(ctx context.Context, path string) (*DB, error) {
	e, stats, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening metadata database %s: %w", path, err)
	}
	return newDB(e, stats), nil
}

func openSQLite(ctx context.Context, path string) (_ *sqliteEngine, _ *counters, err error) {
	if err := createPrivate(path); err != nil {
		return nil, nil, err
	}
	// As durable as fsync, and leaves out the file's timestamps, which every commit would wait for.
	// Platforms that lack it go on with fsync.
	_, _ = sqlite.Fdatasync(true)
	connector, err := sqlite.NewConnector(sqliteDSN(path))
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1 + sqliteReaders)
	defer func() {
		if err != nil {
			_ = db.Close()
		}
	}()
	d := sqliteDialect()
	if err := migrate(ctx, db, d); err != nil {
		return nil, nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, nil, err
	}
	e := &sqliteEngine{db: db, free: make(chan *sqliteConn, sqliteReaders), closing: make(chan struct{})}
	for range sqliteReaders {
		c, err := newSQLiteConn(ctx, db, d)
		if err != nil {
			return nil, nil, err
		}
		if _, err := c.exec("PRAGMA query_only = 1"); err != nil {
			return nil, nil, err
		}
		e.free <- c
	}
	another := func() (*sqliteConn, error) { return newSQLiteConn(context.WithoutCancel(ctx), db, d) }
	c, err := another()
	if err != nil {
		return nil, nil, err
	}
	stats := &counters{}
	e.writer = startWriter(c, another, stats, e.closing)
	return e, stats, nil
}

// createPrivate makes an empty file that nobody else can read: it will hold sealed secrets, and SQLite
// gives the files it puts beside the database the same permissions.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// syncDir makes the names of new files in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return f.Sync()
}

func sqliteDSN(path string) string {
	v := url.Values{"_txlock": {"immediate"}, "_pragma": sqlitePragmas(), "_dqs": {"0"}}
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + v.Encode()
}

func (e *sqliteEngine) update(ctx context.Context, f func(tx) error) error {
	return e.writer.update(ctx, f)
}

// query implements session on a free reader. The context bounds the wait for one; the statement itself is
// short, and runs to its end (watching the context would cost more than most statements do).
func (e *sqliteEngine) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	c, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer func() { e.free <- c }()
	return classify(c.query(text, row, args...))
}

// exec implements session. Readers do not write.
func (e *sqliteEngine) exec(context.Context, string, ...any) (int64, error) {
	return 0, errors.New("writing outside a transaction")
}

func (e *sqliteEngine) take(ctx context.Context) (*sqliteConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c := <-e.free:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.closing:
		return nil, unavailable(errClosed)
	}
}

func (e *sqliteEngine) close() error {
	e.once.Do(func() {
		close(e.closing)
		<-e.writer.gone
		for range sqliteReaders {
			c := <-e.free
			c.close()
		}
		e.writer.close()
		e.err = e.db.Close() // the last connection moves what is in the log into the database file
	})
	return e.err
}

// sqliteConn is one connection with its prepared statements. One goroutine at a time uses it.
type sqliteConn struct {
	conn    *sql.Conn
	dialect dialect
	stmts   map[string]*sql.Stmt // by text as written; the texts are constants, so there are only so many
}

func newSQLiteConn(ctx context.Context, db *sql.DB, d dialect) (*sqliteConn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	return &sqliteConn{conn: conn, dialect: d, stmts: map[string]*sql.Stmt{}}, nil
}

func (c *sqliteConn) stmt(text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(context.Background(), c.dialect.sql(text))
	if err != nil {
		return nil, fmt.Errorf("preparing %q: %w", text, err)
	}
	c.stmts[text] = s
	return s, nil
}

func (c *sqliteConn) query(text string, row func(*sql.Rows) error, args ...any) (err error) {
	s, err := c.stmt(text) //nolint:sqlclosecheck // it stays prepared; close closes it with the connection
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

func (c *sqliteConn) exec(text string, args ...any) (int64, error) {
	s, err := c.stmt(text) //nolint:sqlclosecheck // as in query
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c *sqliteConn) close() {
	c.closeStmts()
	_ = c.conn.Close()
}

// discard closes the connection for good, where close gives it back to the pool.
func (c *sqliteConn) discard() {
	c.closeStmts() // first: the driver's need their connection, and SQLite keeps one that has statements
	_ = c.conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (c *sqliteConn) closeStmts() {
	for _, s := range c.stmts {
		_ = s.Close() // nothing depends on it: the connection goes next
	}
}

// eachRow reads a result to its end.
func eachRow(rows *sql.Rows, row func(*sql.Rows) error) error {
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
