package metadb

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrations only go forward, each in one transaction, and are never edited once released.
//
//go:embed migrations
var migrations embed.FS

// ErrNewerSchema is what opening a database answers when a newer Berth has migrated it.
var ErrNewerSchema = errors.New("metadata database was migrated by a newer version of berth: run that version, or restore a backup from before")

// migrate brings the database's tables up to date. Processes that start together take turns.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	files, err := fs.Sub(migrations, "migrations/"+d.name)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true)}
	gooseDialect := goose.DialectSQLite3
	if d.locks {
		gooseDialect = goose.DialectPostgres
		// Asked every second for five minutes: a migration of a large database takes its time.
		turn, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(turn))
	}
	p, err := goose.NewProvider(gooseDialect, db, files, options...)
	if err != nil {
		return err
	}
	for {
		before, newest, err := versions(ctx, p)
		if err != nil {
			return fmt.Errorf("reading the version of the metadata database: %w", classify(err))
		}
		if before > newest {
			return fmt.Errorf("%w (it is at version %d, this one knows %d)", ErrNewerSchema, before, newest)
		}
		if before == newest {
			return nil
		}
		if _, err = p.Up(ctx); err == nil {
			continue
		}
		// SQLite has no lock to wait for as PostgreSQL has: of two processes that start together one finds
		// the tables made. It goes on from there.
		if now, _, vErr := p.GetVersions(ctx); vErr != nil || now == before {
			return fmt.Errorf("migrating the metadata database from version %d to %d: %w", before, newest, classify(err))
		}
	}
}

// Other processes that begin with the same SQLite file are waited for so long.
const (
	openTries = 100
	openPause = 100 * time.Millisecond
)

// versions reads the version that the database has, and the newest that there is. While another process makes an SQLite file's log,
// SQLite answers at once that it is busy, however long it is to wait (https://www.sqlite.org/wal.html, "Sometimes Queries Return
// SQLITE_BUSY In WAL Mode").
func versions(ctx context.Context, p *goose.Provider) (has, newest int64, err error) {
	for range openTries {
		if has, newest, err = p.GetVersions(ctx); !isBusy(err) {
			break
		}
		select {
		case <-time.After(openPause):
		case <-ctx.Done():
			return 0, 0, context.Cause(ctx)
		}
	}
	return has, newest, err
}
