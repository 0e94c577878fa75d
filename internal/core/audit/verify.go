package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// ProblemKind says what is wrong with a log.
type ProblemKind string

// The kinds.
const (
	Changed       ProblemKind = "changed"       // records are not what they were
	Missing       ProblemKind = "missing"       // records are gone from between others
	Moved         ProblemKind = "moved"         // a record is not in its place, or there twice
	Truncated     ProblemKind = "truncated"     // the log's end is gone
	Unsigned      ProblemKind = "unsigned"      // a checkpoint is none, or not signed by the registry's key
	Contradictory ProblemKind = "contradictory" // two checkpoints of one size have different roots: there were two logs
)

// Problem is something that is wrong with records [First, Next) of a log.
type Problem struct {
	Kind        ProblemKind
	First, Next int64
	File        string // where that is, if it is in one
	Message     string // a sentence
	absent      bool   // it is the database that lacks them
}

// Report is what verifying a log came to. It is as it should be where there are no problems.
type Report struct {
	Log          string
	Records      int64     // how many it has had
	Forgotten    int64     // of those, how many were kept for their time and are hashes now
	Root         tlog.Hash // of the tree of all records
	Checkpoints  int       // how many agree with it
	Unreachable  int       // how many are of a size within what was forgotten, so that nothing can be said of them
	Compared     int64     // records that are in the database too, and are the same there
	DatabaseOnly bool      // its files are elsewhere
	Problems     []Problem
}

// maxProblems bounds a report: what was rewritten as a whole has as many as records.
const maxProblems = 100

// VerifyRequest says what is to be verified.
type VerifyRequest struct {
	Log string // an id; empty: all
	// Checkpoints are signed checkpoints that were kept elsewhere. The logs must go on from what they say.
	Checkpoints []string
}

// Checkpoints gives the last signed checkpoint of each log, to be kept elsewhere, and the public key that they are signed by
// (berth:VerifyAuditLog).
func (s *Service) Checkpoints(ctx context.Context, caller identity.Caller) (signed []string, publicKey string, err error) {
	if err := s.Registry.May(ctx, caller, policy.VerifyAuditLog, ""); err != nil {
		return nil, "", err
	}
	logs, err := s.Store.Logs(ctx)
	for _, l := range logs {
		signed = append(signed, l.Checkpoint)
	}
	return signed, s.Key.Verifier(), err
}

// Verify computes the trees of all logs from their records, in files and in the database, and compares them with all
// checkpoints that there are (berth:VerifyAuditLog). Files that are on other machines are not seen from here: of their logs the
// database is verified.
func (s *Service) Verify(ctx context.Context, caller identity.Caller, r VerifyRequest) ([]Report, error) {
	if err := s.Registry.May(ctx, caller, policy.VerifyAuditLog, ""); err != nil {
		return nil, err
	}
	return (&verifying{store: s.Store, files: s.Files, key: s.Key.Verifier()}).all(ctx, r)
}

// VerifyFiles is Verify without a registry: it has the files, its public key, and checkpoints that are beside them or were kept
// elsewhere.
func VerifyFiles(ctx context.Context, files Files, publicKey string, r VerifyRequest) ([]Report, error) {
	return (&verifying{files: files, key: publicKey}).all(ctx, r)
}

// verifying is what logs are verified with.
type verifying struct {
	store Store // or nil
	files Files
	key   string
	here  []string // logs whose files are on this machine
}

func (v *verifying) all(ctx context.Context, r VerifyRequest) ([]Report, error) {
	kept := map[string][]Checkpoint{}
	for _, text := range r.Checkpoints {
		c, err := OpenCheckpoint(v.key, text)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidParameter, err, "A checkpoint is not one that this registry has signed.")
		}
		kept[c.Log] = append(kept[c.Log], c)
	}
	known := map[string]Log{}
	ids, err := v.logs(ctx, known)
	if err != nil {
		return nil, err
	}
	for id := range kept {
		ids = append(ids, id) // one that is not there at all any more
	}
	slices.Sort(ids)
	var reports []Report
	for _, id := range slices.Compact(ids) {
		if r.Log != "" && id != r.Log {
			continue
		}
		report, err := v.one(ctx, id, known[id], kept[id])
		if err != nil {
			return reports, err
		}
		reports = append(reports, report)
	}
	if r.Log != "" && len(reports) == 0 {
		return nil, fault.BadParameter("log", "must be the id of a log: there is none of that id")
	}
	return reports, nil
}

// logs lists all logs. What the database knows is read before any file is, so that files may have more, and never less.
func (v *verifying) logs(ctx context.Context, known map[string]Log) ([]string, error) {
	var ids []string
	if v.store != nil {
		logs, err := v.store.Logs(ctx)
		if err != nil {
			return nil, err
		}
		for _, l := range logs {
			known[l.ID] = l
			ids = append(ids, l.ID)
		}
	}
	var err error
	v.here, err = v.files.Logs()
	return append(ids, v.here...), err
}

// one verifies a log.
func (v *verifying) one(ctx context.Context, id string, known Log, kept []Checkpoint) (Report, error) {
	w := &walk{report: Report{Log: id}, key: v.key, checkpoints: slices.Clone(kept)}
	beside, err := v.files.Checkpoint(id)
	if err != nil {
		return w.report, err
	}
	w.addCheckpoint(beside)
	w.addCheckpoint(known.Checkpoint)
	if v.store != nil {
		older, err := v.store.Checkpoints(ctx, id)
		if err != nil {
			return w.report, err
		}
		for _, text := range older {
			w.addCheckpoint(text)
		}
		w.rows, w.indexed = &rows{ctx: ctx, store: v.store, log: id}, known.Tree.Next
	}
	w.sortCheckpoints()
	for item, err := range v.files.Records(id) {
		if err != nil {
			return w.report, err
		}
		if err := ctx.Err(); err != nil {
			return w.report, err
		}
		if err := w.item(item); err != nil {
			return w.report, err
		}
	}
	if v.store != nil && !slices.Contains(v.here, id) {
		if err := w.database(); err != nil {
			return w.report, err
		}
	}
	w.end()
	return w.report, nil
}

// walk goes through a log's records.
type walk struct {
	report      Report
	key         string
	checkpoints []Checkpoint // in order of size; those that were passed are gone
	rows        *rows        // or nil
	indexed     int64        // how many records the database has had
	tree        Tree
	last        []byte    // the first bytes of the hash of the record before; nil: not known
	good        int64     // up to here a checkpoint agreed
	since       time.Time // of the records after that, the time of the first and of the latest
	until       time.Time
	broken      bool // a root was wrong: later ones are too
}

func (w *walk) problem(kind ProblemKind, first, next int64, file, format string, args ...any) {
	same := func(p Problem) bool { return p.Kind == kind && p.First == first && p.Next == next }
	if len(w.report.Problems) < maxProblems && !slices.ContainsFunc(w.report.Problems, same) {
		w.report.Problems = append(w.report.Problems, Problem{Kind: kind, First: first, Next: next, File: file, Message: fmt.Sprintf(format, args...)})
	}
}

// addCheckpoint reads one that is kept here.
func (w *walk) addCheckpoint(text string) {
	if text == "" {
		return
	}
	c, err := OpenCheckpoint(w.key, text)
	if err != nil || c.Log != w.report.Log {
		w.problem(Unsigned, 0, 0, "", "A checkpoint of log %s is not signed by the registry's key, or of another log.", w.report.Log)
		return
	}
	w.checkpoints = append(w.checkpoints, c)
}

func (w *walk) sortCheckpoints() {
	slices.SortFunc(w.checkpoints, func(a, b Checkpoint) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), bytes.Compare(a.Root[:], b.Root[:]))
	})
	w.checkpoints = slices.CompactFunc(w.checkpoints, func(a, b Checkpoint) bool { return a.Size == b.Size && a.Root == b.Root })
	for i := 1; i < len(w.checkpoints); i++ {
		if a, b := w.checkpoints[i-1], w.checkpoints[i]; a.Size == b.Size {
			w.problem(Contradictory, 0, a.Size, "", "Two signed checkpoints say different things of the first %d records: what one of them was made of is gone.", a.Size)
		}
	}
}

// item takes what comes next in the files.
func (w *walk) item(item Item) error {
	if item.Left != nil {
		w.left(item)
		return nil
	}
	if err := w.compare(item); err != nil {
		return err
	}
	w.record(item)
	return nil
}

// left takes what is left of records that were kept for their time.
func (w *walk) left(item Item) {
	if item.Left.First != w.tree.Next {
		w.problem(Missing, w.tree.Next, item.Left.First, item.File, "%s gone: what is left of others follows.", plural(w.tree.Next, item.Left.First))
		w.broken = true
	}
	for _, n := range item.Left.Nodes {
		if !w.broken {
			w.tree.AddNode(n)
		}
	}
	w.tree.Next = item.Left.Next
	w.report.Forgotten += item.Left.Next - item.Left.First
	w.last = nil
	w.check(item.File)
}

// record takes a record.
func (w *walk) record(item Item) {
	n := w.tree.Next
	hash := tlog.RecordHash(item.Line)
	r, err := Decode(item.Line)
	switch {
	case err != nil || r.Log != w.report.Log:
		w.problem(Changed, n, n+1, item.File, "Record %d is not one of this log: it was changed.", n)
	case r.Sequence > n:
		w.problem(Missing, n, r.Sequence, item.File, "%s gone: record %d follows.", plural(n, r.Sequence), r.Sequence)
		// The tree of what is left is not the log's. What follows is looked at for itself.
		w.broken = true
		w.tree.Next = r.Sequence
	case r.Sequence < n:
		w.problem(Moved, r.Sequence, r.Sequence+1, item.File, "Record %d stands where record %d was.", r.Sequence, n)
	case w.last != nil && !bytes.Equal(r.Previous, w.last):
		w.problem(Changed, n-1, n, item.File, "Record %d is not the one that record %d was written after: it was changed.", n-1, n)
	}
	w.last = append(w.last[:0], hash[:PreviousSize]...)
	if err != nil {
		w.last = nil
	}
	if w.since.IsZero() {
		w.since = r.At
	}
	if r.At.After(w.until) {
		w.until = r.At
	}
	if w.broken {
		w.tree.Next++
	} else {
		w.tree.Add(hash)
	}
	w.check(item.File)
}

// check compares the tree so far with the checkpoints that are due.
func (w *walk) check(file string) {
	for len(w.checkpoints) > 0 && w.checkpoints[0].Size <= w.tree.Next {
		c := w.checkpoints[0]
		w.checkpoints = w.checkpoints[1:]
		switch {
		case w.broken: // its problem is named
		case c.Size < w.tree.Next:
			w.report.Unreachable++
		case w.tree.Root() == c.Root:
			w.report.Checkpoints++
			w.good, w.since, w.until = c.Size, time.Time{}, time.Time{}
		default:
			w.broken = true
			w.problem(Changed, w.good, c.Size, file, "The first %d records are not those of the checkpoint of %s: among records %d to %d there are some that were changed.",
				c.Size, c.At.UTC().Format("2006-01-02T15:04:05Z"), w.good, c.Size-1)
		}
	}
}

// end looks for what there should be after the last record.
func (w *walk) end() {
	w.report.Records = w.tree.Next
	if !w.broken {
		w.report.Root = w.tree.Root()
	}
	if n := len(w.checkpoints); n > 0 {
		last := w.checkpoints[n-1]
		w.problem(Truncated, w.tree.Next, last.Size, "", "The log ends after %d records; at %s it had %d.", w.tree.Next, last.At.UTC().Format("2006-01-02T15:04:05Z"), last.Size)
	} else if !w.broken && !w.since.IsZero() && w.until.Sub(w.since) > unsignedFor {
		w.problem(Unsigned, w.good, w.tree.Next, "", "No checkpoint is of %s, though one is signed each second: they were taken away, or the log was not read for %s.",
			records(w.good, w.tree.Next), w.until.Sub(w.since).Round(time.Second))
	}
}

// unsignedFor is how long a log may go on without a checkpoint of it: as long as there is no database, for one.
const unsignedFor = 15 * time.Minute

func plural(first, next int64) string {
	if next-first == 1 {
		return fmt.Sprintf("Record %d is", first)
	}
	return fmt.Sprintf("Records %d to %d are", first, next-1)
}

func records(first, next int64) string {
	if next-first == 1 {
		return fmt.Sprintf("record %d", first)
	}
	return fmt.Sprintf("records %d to %d", first, next-1)
}

// compare holds a record against the database's.
func (w *walk) compare(item Item) error {
	if w.rows == nil {
		return nil
	}
	n := w.tree.Next
	if r, err := Decode(item.Line); err == nil && r.Log == w.report.Log && r.Sequence > n {
		n = r.Sequence // some are gone before it
	}
	line, err := w.rows.at(n)
	if err != nil {
		return err
	}
	if line == nil {
		w.absent(n, item)
		return nil
	}
	if bytes.Equal(line, item.Line) {
		w.report.Compared++
		return nil
	}
	w.problem(Changed, n, n+1, item.File, "Record %d is another one in the file than in the database.", n)
	return nil
}

// absent looks at a record that the database does not have. It forgets blocks by their latest record, the oldest first: what is later than a block
// that it still has, and that comes before, was not forgotten.
func (w *walk) absent(n int64, item Item) {
	r, err := Decode(item.Line)
	if n >= w.indexed || err != nil || w.rows.kept.IsZero() || !r.At.After(w.rows.kept) {
		return
	}
	if last := len(w.report.Problems) - 1; last >= 0 && w.report.Problems[last].absent && w.report.Problems[last].Next == n {
		p := &w.report.Problems[last]
		p.Next = n + 1
		p.Message = absentWords(p.First, p.Next)
		return
	}
	before := len(w.report.Problems)
	w.problem(Missing, n, n+1, item.File, "%s", absentWords(n, n+1))
	if len(w.report.Problems) > before {
		w.report.Problems[before].absent = true
	}
}

func absentWords(first, next int64) string {
	return plural(first, next) + " gone from the database, though not from the file."
}

// database goes through a log whose files are not here.
func (w *walk) database() error {
	w.report.DatabaseOnly = true
	first, ok, err := w.rows.first()
	if err != nil {
		return err
	}
	if !ok {
		first = w.indexed // all of it was kept for its time
	}
	if first > 0 {
		// What came before is forgotten here, and with it what the root could be computed from.
		w.report.Forgotten, w.tree.Next, w.broken = first, first, true
		w.check("")
	}
	for {
		n, line, err := w.rows.next()
		if errors.Is(err, errNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > w.tree.Next {
			w.problem(Missing, w.tree.Next, n, "", "%s gone from the database: record %d follows.", plural(w.tree.Next, n), n)
			w.broken, w.last, w.tree.Next = true, nil, n
		}
		w.record(Item{Line: line})
	}
}
