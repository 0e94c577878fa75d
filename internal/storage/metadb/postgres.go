package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// postgresConns bounds the connections of one replica: four replicas fit into PostgreSQL's default of 100.
	postgresConns = 20
	// maxTries is how often an update runs that the database refuses for a conflict with another.
	maxTries = 10
)

// postgresEngine is a pool of connections to a PostgreSQL database.
type postgresEngine struct {
	db      *sql.DB
	stats   *counters
	dialect dialect
	limits  limits
	texts   sync.Map // SQL text as written -> in the dialect's words

	mu     sync.RWMutex // held for reading by what is running, for writing by close
	closed bool
}

// OpenPostgres connects to the database at a postgres:// URL and migrates it. Replicas may start together.
func OpenPostgres(ctx context.Context, url string) (*DB, error) {
	e, err := openPostgres(ctx, url, defaultLimits())
	if err != nil {
		return nil, fmt.Errorf("opening metadata database: %w", err)
	}
	return newDB(e, e.stats), nil
}

func openPostgres(ctx context.Context, url string, l limits) (*postgresEngine, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	l.apply(config)
	db := stdlib.OpenDB(*config,
		stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
			return within(ctx, config.ConnectTimeout, func(ctx context.Context) error { return waitForDisk(ctx, conn) })
		}),
		// What runs first on a connection from the pool finds out whether it lives, and takes another.
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }))
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // so that connections spread again after a failover
	d := postgresDialect()
	if err := migrate(ctx, db, d); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &postgresEngine{db: db, stats: &counters{}, dialect: d, limits: l}, nil
}

// waitForDisk turns synchronous_commit on where a server or role has it off: what Berth answers is durable.
// The stricter settings (on, remote_write, remote_apply) stay.
func waitForDisk(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

func (e *postgresEngine) sql(text string) string {
	if known, ok := e.texts.Load(text); ok {
		return known.(string) //nolint:forcetypeassert // nothing else is stored
	}
	known := e.dialect.sql(text)
	e.texts.Store(text, known)
	return known
}

// enter is called before anything runs, and leave (its result) after.
func (e *postgresEngine) enter() (leave func(), err error) {
	e.mu.RLock()
	if e.closed {
		e.mu.RUnlock()
		return nil, unavailable(errClosed)
	}
	return e.mu.RUnlock, nil
}

func (e *postgresEngine) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	for tries := 1; ; tries++ {
		handed := false
		err := within(ctx, e.limits.read, func(ctx context.Context) error {
			return rowsOf(ctx, e.db, func(rows *sql.Rows) error {
				handed = true
				return row(rows)
			}, e.sql(text), args...)
		})
		// After the server was restarted every pooled connection turns out to be dead, once.
		if err == nil || handed || !connectionDropped(err) || tries > postgresConns {
			return classify(err)
		}
	}
}

// exec implements session. Nothing is written outside a transaction.
func (e *postgresEngine) exec(context.Context, string, ...any) (int64, error) {
	return 0, errors.New("writing outside a transaction")
}

// update runs f, and again after a conflict or a deadlock with another transaction.
func (e *postgresEngine) update(ctx context.Context, f func(tx) error) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	for try := 1; ; try++ {
		again, err := e.try(ctx, f)
		if err == nil {
			e.stats.committed(1)
			return nil
		}
		if !again || try == maxTries {
			return err
		}
		// Longer each time, and never the same for two that met.
		pause := time.NewTimer(time.Duration(1+rand.IntN(5*try)) * time.Millisecond) //nolint:gosec // not a secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

// try runs f in one transaction, and tells whether another try may help.
func (e *postgresEngine) try(ctx context.Context, f func(tx) error) (again bool, err error) {
	s, err := e.begin(ctx)
	if err != nil {
		return false, classify(err)
	}
	defer s.close()
	finished := false
	defer func() {
		if !finished { // f panicked
			s.rollback()
		}
	}()
	err = f(newTx(s))
	finished = true
	if err == nil && s.failed != nil {
		err = wentOn(s.failed)
	}
	if err != nil {
		s.rollback()
		return s.conflict, err
	}
	if err := s.leash.within(e.limits.write, s.tx.Commit); err != nil {
		return conflictsInPostgres(err), fmt.Errorf("committing: %w", classify(err))
	}
	return false, nil
}

// begin opens a transaction on a connection that works.
func (e *postgresEngine) begin(ctx context.Context) (*postgresTx, error) {
	for tries := 1; ; tries++ {
		s, err := e.beginOnce(ctx)
		if err == nil {
			return s, nil
		}
		if !connectionDropped(err) || tries > postgresConns {
			return nil, err
		}
	}
}

func (e *postgresEngine) beginOnce(ctx context.Context) (_ *postgresTx, err error) {
	s := &postgresTx{engine: e, leash: newLeash(ctx)}
	err = within(ctx, e.limits.read, func(ctx context.Context) error {
		s.conn, err = e.db.Conn(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Statements end when the context does, and the transaction only with its leash.
	err = s.leash.within(e.limits.begin, func() error {
		s.tx, err = s.conn.BeginTx(s.leash, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
		return err
	})
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (e *postgresEngine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	return e.db.Close()
}

// postgresTx implements session in a transaction.
type postgresTx struct {
	conn     *sql.Conn
	tx       *sql.Tx
	leash    leash
	engine   *postgresEngine
	conflict bool  // a statement met a conflict: another try may help
	failed   error // the first statement's error: the transaction is void
}

func (s *postgresTx) query(ctx context.Context, text string, row func(*sql.Rows) error, args ...any) error {
	return s.note(within(ctx, s.engine.limits.write, func(ctx context.Context) error {
		return rowsOf(ctx, s.tx, row, s.engine.sql(text), args...)
	}))
}

func (s *postgresTx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	var res sql.Result
	err := within(ctx, s.engine.limits.write, func(ctx context.Context) (err error) {
		res, err = s.tx.ExecContext(ctx, s.engine.sql(text), args...)
		return err
	})
	if err != nil {
		return 0, s.note(err)
	}
	return res.RowsAffected()
}

// rollback may fail: then the connection is gone, and the transaction with it.
func (s *postgresTx) rollback() { _ = s.leash.within(s.engine.limits.begin, s.tx.Rollback) }

// close gives the connection back to the pool, which knows its state.
func (s *postgresTx) close() {
	s.leash.end(nil)
	_ = s.conn.Close()
}

// rowsOf runs a query and reads its result to the end.
func rowsOf(ctx context.Context, from interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}, row func(*sql.Rows) error, text string, args ...any,
) error {
	rows, err := from.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, row)
}

func (s *postgresTx) note(err error) error {
	s.conflict = s.conflict || conflictsInPostgres(err)
	err = classify(err)
	s.failed = cmp.Or(s.failed, err)
	return err
}
