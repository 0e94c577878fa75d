package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// filled is an office whose log has 60 records in several files, with a checkpoint each 20.
func filled(t *testing.T) *office {
	t.Helper()
	o := newOffice(t, metadbtest.New(t))
	for n := range 60 {
		o.write(t, pull(n))
		if n%20 == 19 {
			o.now = o.now.Add(time.Hour)
			o.index(t)
		}
	}
	return o
}

func (o *office) verify(t testing.TB, kept ...string) audit.Report {
	t.Helper()
	reports, err := o.service.Verify(t.Context(), root, audit.VerifyRequest{Checkpoints: kept})
	if err != nil || len(reports) != 1 {
		t.Fatalf("Verify: %+v, %v", reports, err)
	}
	return reports[0]
}

// verifyFiles is verify without the database.
func (o *office) verifyFiles(t testing.TB, kept ...string) audit.Report {
	t.Helper()
	reports, err := audit.VerifyFiles(t.Context(), journal.Directory(o.dir), o.key.Verifier(), audit.VerifyRequest{Checkpoints: kept})
	if err != nil || len(reports) != 1 {
		t.Fatalf("VerifyFiles: %+v, %v", reports, err)
	}
	return reports[0]
}

// lines are all files of the log and their lines.
func (o *office) lines(t testing.TB) (names []string, lines [][]string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(o.dir, o.journal.ID(), "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n"))
		lines[len(lines)-1][len(lines[len(lines)-1])-1] += "\n"
	}
	return names, lines
}

// tamper changes the log's lines, as one list, in the files that they are in.
func (o *office) tamper(t testing.TB, do func(all []string) []string) {
	t.Helper()
	names, lines := o.lines(t)
	all := do(slices.Concat(lines...))
	for i, name := range names {
		n := min(len(lines[i]), len(all))
		if i == len(names)-1 {
			n = len(all)
		}
		if err := os.WriteFile(name, []byte(strings.Join(all[:n], "")), 0o600); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
}

// problem is what is compared of one.
type problem struct {
	Kind        audit.ProblemKind
	First, Next int64
}

func problems(r audit.Report) []problem {
	var all []problem
	for _, p := range r.Problems {
		all = append(all, problem{p.Kind, p.First, p.Next})
	}
	return all
}

func TestASoundLogVerifies(t *testing.T) {
	t.Parallel()
	o := filled(t)
	kept, key, err := o.service.Checkpoints(t.Context(), root)
	if err != nil || len(kept) != 1 || key != o.key.Verifier() {
		t.Fatalf("Checkpoints: %v, %s, %v", kept, key, err)
	}
	o.write(t, pull(60)) // not in the database yet
	for range 2 {
		r := o.verify(t, kept...)
		if len(r.Problems) != 0 || r.Records != 61 || r.Checkpoints != 3 || r.Compared != 60 || r.Unreachable != 0 {
			t.Errorf("verified it is %+v", r)
		}
		if r := o.verifyFiles(t, kept...); len(r.Problems) != 0 || r.Records != 61 || r.Checkpoints != 1 {
			t.Errorf("its files are %+v", r)
		}
		if err := o.journal.Care(t.Context()); err != nil { // compressed it is the same
			t.Fatal(err)
		}
	}
}

// TestTamperingIsNamed does what somebody with access to the files could do, and what somebody could who can write the chain of hashes anew.
func TestTamperingIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do    func(all []string) []string
		want  problem // among what is found with the database
		files problem // without
	}{
		"a name is changed": {func(all []string) []string {
			all[17] = strings.Replace(all[17], "user/eve", "user/ada", 1)
			return all
		}, problem{audit.Changed, 17, 18}, problem{audit.Changed, 17, 18}},
		"a byte of the first": {func(all []string) []string {
			all[0] = strings.Replace(all[0], "1.11", "1.12", 1)
			return all
		}, problem{audit.Changed, 0, 1}, problem{audit.Changed, 0, 1}},
		"the last one is changed": {func(all []string) []string {
			all[59] = strings.Replace(all[59], `"status":403`, `"status":200`, 1)
			all[59] = strings.Replace(all[59], `"status":200`, `"status":201`, 1)
			return all
		}, problem{audit.Changed, 59, 60}, problem{audit.Changed, 0, 60}},
		"no JSON": {func(all []string) []string {
			all[3] = "{}}\n"
			return all
		}, problem{audit.Changed, 3, 4}, problem{audit.Changed, 3, 4}},
		"one is removed": {
			func(all []string) []string { return slices.Delete(all, 30, 31) },
			problem{audit.Missing, 30, 31},
			problem{audit.Missing, 30, 31},
		},
		"the first is removed": {func(all []string) []string { return all[1:] }, problem{audit.Missing, 0, 1}, problem{audit.Missing, 0, 1}},
		"many are removed":     {func(all []string) []string { return slices.Delete(all, 5, 55) }, problem{audit.Missing, 5, 55}, problem{audit.Missing, 5, 55}},
		"the end is cut off":   {func(all []string) []string { return all[:41] }, problem{audit.Truncated, 41, 60}, problem{audit.Truncated, 41, 60}},
		"all of it is":         {func([]string) []string { return nil }, problem{audit.Truncated, 0, 60}, problem{audit.Truncated, 0, 60}},
		"two change places": {func(all []string) []string {
			all[10], all[11] = all[11], all[10]
			return all
		}, problem{audit.Missing, 10, 11}, problem{audit.Missing, 10, 11}},
		"one is there twice": {
			func(all []string) []string { return slices.Insert(all, 21, all[20]) },
			problem{audit.Moved, 20, 21},
			problem{audit.Moved, 20, 21},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := filled(t)
			kept, _, err := o.service.Checkpoints(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			o.tamper(t, tt.do)
			if r := o.verify(t); !slices.Contains(problems(r), tt.want) {
				t.Errorf("with the database, want %v among %+v", tt.want, r.Problems)
			}
			if r := o.verifyFiles(t, kept...); !slices.Contains(problems(r), tt.files) {
				t.Errorf("without, want %v among %+v", tt.files, r.Problems)
			}
		})
	}
}

// TestAChainWrittenAnewIsFound is what somebody does who knows how records hang together: all later ones are made to follow.
func TestAChainWrittenAnewIsFound(t *testing.T) {
	t.Parallel()
	o := filled(t)
	kept, _, err := o.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	o.tamper(t, func(all []string) []string {
		all = slices.Delete(all, 25, 26)
		return rechain(t, o.journal.ID(), all)
	})
	if got := problems(o.verify(t)); !slices.Contains(got, problem{audit.Changed, 25, 26}) {
		t.Errorf("with the database: %v", got)
	}
	// Without it, it is known from which checkpoint to which.
	if got := problems(o.verifyFiles(t, kept...)); !slices.Contains(got, problem{audit.Truncated, 59, 60}) {
		t.Errorf("without: %v", got)
	}
	// Even one that has all records: nothing but the kept checkpoint tells.
	o.tamper(t, func(all []string) []string { return rechain(t, o.journal.ID(), append(all, all[0])) })
	if got := problems(o.verifyFiles(t, kept...)); !slices.Contains(got, problem{audit.Changed, 0, 60}) {
		t.Errorf("rewritten as a whole: %v", got)
	}
}

// rechain numbers lines anew.
func rechain(t *testing.T, log string, all []string) []string {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(journal.Config{Dir: dir, Now: time.Now, Notice: encoder().Notice, MaxFile: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range all {
		head, _, ok := strings.Cut(line, `,"log":"`)
		if !ok {
			t.Fatalf("what is %s?", line)
		}
		if _, err := j.Append([]byte(head + "}}")); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := j.Read(0, 1000)
	if err != nil || j.Close() != nil {
		t.Fatal(err)
	}
	// As if it were the other log: ids have one length, and the chain is made once more of what is written then.
	var out []string
	var last []byte
	for n, line := range lines {
		record, _, _ := bytes.Cut(line.Text, []byte(`,"log":"`))
		made := audit.Number(append(bytes.Clone(record), "}}"...), log, int64(n), prefix(last))
		last = made
		out = append(out, string(made)+"\n")
	}
	return out
}

func TestARolledBackDatabaseIsFound(t *testing.T) {
	t.Parallel()
	o := filled(t)
	kept, _, err := o.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for n := 60; n < 70; n++ {
		o.write(t, pull(n))
	}
	o.index(t)
	later, _, err := o.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	// An older copy of files and checkpoint, where there is no database any more.
	o.tamper(t, func(all []string) []string { return all[:60] })
	if err := os.WriteFile(filepath.Join(o.dir, o.journal.ID(), "checkpoint"), []byte(kept[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := o.verifyFiles(t); len(r.Problems) != 0 {
		t.Errorf("nothing here could tell: %+v", r.Problems)
	}
	if got := problems(o.verifyFiles(t, later...)); !slices.Equal(got, []problem{{audit.Truncated, 60, 70}}) {
		t.Errorf("with a checkpoint that was kept elsewhere: %v", got)
	}
}

func TestCheckpointsOfAnotherKeyAreNoEvidence(t *testing.T) {
	t.Parallel()
	o, other := filled(t), filled(t)
	foreign, _, err := other.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.service.Verify(t.Context(), root, audit.VerifyRequest{Checkpoints: foreign}); !errors.Is(err, fault.InvalidParameter) {
		t.Errorf("with a checkpoint of another registry: %v", err)
	}
	if err := os.WriteFile(filepath.Join(o.dir, o.journal.ID(), "checkpoint"), []byte(foreign[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := problems(o.verify(t)); !slices.Equal(got, []problem{{audit.Unsigned, 0, 0}}) {
		t.Errorf("with one beside the log: %v", got)
	}
	if _, err := o.service.Verify(t.Context(), root, audit.VerifyRequest{Log: "nothing"}); !errors.Is(err, fault.InvalidParameter) {
		t.Errorf("of a log that there is not: %v", err)
	}
	for _, caller := range []identity.Caller{{}, {Account: account, ARN: userARN("eve"), UserID: "AIDA"}} {
		if _, err := o.service.Verify(t.Context(), caller, audit.VerifyRequest{}); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("Verify by %s: %v", caller.ARN, err)
		}
		if _, _, err := o.service.Checkpoints(t.Context(), caller); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("Checkpoints for %s: %v", caller.ARN, err)
		}
	}
}

// TestWhatIsForgottenLeavesItsHashes has old files go, and the rest verify still.
func TestWhatIsForgottenLeavesItsHashes(t *testing.T) {
	t.Parallel()
	o := filled(t)
	kept, _, err := o.service.Checkpoints(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	whole := o.verify(t, kept...)
	o.journal.Keep = time.Hour
	o.now = time.Now().Add(2 * time.Hour)
	if err := o.journal.Care(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := o.verify(t, kept...)
	if len(r.Problems) != 0 || r.Root != whole.Root || r.Forgotten == 0 || r.Records != 60 || r.Checkpoints == 0 || r.Checkpoints+r.Unreachable != whole.Checkpoints {
		t.Errorf("with old files gone: %+v, before: %+v", r, whole)
	}
	// What is left of them cannot be changed either.
	trees, err := filepath.Glob(filepath.Join(o.dir, o.journal.ID(), "*.tree"))
	if err != nil || len(trees) == 0 {
		t.Fatal(trees, err)
	}
	text, err := os.ReadFile(trees[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(text, []byte(`"hash":"`)) + len(`"hash":"`)
	changed := bytes.Clone(text)
	changed[at] = 'A' + (changed[at]-'A'+1)%26
	if err := os.WriteFile(trees[0], changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := o.verify(t, kept...); len(r.Problems) == 0 {
		t.Errorf("with another hash: %+v", r)
	}
	if err := os.Remove(trees[0]); err != nil {
		t.Fatal(err)
	}
	if r := o.verify(t, kept...); len(r.Problems) == 0 || r.Problems[0].Kind != audit.Missing {
		t.Errorf("with hashes removed: %+v", r)
	}
}

// TestLogsOfOtherMachinesAreVerifiedInTheDatabase has no files.
func TestLogsOfOtherMachinesAreVerifiedInTheDatabase(t *testing.T) {
	t.Parallel()
	o := filled(t)
	id := o.journal.ID()
	if err := o.journal.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(o.dir, id)); err != nil {
		t.Fatal(err)
	}
	r := o.verify(t)
	if len(r.Problems) != 0 || !r.DatabaseOnly || r.Records != 60 || r.Checkpoints != 3 {
		t.Errorf("verified it is %+v", r)
	}
	// A block is put in the place of another.
	blocks, err := o.db.Audit().Blocks(t.Context(), audit.BlockQuery{Log: id, Limit: 10})
	if err != nil || len(blocks) < 2 {
		t.Fatalf("there are %d blocks, %v", len(blocks), err)
	}
	b, err := o.db.Audit().Block(t.Context(), blocks[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	state, err := o.db.Audit().Log(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b.ID, b.Requests = blocks[0].ID, []byte{0}
	if _, err := o.db.Audit().Commit(t.Context(), audit.Batch{Log: state, From: 60, Blocks: []audit.Block{b}}); err != nil {
		t.Fatal(err)
	}
	if r := o.verify(t); len(r.Problems) == 0 {
		t.Errorf("with another block's records: %+v", r)
	}
}

// prefix is what a record has of the hash of the one before.
func prefix(line []byte) []byte {
	if line == nil {
		return make([]byte, audit.PreviousSize)
	}
	hash := tlog.RecordHash(line)
	return hash[:audit.PreviousSize]
}
