package metadb_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

//nolint:gochecknoglobals // flags
var (
	gcLong = flag.Duration("gc.long", 0, "how long to play random schedules of pushes, deletions and sweeps")
	gcSeed = flag.Uint64("gc.seed", 0, "the one schedule to play")
)

// TestGarbageModel plays random schedules of pushes, mounts, deletions, expiries, sweeps and walks, with crashes between any
// two steps, and holds what there is against what must be: what was pushed and not deleted is there, whole; and what nothing
// needs goes. It is a test of packages registry and gc as much as of this one, and lives here since statements are its steps.
//
// A failure names its seed; -gc.seed plays that one alone.
func TestGarbageModel(t *testing.T) {
	t.Run("sqlite and disk", func(t *testing.T) { playAll(t, 4*time.Second, onSQLite) })
	t.Run("postgres and s3", func(t *testing.T) {
		metadbtest.PostgresURL(t) // or skip
		playAll(t, 8*time.Second, onPostgres)
	})
}

// playAll plays one schedule after the other, for a while.
func playAll(t *testing.T, span time.Duration, play func(t *testing.T, seed uint64, n size) *world) {
	t.Helper()
	if *gcSeed != 0 {
		once(t, *gcSeed, play)
		return
	}
	if *gcLong > 0 {
		span = *gcLong
	}
	first := uint64(1)
	if *gcLong > 0 {
		first = rand.Uint64() //nolint:gosec // a schedule
	}
	counts := map[string]int{}
	began, runs := time.Now(), 0
	for seed := first; time.Since(began) < span && !t.Failed(); seed++ {
		for what, n := range once(t, seed, play) {
			counts[what] += n
		}
		runs++
	}
	t.Logf("%d schedules in %v: %v", runs, time.Since(began).Round(time.Millisecond), counts)
}

func once(t *testing.T, seed uint64, play func(t *testing.T, seed uint64, n size) *world) map[string]int {
	t.Helper()
	var counts map[string]int
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		w := play(t, seed, sizeOf(seed))
		counts = w.counts
		if w.failure != "" {
			t.Errorf("seed %d, step %d: %s\n%s", seed, w.steps, w.failure, w.story)
		}
	})
	return counts
}

// sizeOf makes small runs, which are easily read, and larger ones.
func sizeOf(seed uint64) size {
	rng := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // a schedule
	clients := []int{4, 8, 16, 30}[rng.IntN(4)]
	return size{clients: clients, atOnce: 2 + rng.IntN(6), replicas: 1 + rng.IntN(3)}
}

func playOn(t *testing.T, seed uint64, n size, db *metadb.DB, m medium, blocked func() (int, error)) *world {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	w := newWorld(t, seed, db, m, n)
	w.blocked = blocked
	w.run(seed, n)
	if w.failure == "" {
		w.rest()
	} else {
		w.abandon()
	}
	return w
}

func onSQLite(t *testing.T, seed uint64, n size) *world {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // nobody pulls the plug here
	}
	db := metadbtest.New(t)
	metadb.SetGate(db, false, gate)
	blobs, err := diskblob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	return playOn(t, seed, n, db, blobs, nil)
}

func onPostgres(t *testing.T, seed uint64, n size) *world {
	t.Helper()
	url := metadbtest.PostgresURL(t)
	db, err := metadb.OpenPostgres(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(watch.Close(), db.Close()) })
	metadb.SetGate(db, true, gate)
	var blobs medium
	if seed%4 == 0 { // a bucket takes its time
		blobs, err = s3blob.Open(t.Context(), s3test.Bucket(t))
	} else {
		blobs, err = diskblob.Open(filepath.Join(t.TempDir(), "blobs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return playOn(t, seed, n, db, blobs, func() (n int, err error) {
		err = watch.QueryRowContext(t.Context(), `
			SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		return n, err
	})
}
