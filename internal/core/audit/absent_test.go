package audit_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestABlockThatIsTakenFromTheDatabaseIsMissed takes out what a search would find, and leaves the files alone.
func TestABlockThatIsTakenFromTheDatabaseIsMissed(t *testing.T) {
	t.Parallel()
	for name, which := range map[string]int{"in the middle": 1, "the last": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := filled(t)
			id := o.journal.ID()
			blocks, err := o.db.Audit().Blocks(t.Context(), audit.BlockQuery{Log: id, Limit: 10})
			if err != nil || len(blocks) != 3 {
				t.Fatalf("there are %d blocks, %v", len(blocks), err)
			}
			state, err := o.db.Audit().Log(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			b := blocks[which]
			b.Requests, b.Data = []byte{0}, []byte{}
			if _, err := o.db.Audit().Commit(t.Context(), audit.Batch{Log: state, From: 60, Blocks: []audit.Block{b}}); err != nil {
				t.Fatal(err)
			}
			want := []problem{{audit.Missing, b.First, b.First + int64(b.Records)}}
			if diff := cmp.Diff(want, problems(o.verify(t))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatTheDatabaseForgotIsNotMissed forgets by age: some of a log, and all of one whose files are on another machine.
func TestWhatTheDatabaseForgotIsNotMissed(t *testing.T) {
	t.Parallel()
	o := filled(t)
	o.indexer.Keep = time.Hour + time.Minute
	for _, left := range []int{1, 0} {
		if _, err := o.indexer.DropOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		blocks, err := o.db.Audit().Blocks(t.Context(), audit.BlockQuery{Log: o.journal.ID(), Limit: 10})
		if err != nil || len(blocks) != left {
			t.Fatalf("there are %d blocks, %v", len(blocks), err)
		}
		if r := o.verify(t); len(r.Problems) != 0 || r.Records != 60 {
			t.Errorf("with %d blocks: %+v", left, r)
		}
		o.now = o.now.Add(24 * time.Hour)
	}
	kept, _, err := o.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(o.dir, o.journal.ID())); err != nil {
		t.Fatal(err)
	}
	if r := o.verify(t, kept...); len(r.Problems) != 0 || !r.DatabaseOnly || r.Records != 60 || r.Forgotten != 60 {
		t.Errorf("with nothing left but a checkpoint: %+v", r)
	}
}

// TestFilesThatWereRestoredAreNoticedBeforeAnythingIsWritten has a process write more than the files lack before its log is first read.
func TestFilesThatWereRestoredAreNoticedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	o := filled(t)
	old := o.journal.ID()
	o.tamper(t, func(all []string) []string { return all[:57] })
	names, _ := filepath.Glob(filepath.Join(o.dir, old, "*.jsonl"))
	for _, name := range slices.Backward(names) { // no file has come to nothing
		if info, err := os.Stat(name); err == nil && info.Size() == 0 {
			_ = os.Remove(name)
		}
	}
	o.start(t)
	for n := range 5 {
		o.write(t, pull(n))
	}
	o.index(t)
	if o.journal.ID() == old {
		t.Error("the log is gone on with, though it lacks what it had")
	}
}

// TestAnotherDatabaseGoesOnAfterWhatIsForgotten has a journal whose first files are hashes, and a database that knows nothing of it.
func TestAnotherDatabaseGoesOnAfterWhatIsForgotten(t *testing.T) {
	t.Parallel()
	o := filled(t)
	whole := o.verify(t)
	o.journal.Keep = time.Hour
	o.now = time.Now().Add(2 * time.Hour)
	if err := o.journal.Care(t.Context()); err != nil {
		t.Fatal(err)
	}
	forgotten := o.verify(t).Forgotten
	if forgotten == 0 {
		t.Fatal("nothing is forgotten")
	}
	o.db = metadbtest.New(t)
	o.service.Store = o.db.Audit()
	o.start(t)
	o.index(t)
	blocks, err := o.db.Audit().Blocks(t.Context(), audit.BlockQuery{Log: o.journal.ID(), Limit: 10})
	if err != nil || len(blocks) == 0 || blocks[0].First != forgotten {
		t.Fatalf("the blocks are %+v, %v", blocks, err)
	}
	if r := o.verify(t); len(r.Problems) != 0 || r.Root != whole.Root || r.Compared != 60-forgotten {
		t.Errorf("verified it is %+v", r)
	}
}

// TestRecordsThatNoCheckpointIsOfAreNamed takes all checkpoints away, or the last ones, and what the database knows, and rewrites what they were of.
func TestRecordsThatNoCheckpointIsOfAreNamed(t *testing.T) {
	t.Parallel()
	o := filled(t)
	id := o.journal.ID()
	older, err := o.db.Audit().Checkpoints(t.Context(), id)
	if err != nil || len(older) != 3 {
		t.Fatal(older, err)
	}
	if err := os.Remove(filepath.Join(o.dir, id, "checkpoint")); err != nil {
		t.Fatal(err)
	}
	o.tamper(t, func(all []string) []string {
		all[45] = strings.Replace(all[45], `"status":`, `"status":1`, 1)
		return rechain(t, id, all)
	})
	for kept, want := range map[int][]problem{
		3: {{audit.Changed, 40, 60}},
		2: nil, // twenty seconds: they may be about to be signed
		1: {{audit.Unsigned, 20, 60}},
	} {
		if diff := cmp.Diff(want, problems(o.verifyFiles(t, older[:kept]...))); diff != "" {
			t.Errorf("with %d checkpoints (-want +got):\n%s", kept, diff)
		}
	}
	if diff := cmp.Diff([]problem{{audit.Unsigned, 0, 60}}, problems(o.verifyFiles(t))); diff != "" {
		t.Errorf("with none (-want +got):\n%s", diff)
	}
}
