package metadb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func openAt(t *testing.T, at string) *metadb.DB {
	t.Helper()
	open := metadb.OpenSQLite
	if strings.HasPrefix(at, "postgres://") {
		open = metadb.OpenPostgres
	}
	db, err := open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestTheFeedOutlivesKills kills processes that record events and hand them on, wherever they are, on PostgreSQL several at the same database. What
// they said that they had recorded is in the feed, once, in order.
func TestTheFeedOutlivesKills(t *testing.T) {
	t.Parallel()
	if at := os.Getenv("METADB_TEST_FEED_AT"); at != "" {
		recordUntilKilled(t, openAt(t, at), os.Getenv("METADB_TEST_FEED_AS"))
		return
	}
	for name, processes := range map[string]int{"sqlite": 1, "postgres": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := filepath.Join(t.TempDir(), "meta.db")
			if name == "postgres" {
				at = metadbtest.PostgresURL(t)
			}
			db := openAt(t, at)
			defer func() { _ = db.Close() }()
			if name == "sqlite" { // one process at a time
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			said := map[string]int{}
			for round := range 4 {
				var running sync.WaitGroup
				var mu sync.Mutex
				for p := range processes {
					running.Go(func() {
						as := fmt.Sprintf("r%d-%d", round, p)
						n := killRecorder(t, at, as, 5+round*17+p*11)
						mu.Lock()
						defer mu.Unlock()
						said[as] = n
					})
				}
				running.Wait()
			}
			if name == "sqlite" {
				db = openAt(t, at)
			}
			checkFeed(t, db, said)
		})
	}
}

// recordUntilKilled says how many events it has recorded.
func recordUntilKilled(t *testing.T, db *metadb.DB, as string) {
	t.Helper()
	ctx := t.Context()
	go func() {
		for ctx.Err() == nil {
			now := time.Now()
			got, err := db.Outbox().Claim(ctx, now, now.Add(50*time.Millisecond), 10)
			if err != nil {
				continue
			}
			var ids []int64
			for _, e := range got {
				ids = append(ids, e.ID)
			}
			_ = db.Outbox().Done(ctx, ids)
		}
	}()
	for i := int64(0); ; i++ {
		err := db.Update(ctx, func(tx registry.Tx) error {
			return tx.RecordEvents(ctx, []event.Event{{Kind: event.ImagePushed, At: time.Now(), Repository: as, Count: i}})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintln(os.Stdout, "recorded", i+1)
	}
}

// killRecorder runs a process until it has recorded so many events, kills it, and gives what it said last.
func killRecorder(t *testing.T, at, as string, n int) int {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestTheFeedOutlivesKills$") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), "METADB_TEST_FEED_AT="+at, "METADB_TEST_FEED_AS="+as)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return 0
	}
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0
	}
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "recorded ")
		if !ok {
			t.Errorf("the process says %s", lines.Text())
			continue
		}
		if last, err = strconv.Atoi(text); err != nil {
			t.Error(err)
		}
		if last == n {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if last < n {
		t.Errorf("%s recorded %d events before it ended", as, last)
	}
	return last
}

// checkFeed hands on what is left, and compares the feed with what was said.
func checkFeed(t *testing.T, db *metadb.DB, said map[string]int) {
	t.Helper()
	for range 100 {
		got, err := db.Outbox().Claim(t.Context(), time.Now().Add(time.Hour), time.Now().Add(2*time.Hour), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
	}
	next := map[string]int64{}
	for cursor := int64(0); ; {
		entries, err := db.Feed().After(t.Context(), cursor, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if e.Number != cursor+1 || e.Count != next[e.Repository] {
				t.Errorf("after %d comes %d; %s: event %d comes where %d is next", cursor, e.Number, e.Repository, e.Count, next[e.Repository])
			}
			cursor, next[e.Repository] = e.Number, e.Count+1
		}
	}
	for as, n := range said {
		if next[as] < int64(n) {
			t.Errorf("%s recorded %d events, and %d are in the feed", as, n, next[as])
		}
	}
}
