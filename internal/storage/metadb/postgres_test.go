package metadb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// withRaw opens a PostgreSQL database, and a plain connection to it.
func withRaw(t *testing.T) (*metadb.DB, *sql.DB) {
	t.Helper()
	url := metadbtest.PostgresURL(t)
	db, err := metadb.OpenPostgres(t.Context(), url)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(db.Close(), raw.Close()) })
	return db, raw
}

// awaitLockWait returns when so many connections wait for a lock.
func awaitLockWait(t *testing.T, raw *sql.DB, many int) {
	t.Helper()
	for waiting := -1; waiting != many; {
		err := raw.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatalf("asking who waits: %v", err)
		}
	}
}

// TestRepositoryHoldsOffLockRepository has updates look a repository up, which several may do at once,
// while another wants to delete it.
func TestRepositoryHoldsOffLockRepository(t *testing.T) {
	t.Parallel()
	db, raw := withRaw(t)
	r := addRepository(t, db, "app")
	var deleted atomic.Bool
	var others sync.WaitGroup
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		if _, err := tx.Repository(ctx, "app"); err != nil {
			return err
		}
		others.Go(func() {
			err := db.Update(t.Context(), func(tx registry.Tx) error {
				if _, err := tx.LockRepository(t.Context(), "app"); err != nil {
					return err
				}
				_, err := tx.DeleteRepository(t.Context(), r.ID, time.Now())
				return err
			})
			if err != nil {
				t.Errorf("deleting: %v", err)
			}
			deleted.Store(true)
		})
		awaitLockWait(t, raw, 1)
		if deleted.Load() {
			t.Errorf("a repository was deleted while an update held it")
		}
		// What was held can be written to.
		_, _, err := tx.LinkLayer(ctx, r.ID, newLayer("content"))
		return err
	})
	others.Wait()
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		if _, err := tx.Repository(ctx, "app"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository after its deletion: %v, want ErrNoRow", err)
		}
		return nil
	})
}

func TestRepositoryIsHeldByMany(t *testing.T) {
	t.Parallel()
	db, _ := withRaw(t)
	addRepository(t, db, "app")
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		if _, err := tx.Repository(ctx, "app"); err != nil {
			return err
		}
		return db.Update(ctx, func(tx registry.Tx) error { // would wait for ever if it had to
			_, err := tx.Repository(ctx, "app")
			return err
		})
	})
}

// TestDeadlockIsTriedAgain locks two repositories in opposite orders.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	db, _ := withRaw(t)
	names := []string{"a", "b"}
	for _, name := range names {
		addRepository(t, db, name)
	}
	var ready sync.WaitGroup
	ready.Add(2)
	var runs atomic.Int64
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			first := true
			err := db.Update(t.Context(), func(tx registry.Tx) error {
				runs.Add(1)
				if _, err := tx.LockRepository(t.Context(), names[i]); err != nil {
					return err
				}
				if first {
					first = false
					ready.Done()
					ready.Wait() // so that each has one lock and wants the other's
				}
				r, err := tx.LockRepository(t.Context(), names[1-i])
				if err != nil {
					return err
				}
				_, _, err = tx.LinkLayer(t.Context(), r.ID, newLayer(fmt.Sprint(i)))
				return err
			})
			if err != nil {
				t.Errorf("Update: %v, want it tried again", err)
			}
		})
	}
	all.Wait()
	if runs.Load() < 3 {
		t.Errorf("the functions ran %d times in all, want at least 3: was there no deadlock?", runs.Load())
	}
}

func TestLostConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	db, raw := withRaw(t)
	addRepository(t, db, "app")
	cut := func() {
		var hold sync.WaitGroup
		for range 10 { // have the pool hold several
			hold.Go(func() { _ = db.Ping(t.Context()) })
		}
		hold.Wait()
		_, err := raw.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
	}
	cut()
	if _, err := db.Read().Repository(t.Context(), "app"); err != nil {
		t.Errorf("Repository after all connections were cut: %v", err)
	}
	cut()
	if err := db.Update(t.Context(), insert(t, "another")); err != nil {
		t.Errorf("Update after all connections were cut: %v", err)
	}
	err := db.Update(t.Context(), func(tx registry.Tx) error {
		if err := insert(t, "lost")(tx); err != nil {
			return err
		}
		cut()
		return insert(t, "lost too")(tx)
	})
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("Update whose connection was cut in the middle: %v, want fault.Unavailable", err)
	}
	wantRepositories(t, db, "another", "app")
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("postgres://berth:hunter2@%s/berth?sslmode=disable", l.Addr())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = metadb.OpenPostgres(t.Context(), url)
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("OpenPostgres without a server: %v, want fault.Unavailable", err)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
}

func TestCommitsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	url := metadbtest.PostgresURL(t)
	raw, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	for setting, wanted := range map[string]string{"off": "on", "remote_write": "remote_write"} {
		var name string
		if err := raw.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
		if _, err := raw.ExecContext(t.Context(), fmt.Sprintf(`ALTER DATABASE %s SET synchronous_commit = %s`, name, setting)); err != nil {
			t.Fatal(err)
		}
		db, err := metadb.OpenPostgres(t.Context(), url)
		if err != nil {
			t.Fatalf("OpenPostgres: %v", err)
		}
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return metadb.ExecIn(ctx, tx, `INSERT INTO secrets (name, sealed) SELECT $1, convert_to(current_setting('synchronous_commit'), 'UTF8')`, setting)
		})
		got, err := db.Secret(t.Context(), setting, nil)
		want(t, "synchronous_commit where the database says "+setting, string(got), err, wanted)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTextThatPostgresCannotStore(t *testing.T) {
	t.Parallel()
	db, _ := withRaw(t)
	err := db.Update(t.Context(), insert(t, "nul\x00byte"))
	if !errors.Is(err, fault.InvalidParameter) {
		t.Errorf("a name with a NUL byte: %v, want fault.InvalidParameter", err)
	}
}
