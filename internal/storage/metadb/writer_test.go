package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// together runs the functions as updates of one batch, on SQLite: the first keeps the writer's connection
// until all others wait for it. It returns their outcomes, and what the batch added to the counts.
func together(t *testing.T, db *metadb.DB, updates ...func(registry.Tx) error) ([]error, metadb.Stats) {
	t.Helper()
	before := db.Stats()
	outcomes := make([]error, len(updates))
	var others sync.WaitGroup
	outcomes[0] = db.Update(t.Context(), func(tx registry.Tx) error {
		for i, f := range updates[1:] {
			others.Go(func() { outcomes[1+i] = db.Update(t.Context(), f) })
			synctest.Wait() // until it waits for the writer, so that they come in order
		}
		return updates[0](tx)
	})
	others.Wait()
	after := db.Stats()
	return outcomes, metadb.Stats{Updates: after.Updates - before.Updates, Commits: after.Commits - before.Commits}
}

// inBubble runs a test in a bubble of goroutines that synctest can watch, with a database that belongs to it.
func inBubble(t *testing.T, test func(t *testing.T, db *metadb.DB)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meta.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := metadb.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatalf("OpenSQLite: %v", err)
		}
		defer db.Close()
		test(t, db)
	})
}

func insert(t *testing.T, name string) func(registry.Tx) error {
	return func(tx registry.Tx) error {
		_, err := tx.InsertRepository(t.Context(), registry.Repository{Name: name})
		return err
	}
}

func wantRepositories(t *testing.T, db *metadb.DB, names ...string) {
	t.Helper()
	rows, err := db.Read().Repositories(t.Context(), "", 1000)
	var got []string
	for _, r := range rows {
		got = append(got, r.Name)
	}
	want(t, "Repositories", got, err, names)
}

func TestUpdatesShareACommit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		var updates []func(registry.Tx) error
		var names []string
		for i := range 64 {
			names = append(names, fmt.Sprintf("r%02d", i))
			updates = append(updates, insert(t, names[i]))
		}
		outcomes, stats := together(t, db, updates...)
		want(t, "what 64 updates counted", stats, nil, metadb.Stats{Updates: 64, Commits: 1})
		want(t, "the outcomes", errors.Join(outcomes...), nil, nil)
		wantRepositories(t, db, names...)
	})
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		updates := make([]func(registry.Tx) error, 300)
		for i := range updates {
			updates[i] = insert(t, fmt.Sprintf("r%03d", i))
		}
		_, stats := together(t, db, updates...)
		want(t, "what 300 updates counted", stats, nil, metadb.Stats{Updates: 300, Commits: 3})
	})
}

func TestLoneUpdatesCommitAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		for i := range 3 {
			if err := db.Update(t.Context(), insert(t, fmt.Sprint(i))); err != nil {
				t.Fatalf("Update: %v", err)
			}
		}
		want(t, "Stats", db.Stats(), nil, metadb.Stats{Updates: 3, Commits: 3})
	})
}

func TestFailingUpdateIsRolledBackAlone(t *testing.T) {
	t.Parallel()
	for _, place := range []int{0, 1, 3} { // first, in the middle, last
		t.Run(fmt.Sprint(place), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, db *metadb.DB) {
				mine := errors.New("my own")
				updates := []func(registry.Tx) error{insert(t, "a"), insert(t, "b"), insert(t, "c")}
				names := []string{"a", "b", "c"}
				failing := func(tx registry.Tx) error {
					if err := insert(t, "lost")(tx); err != nil {
						return err
					}
					return mine
				}
				updates = append(updates[:place:place], append([]func(registry.Tx) error{failing}, updates[place:]...)...)
				outcomes, stats := together(t, db, updates...)
				for i, err := range outcomes {
					if i == place && !errors.Is(err, mine) {
						t.Errorf("the failing update: %v, want its own error", err)
					}
					if i != place && err != nil {
						t.Errorf("update %d: %v, want no error", i, err)
					}
				}
				want(t, "what they counted", stats, nil, metadb.Stats{Updates: 3, Commits: 1})
				wantRepositories(t, db, names...)
			})
		})
	}
}

func TestUpdatesThatAllFailWriteNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		mine := errors.New("my own")
		failing := func(tx registry.Tx) error { return errors.Join(insert(t, "lost")(tx), mine) }
		outcomes, stats := together(t, db, failing, failing, failing)
		for i, err := range outcomes {
			if !errors.Is(err, mine) || errors.Is(err, registry.ErrConflict) {
				t.Errorf("update %d: %v, want its own error, and nothing of its neighbours", i, err)
			}
		}
		want(t, "what they counted", stats.Updates, nil, 0)
		wantRepositories(t, db)
	})
}

func TestPanicStaysWithItsCaller(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		var recovered any
		caught := make(chan struct{})
		before := db.Stats()
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			go func() {
				defer close(caught)
				defer func() { recovered = recover() }()
				_ = db.Update(t.Context(), func(tx registry.Tx) error {
					_ = insert(t, "lost")(tx)
					panic("mine")
				})
			}()
			synctest.Wait()
			return insert(t, "kept")(tx)
		})
		<-caught
		want(t, "the neighbour's outcome", err, nil, nil)
		want(t, "what the panicking caller recovered", recovered, nil, any("mine"))
		want(t, "commits", db.Stats().Commits-before.Commits, nil, 1)
		wantRepositories(t, db, "kept")
	})
}

func TestGoroutineThatEndsInAnUpdate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = db.Update(t.Context(), func(tx registry.Tx) error {
				_ = insert(t, "lost")(tx)
				runtime.Goexit() // as t.Fatal does
				return nil
			})
		}()
		<-ended
		if err := db.Update(t.Context(), insert(t, "kept")); err != nil {
			t.Errorf("Update after another's goroutine ended: %v", err)
		}
		wantRepositories(t, db, "kept")
	})
}

func TestWaitingUpdateHeedsItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		outcome := make(chan error, 1)
		ran := false
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			go func() {
				outcome <- db.Update(ctx, func(registry.Tx) error {
					ran = true
					return nil
				})
			}()
			synctest.Wait()
			cancel()
			if err := <-outcome; !errors.Is(err, context.Canceled) {
				t.Errorf("Update whose context ended while it waited: %v, want context.Canceled", err)
			}
			return insert(t, "kept")(tx)
		})
		want(t, "the other update", err, nil, nil)
		want(t, "whether the cancelled function ran", ran, nil, false)
		// Once it runs, it is told what became of it.
		ctx, cancel = context.WithCancel(t.Context())
		err = db.Update(ctx, func(tx registry.Tx) error {
			cancel()
			return insert(t, "too late to stop")(tx)
		})
		want(t, "an update whose context ended while it ran", err, nil, nil)
		wantRepositories(t, db, "kept", "too late to stop")
	})
}

func TestTransactionIsOverAfterUpdate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		var kept registry.Tx
		update(t, db, func(_ context.Context, tx registry.Tx) error {
			kept = tx
			return nil
		})
		if _, err := kept.InsertRepository(t.Context(), registry.Repository{Name: "late"}); err == nil {
			t.Errorf("InsertRepository in a transaction that is over: no error")
		}
		wantRepositories(t, db)
	})
}

// TestFullDiskFailsTheBatch lets the database have no more pages than it has, which SQLite treats as a full disk.
func TestFullDiskFailsTheBatch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		limit := func(pages int) {
			if err := metadb.Exec(t.Context(), db, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
				t.Fatal(err)
			}
		}
		limit(1) // as many as there are
		large := registry.Repository{Name: strings.Repeat("x", 1<<20)}
		var after error
		outcomes, stats := together(
			t, db, insert(t, "first"),
			func(tx registry.Tx) error { // refused for what the first wrote, which will be gone
				if err := insert(t, "first")(tx); !errors.Is(err, registry.ErrConflict) {
					t.Errorf("InsertRepository of a neighbour's name: %v, want ErrConflict", err)
				}
				return registry.ErrConflict
			},
			func(tx registry.Tx) error {
				_, _ = tx.InsertRepository(t.Context(), large) // does not heed the error
				_, after = tx.InsertRepository(t.Context(), registry.Repository{Name: "after"})
				return nil
			},
		)
		for i, err := range outcomes {
			if !errors.Is(err, fault.StorageFull) || errors.Is(err, registry.ErrConflict) {
				t.Errorf("update %d: %v, want fault.StorageFull", i, err)
			}
		}
		if !errors.Is(after, fault.StorageFull) {
			t.Errorf("a statement after the one that broke the transaction: %v, want fault.StorageFull", after)
		}
		want(t, "what they counted", stats, nil, metadb.Stats{})
		wantRepositories(t, db)
		limit(1 << 20)
		if err := db.Update(t.Context(), insert(t, "room again")); err != nil {
			t.Errorf("Update when there is room again: %v", err)
		}
		wantRepositories(t, db, "room again")
	})
}

// TestRollbackThatFails leaves SQLite in a transaction that nobody can end, and must not leave the writer there.
func TestRollbackThatFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		mine := errors.New("my own")
		for range 2 {
			err := db.Update(t.Context(), func(tx registry.Tx) error {
				if err := insert(t, "lost")(tx); err != nil {
					return err
				}
				if err := metadb.RefuseRollback(db); err != nil {
					t.Fatal(err)
				}
				return mine
			})
			if err == nil {
				t.Errorf("an update that fails and cannot be rolled back: no error")
			}
		}
		for _, name := range []string{"one", "two"} {
			if err := db.Update(t.Context(), insert(t, name)); err != nil {
				t.Errorf("Update after a rollback that failed: %v", err)
			}
		}
		wantRepositories(t, db, "one", "two")
	})
}

func TestCloseWaitsForUpdates(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, db *metadb.DB) {
		closed := make(chan error, 1)
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			go func() { closed <- db.Close() }()
			synctest.Wait()
			if len(closed) > 0 {
				t.Errorf("Close returned while an update was running")
			}
			return insert(t, "kept")(tx)
		})
		want(t, "the update that was running", err, nil, nil)
		want(t, "Close", <-closed, nil, nil)
		want(t, "Close again", db.Close(), nil, nil)
		if err := db.Update(t.Context(), insert(t, "late")); err == nil {
			t.Errorf("Update after Close: no error")
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Errorf("Ping after Close: no error")
		}
	})
}
