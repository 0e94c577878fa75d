package metadb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Exec runs one statement in an update of its own.
func Exec(ctx context.Context, db *DB, text string, args ...any) error {
	return db.Update(ctx, func(t registry.Tx) error { return ExecIn(ctx, t, text, args...) })
}

// Number runs a query for one number.
func Number(ctx context.Context, db *DB, text string, args ...any) (int64, error) {
	return one(ctx, db.engine, scanOne[int64], text, args...)
}

// ExecIn runs one statement in a transaction.
func ExecIn(ctx context.Context, t registry.Tx, text string, args ...any) error {
	_, err := t.(tx).s.exec(ctx, text, args...) //nolint:forcetypeassert // this package makes them
	return err
}

// Plans tells how SQLite runs each statement that the database has prepared so far, by the statement.
func Plans(ctx context.Context, db *DB) (map[string]string, error) {
	e := db.engine.(*sqliteEngine) //nolint:forcetypeassert // for SQLite alone
	texts := map[string]bool{}
	err := e.update(ctx, func(tx) error { // so that the writer's statements do not change meanwhile
		for text := range e.writer.conn.stmts {
			texts[text] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	readers := make([]*sqliteConn, 0, sqliteReaders)
	for range sqliteReaders {
		c, err := e.take(ctx)
		if err != nil {
			return nil, err
		}
		for text := range c.stmts {
			texts[text] = true
		}
		readers = append(readers, c)
	}
	for _, c := range readers {
		e.free <- c
	}
	plans := map[string]string{}
	for text := range texts {
		verb, _, _ := strings.Cut(strings.TrimSpace(text), " ")
		if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}, verb) {
			continue
		}
		plan, err := Plan(ctx, db, text)
		if err != nil {
			return nil, err
		}
		plans[text] = plan
	}
	return plans, nil
}

// Plan tells how SQLite would run a statement, a step in each line.
func Plan(ctx context.Context, db *DB, text string) (string, error) {
	var steps []string
	err := db.engine.(*sqliteEngine).query(ctx, "EXPLAIN QUERY PLAN "+text, func(rows *sql.Rows) error { //nolint:forcetypeassert // for SQLite alone
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return err
		}
		steps = append(steps, detail)
		return nil
	}, make([]any, strings.Count(text, "$"))...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	return strings.Join(steps, "\n"), nil
}

// RefuseRollback makes every ROLLBACK fail on the connection that writes to a SQLite database. It is called
// in an update.
func RefuseRollback(db *DB) error {
	e := db.engine.(*sqliteEngine) //nolint:forcetypeassert // for SQLite alone
	return e.writer.conn.conn.Raw(func(conn any) error {
		return conn.(sqlite.AuthorizerRegisterer).RegisterAuthorizer( //nolint:forcetypeassert // of that driver
			func(action sqlite.AuthorizerActionCode, operation, _, _, _ string) sqlite.AuthorizerReturnCode {
				if action == sqlite.AuthTransaction && operation == "ROLLBACK" {
					return sqlite.AuthorizerDeny
				}
				return sqlite.AuthorizerOK
			})
	})
}

// Patience is how long a PostgreSQL database may say nothing: by this package's own limits, and by the
// system's, which hold for a machine that is gone.
type Patience struct{ Begin, Read, Write, Gone time.Duration }

func (p Patience) limits() limits {
	l := defaultLimits()
	l.begin, l.read, l.write, l.unheard = p.Begin, p.Read, p.Write, p.Gone
	l.keepAlive.Idle, l.keepAlive.Interval, l.keepAlive.Count = time.Second, time.Second, 1 // the least there is
	return l
}

// OpenPostgresWith is OpenPostgres with limits of the test's.
func OpenPostgresWith(ctx context.Context, url string, p Patience) (*DB, error) {
	e, err := openPostgres(ctx, url, p.limits())
	if err != nil {
		return nil, err
	}
	return newDB(e, e.stats), nil
}

// MigrateTo makes a new database's tables as a version of them was, on "sqlite" or "postgres".
func MigrateTo(ctx context.Context, db *sql.DB, engine string, version int64) error {
	files, err := fs.Sub(migrations, "migrations/"+engine)
	if err != nil {
		return err
	}
	d := goose.DialectSQLite3
	if engine == "postgres" {
		d = goose.DialectPostgres
	}
	p, err := goose.NewProvider(d, db, files, goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}

// SealedColumns names the columns that a rotation of the master key seals anew.
func SealedColumns() []string {
	var names []string
	for _, c := range sealedColumns() {
		names = append(names, c.table+"."+c.sealed)
	}
	return names
}

// PostgresPlans tells how PostgreSQL, knowing no arguments, runs each statement so far that has a list, by the statement.
func PostgresPlans(ctx context.Context, db *DB) (map[string]string, error) {
	e := db.engine.(*postgresEngine) //nolint:forcetypeassert // for PostgreSQL alone
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SET plan_cache_mode = force_generic_plan`); err != nil {
		return nil, err
	}
	plans := map[string]string{}
	e.texts.Range(func(text, known any) bool {
		if !strings.Contains(text.(string), "texts(") { //nolint:forcetypeassert // as engine.sql stores it
			return true
		}
		var plan string
		plan, err = genericPlan(ctx, conn, known.(string)) //nolint:forcetypeassert // as engine.sql stores it
		plans[text.(string)] = plan                        //nolint:forcetypeassert // as engine.sql stores it
		return err == nil
	})
	return plans, err
}

func genericPlan(ctx context.Context, conn *sql.Conn, text string) (plan string, err error) {
	if _, err := conn.ExecContext(ctx, `PREPARE planned AS `+text); err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	args := 0
	for n := 1; strings.Contains(text, fmt.Sprint("$", n)); n++ {
		args = n
	}
	rows, err := conn.QueryContext(ctx, `EXPLAIN EXECUTE planned (`+strings.TrimSuffix(strings.Repeat("NULL,", args), ",")+`)`)
	if err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	err = eachRow(rows, func(rows *sql.Rows) error {
		var line string
		err := rows.Scan(&line)
		plan += line + "\n"
		return err
	})
	if err == nil {
		_, err = conn.ExecContext(ctx, `DEALLOCATE planned`)
	}
	return plan, err
}
