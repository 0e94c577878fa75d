// Package metadbtest gives tests throw-away metadata databases: real ones, migrated and empty.
//
// SQLite is always there. PostgreSQL is used when its server programs are on the machine and the environment
// has BERTH_TEST_POSTGRES=1; with BERTH_TEST_REQUIRE=all it must be, and a test that cannot have it fails.
package metadbtest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// New opens an empty database, on SQLite, and closes it when the test ends.
func New(tb testing.TB) *metadb.DB {
	tb.Helper()
	empty, err := emptySQLite()
	if err != nil {
		tb.Fatalf("making an empty database: %v", err)
	}
	path := filepath.Join(tb.TempDir(), "meta.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		tb.Fatal(err)
	}
	db, err := metadb.OpenSQLite(tb.Context(), path)
	if err != nil {
		tb.Fatalf("OpenSQLite: %v", err)
	}
	closeAfter(tb, db)
	return db
}

// emptySQLite migrates once for all tests of a process; copying the file takes less than half the time.
var emptySQLite = sync.OnceValues(func() (_ []byte, err error) { //nolint:gochecknoglobals // one for the process
	dir, err := os.MkdirTemp("", "berth-metadbtest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "meta.db")
	// Not a test's context: the file serves other tests too.
	db, err := metadb.OpenSQLite(background(), path)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// NewPostgres opens an empty database on PostgreSQL, or skips the test.
func NewPostgres(tb testing.TB) *metadb.DB {
	tb.Helper()
	db, err := metadb.OpenPostgres(tb.Context(), PostgresURL(tb))
	if err != nil {
		tb.Fatalf("OpenPostgres: %v", err)
	}
	closeAfter(tb, db)
	return db
}

// Each runs the test once for each kind of database, as subtests that run in parallel.
func Each(t *testing.T, test func(t *testing.T, db *metadb.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, New(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, NewPostgres(t))
	})
}

func closeAfter(tb testing.TB, db *metadb.DB) {
	tb.Helper()
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
}
