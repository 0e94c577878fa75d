package metadb_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestDatabaseFileIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "odd ? name # 100%25 é")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := metadb.OpenSQLite(t.Context(), filepath.Join(dir, "meta?.db"))
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	addRepository(t, db, "app")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o", e.Name(), info.Mode().Perm()))
	}
	want(t, "the files", names, nil, []string{"meta?.db 600", "meta?.db-shm 600", "meta?.db-wal 600"})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err = os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("after Close there are %d files (%v), want the database alone", len(entries), err)
	}
}

func TestOpenSQLiteWhereItCannot(t *testing.T) {
	t.Parallel()
	if db, err := metadb.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "none", "meta.db")); err == nil {
		_ = db.Close()
		t.Errorf("OpenSQLite in a folder that is not there: no error")
	}
	path := filepath.Join(t.TempDir(), "meta.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if db, err := metadb.OpenSQLite(t.Context(), path); err == nil {
		_ = db.Close()
		t.Errorf("OpenSQLite of a file of something else: no error")
	}
}

func TestTwoProcessesOnOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	var dbs []*metadb.DB
	for range 2 {
		db, err := metadb.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatalf("OpenSQLite: %v", err)
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	var all sync.WaitGroup
	for i, db := range dbs {
		all.Go(func() {
			for n := range 50 {
				addRepository(t, db, fmt.Sprintf("r%d-%d", i, n))
			}
		})
	}
	all.Wait()
	rows, err := dbs[0].Read().Repositories(t.Context(), "", 1000)
	want(t, "repositories that both inserted", len(rows), err, 100)
}

// TestStatementsUseIndexes asks SQLite how it runs every statement of this package. None may read a whole
// table but the list of repositories and of root keys, in the order of their indexes.
func TestStatementsUseIndexes(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	r := addRepository(t, db, "app")
	fill(t, db, r)
	read := db.Read()
	_, _ = read.Repositories(t.Context(), "", 1)
	_, _ = read.ResourceTags(t.Context(), r.ID)
	_, _ = read.HasImages(t.Context(), r.ID)
	_, _ = read.Repository(t.Context(), "app")
	_, _ = read.ImageByDigest(t.Context(), r.ID, digest("a"))
	_, _ = read.ImageByTag(t.Context(), r.ID, "a")
	for _, status := range []registry.TagStatus{registry.AnyTagStatus, registry.OnlyTagged, registry.OnlyUntagged} {
		for _, shelf := range []registry.Status{registry.OnlyActive, registry.OnlyArchived, registry.AnyStatus} {
			_, _ = read.Images(t.Context(), r.ID, registry.ImageQuery{Tagged: status, Status: shelf, Limit: 1})
			_, _ = read.Tags(t.Context(), r.ID, shelf, "", 1)
			_, _, _ = read.Referrers(t.Context(), r.ID, digest("a"), registry.ReferrerQuery{ArtifactTypes: []string{"a"}, Status: shelf, Limit: 1})
		}
	}
	_, _ = read.Children(t.Context(), r.ID, []int64{1})
	_, _ = read.Followers(t.Context(), r.ID, []oci.Digest{digest("a")})
	_, _ = read.ActiveIndexesOf(t.Context(), r.ID, digest("a"))
	_, _ = read.IndexesOf(t.Context(), r.ID, digest("a"))
	_, _, _ = read.Referrers(t.Context(), r.ID, digest("a"), registry.ReferrerQuery{Limit: 1})
	_, _ = read.TagNames(t.Context(), r.ID, "", 1)
	_, _ = read.HasTags(t.Context(), r.ID, 1, 1)
	_, _ = read.TagHistory(t.Context(), "app", "latest", 0, 1)
	_, _ = read.Layer(t.Context(), r.ID, digest("a"))
	_, _ = read.Layers(t.Context(), r.ID, newReferences("a").Blobs)
	_, _ = read.LayerInUse(t.Context(), r.ID, digest("a"))
	_, _ = read.RepositoriesWithLayer(t.Context(), digest("a"), 1)
	for _, ref := range []oci.Reference{{Tag: "a"}, {Digest: digest("a")}} {
		_, _ = read.ImageIn(t.Context(), "app", ref)
		_, _ = read.ManifestIn(t.Context(), "app", ref)
	}
	_, _ = read.ImagesByDigest(t.Context(), r.ID, newReferences("a").Blobs)
	_, _ = read.LayerIn(t.Context(), "app", digest("a"))
	_, _ = read.UploadIn(t.Context(), "app", "u")
	_, _ = read.RepositoryPolicy(t.Context(), r.ID)
	_, _ = read.PullExclusions(t.Context(), "", 1)
	_, _ = read.Scan(t.Context(), 1, registry.Basic)
	_, _ = read.TrashedImages(t.Context(), "app", 0, 1)
	_, _ = read.TrashedImage(t.Context(), "app", digest("a"))
	_, _ = read.WentWith(t.Context(), "app", digest("a"))
	_, _ = read.TrashedLayers(t.Context(), 1)
	_, _, _ = read.TrashUsage(t.Context(), "app")
	_, _ = read.TagPointedTo(t.Context(), "app", "latest", digest("a"))
	_, _ = db.AccessKey(t.Context(), "k")
	_, _ = db.RootAccessKeys(t.Context())
	_, _ = db.Secret(t.Context(), "s", []byte("s"))
	_ = db.InsertAccessKey(t.Context(), identity.SealedKey{SealedSecret: []byte("s")})
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		_, _ = tx.LockRepository(ctx, "app")
		_ = tx.UpdateRepository(ctx, r)
		_ = tx.RecordPulls(ctx, map[int64]time.Time{1: noon()})
		_ = tx.SetArchived(ctx, r.ID, []int64{1}, true, noon())
		_ = tx.SetArchived(ctx, r.ID, []int64{1}, false, noon())
		_ = tx.DeleteTag(ctx, r.ID, "a")
		_ = tx.UnlinkLayer(ctx, r.ID, digest("a"), r.CreatedAt)
		_ = tx.SaveUpload(ctx, registry.Upload{}, 0)
		_, _ = tx.DeleteUpload(ctx, r.ID, "u")
		_ = tx.TrashImages(ctx, r, 4711, registry.Trashing{})
		_ = tx.TakeFromTrash(ctx, 4711)
		_, _ = tx.PurgeTrash(ctx, "app", []oci.Digest{digest("a")}, noon())
		_ = tx.DeleteImage(ctx, 4711)
		_, err := tx.DeleteRepository(ctx, r.ID, r.CreatedAt)
		return err
	})
	plans, err := metadb.Plans(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if len(plans) < 45 {
		t.Errorf("only %d statements were looked at: does this test still run them all?", len(plans))
	}
	for text, plan := range plans {
		for step := range strings.SplitSeq(plan, "\n") {
			scan := strings.HasPrefix(step, "SCAN ")
			small := strings.HasPrefix(step, "SCAN shelf") || strings.Contains(step, "texts") || strings.Contains(step, "objects") || strings.Contains(step, "access_keys_root") ||
				step == "SCAN h" || step == "SCAN p" || step == "SCAN pulls"
			if scan && !small || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s\nruns as:\n%s", text, plan)
			}
		}
	}
}

// TestKilledProcessLosesNothingAcknowledged kills a process that writes without pause, again and again, and
// looks for everything that it was told is stored.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	if path := os.Getenv("METADB_TEST_WRITE_TO"); path != "" {
		writeUntilKilled(t, path)
		return
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	acknowledged := map[string]bool{}
	for round := range 5 {
		for _, name := range killAfter(t, path, 50+100*round) {
			acknowledged[name] = true
		}
		db, err := metadb.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatalf("OpenSQLite after kill: %v", err)
		}
		for name := range acknowledged {
			r, err := db.Read().Repository(t.Context(), name)
			if err != nil {
				t.Fatalf("Repository(%s), which was acknowledged: %v", name, err)
			}
			if _, err := db.Read().ImageByTag(t.Context(), r.ID, "latest"); err != nil {
				t.Fatalf("ImageByTag of %s, from the same update: %v", name, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts the writer, kills it when it has acknowledged so many names, and returns those.
func killAfter(t *testing.T, path string, names int) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestKilledProcessLosesNothingAcknowledged$")
	cmd.Env = append(os.Environ(), "METADB_TEST_WRITE_TO="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
			acknowledged = append(acknowledged, name)
		}
		if len(acknowledged) == names {
			_ = cmd.Process.Kill() // and read what it still had said
		}
	}
	_ = cmd.Wait()
	if len(acknowledged) < names {
		t.Fatalf("the writer ended after %d names of %d", len(acknowledged), names)
	}
	return acknowledged
}

func writeUntilKilled(t *testing.T, path string) {
	db, err := metadb.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatalf("OpenSQLite: %v", err)
	}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("r%d-%d-%d", os.Getpid(), w, i)
				err := db.Update(t.Context(), func(tx registry.Tx) error {
					id, err := tx.InsertRepository(t.Context(), registry.Repository{Name: name})
					if err != nil {
						return err
					}
					img, err := tx.InsertImage(t.Context(), id, newImage(name), newReferences("layer"))
					if err != nil {
						return err
					}
					return tx.SetTag(t.Context(), id, "latest", img, noon())
				})
				if err != nil {
					t.Errorf("Update: %v", err)
					return
				}
				_, _ = fmt.Fprintln(os.Stdout, "stored "+name)
			}
		})
	}
	all.Wait()
}

func TestUnexpectedErrorIsNoFault(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	err := metadb.Exec(t.Context(), db, "this is no SQL")
	if _, isFault := fault.Of(err); err == nil || isFault || errors.Is(err, registry.ErrConflict) {
		t.Errorf("an error that no caller can act on: %v, want it as it is", err)
	}
}
