package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// office is a registry's audit log with all that reads it.
type office struct {
	dir     string
	now     time.Time
	db      *metadb.DB
	key     audit.Key
	journal *journal.Journal
	indexer *audit.Indexer
	service *audit.Service
	notes   int // of events
}

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Root: true}

func newOffice(t testing.TB, db *metadb.DB) *office {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{dir: filepath.Join(t.TempDir(), "audit"), now: begin, db: db}
	if o.key, err = audit.LoadKey(t.Context(), db, master, account); err != nil {
		t.Fatal(err)
	}
	if again, err := audit.LoadKey(t.Context(), db, master, account); err != nil || again.Verifier() != o.key.Verifier() {
		t.Fatalf("the key is another one each time: %v", err)
	}
	r := registry.New(registry.Config{Store: db, Account: account, Region: "us-east-1", Now: o.clock})
	o.service = audit.NewService(audit.ServiceConfig{Registry: r, Store: db.Audit(), Files: journal.Directory(o.dir), Key: o.key})
	o.start(t)
	return o
}

func (o *office) clock() time.Time { return o.now }

// start begins another process.
func (o *office) start(t testing.TB) {
	t.Helper()
	if o.journal != nil {
		if err := o.journal.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j, err := journal.Open(journal.Config{Dir: o.dir, Now: o.clock, Notice: encoder().Notice, Logger: slog.New(slog.DiscardHandler), MaxFile: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	o.journal = j
	o.indexer = audit.NewIndexer(audit.IndexerConfig{
		Journal: j, Store: o.db.Audit(), Key: o.key, Encoder: encoder(), Now: o.clock, Logger: slog.New(slog.DiscardHandler),
		Keep: 90 * 24 * time.Hour, Notify: func() { o.notes++ },
	})
	if err := o.indexer.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// write records an entry, a second after the one before.
func (o *office) write(t testing.TB, e audit.Entry) {
	t.Helper()
	o.now = o.now.Add(time.Second)
	audit.NewRecorder(o.journal, encoder(), o.clock, func() {}).Record(&e)
}

func (o *office) index(t testing.TB) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = o.indexer.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// find gives the ids of the requests that are found, over all pages.
func (o *office) find(t testing.TB, q audit.Query) []string {
	t.Helper()
	var ids []string
	for {
		p, err := o.service.Search(t.Context(), root, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			ids = append(ids, r.RequestID)
		}
		if p.Next == "" {
			return ids
		}
		q.After = p.Next
	}
}

func userARN(name string) string { return "arn:aws:iam::" + account + ":user/" + name }

// pull is the n-th pull, by one of three users.
func pull(n int) audit.Entry {
	name := []string{"ada", "bob", "eve"}[n%3]
	d := oci.FromBytes(fmt.Appendf(nil, "image %d", n%2))
	e := audit.Entry{
		ID: fmt.Sprintf("%032x", n), Service: "ecr", Operation: "BatchGetImage", ReadOnly: true, Repository: "app", Status: 200,
		Caller: identity.Caller{Account: account, ARN: userARN(name), UserID: "AIDA" + name, AccessKeyID: "AKIA" + name},
		Images: []audit.ImageName{{Digest: d, Tag: fmt.Sprintf("v%d", n%2)}}, Pulled: []oci.Digest{d}, BytesOut: 100,
	}
	if name == "eve" {
		e.Status, e.Fault, e.Pulled = 403, "AccessDeniedException", nil
	}
	return e
}

func TestRecordsAreFound(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		o := newOffice(t, db)
		want := map[string][]string{}
		for n := range 60 {
			e := pull(n)
			o.write(t, e)
			for _, key := range []string{"", e.Caller.ARN, string(e.Images[0].Digest)} {
				want[key] = append([]string{e.ID}, want[key]...)
			}
			if n%7 == 0 { // batches of all sizes, and another process now and then
				o.index(t)
			}
			if n == 30 {
				o.start(t)
			}
		}
		o.index(t)
		o.index(t)
		yes := true
		for name, tt := range map[string]struct {
			q    audit.Query
			want []string
		}{
			"everything": {audit.Query{}, want[""]},
			"pages":      {audit.Query{Limit: 7}, want[""]},
			"one":        {audit.Query{Limit: 1, Principal: userARN("bob")}, want[userARN("bob")]},
			"by name":    {audit.Query{Principal: "eve"}, want[userARN("eve")]},
			"denied":     {audit.Query{DeniedOnly: true, Limit: 3}, want[userARN("eve")]},
			"hers":       {audit.Query{DeniedOnly: true, Principal: userARN("eve")}, want[userARN("eve")]},
			"not his":    {audit.Query{DeniedOnly: true, Principal: userARN("bob")}, nil},
			"image":      {audit.Query{Image: string(oci.FromBytes([]byte("image 0")))}, want[string(oci.FromBytes([]byte("image 0")))]},
			"tag":        {audit.Query{Repository: "app", Image: "v1"}, want[string(oci.FromBytes([]byte("image 1")))]},
			"tag alone":  {audit.Query{Image: "v1"}, want[string(oci.FromBytes([]byte("image 1")))]},
			"request":    {audit.Query{RequestID: fmt.Sprintf("%032x", 17)}, []string{fmt.Sprintf("%032x", 17)}},
			"no request": {audit.Query{RequestID: fmt.Sprintf("%032x", 170)}, nil},
			"key":        {audit.Query{AccessKeyID: "AKIAbob", ReadOnly: &yes, Operation: "BatchGetImage"}, want[userARN("bob")]},
			"elsewhere":  {audit.Query{Repository: "other"}, nil},
			"times":      {audit.Query{Since: begin.Add(11 * time.Second), Until: begin.Add(14 * time.Second)}, want[""][60-13 : 60-10]},
		} {
			if diff := cmp.Diff(tt.want, o.find(t, tt.q)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// TestEventsAddUp compares what the outbox was given with what was written, across processes that end at any time.
func TestEventsAddUp(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		o := newOffice(t, db)
		for n := range 90 {
			o.write(t, pull(n))
			if n%11 == 0 {
				o.start(t) // what was not read yet is read by the next one
			}
			if n%17 == 0 {
				o.index(t)
			}
		}
		o.index(t)
		events, err := db.Outbox().Claim(t.Context(), o.now.Add(time.Hour), o.now, 1000)
		if err != nil {
			t.Fatal(err)
		}
		var calls, pulls, pulled, out int64
		byPrincipal := map[string]int64{}
		for _, e := range events {
			switch e.Kind {
			case event.Served:
				for _, s := range e.Traffic {
					if (s.Repository == "") != (s.Fault != "") {
						t.Errorf("what failed counts for no repository: %+v", s)
					}
					calls += s.Calls
					pulls += s.Pulls
					out += s.BytesOut
					byPrincipal[s.Principal+" "+s.Fault] += s.Calls
				}
			case event.ImagePulled:
				pulled += e.Count
				if e.Repository != "app" || len(e.Tags) != 1 || e.Digest == "" || e.Actor == "" {
					t.Errorf("a pull is told as %+v", e)
				}
			default:
				t.Errorf("there is an event %+v", e)
			}
		}
		if calls != 90 || pulls != 60 || pulled != 60 || out != 9000 {
			t.Errorf("%d calls, %d pulls, %d told of, %d bytes; want 90, 60, 60, 9000", calls, pulls, pulled, out)
		}
		if byPrincipal[userARN("eve")+" AccessDeniedException"] != 30 {
			t.Errorf("calls by principal: %v", byPrincipal)
		}
		if o.notes == 0 {
			t.Error("nobody was told of the events")
		}
	})
}

func TestOldRecordsAreForgotten(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		o := newOffice(t, db)
		for n := range 5 {
			o.write(t, pull(n))
		}
		o.index(t)
		o.now = o.now.Add(89 * 24 * time.Hour)
		o.write(t, pull(5))
		o.index(t)
		if more, err := o.indexer.DropOnce(t.Context()); err != nil || more {
			t.Fatal(more, err)
		}
		if got := o.find(t, audit.Query{}); len(got) != 6 {
			t.Errorf("after 89 days there are %v", got)
		}
		o.now = o.now.Add(2 * 24 * time.Hour)
		if _, err := o.indexer.DropOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := o.find(t, audit.Query{Principal: userARN("eve")}); len(got) != 1 {
			t.Errorf("after 91 days there are %v", got)
		}
	})
}

// TestALogThatLacksRecordsIsNotGoneOnWith restores the files of yesterday.
func TestALogThatLacksRecordsIsNotGoneOnWith(t *testing.T) {
	t.Parallel()
	o := newOffice(t, metadbtest.New(t))
	for n := range 3 {
		o.write(t, pull(n))
	}
	o.index(t)
	old := o.journal.ID()
	state, err := o.db.Audit().Log(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	state.Tree.AddNode(audit.Node{}) // the database knows of one more
	if _, err := o.db.Audit().Commit(t.Context(), audit.Batch{Log: state, From: 3}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and it stays so
		o.now = o.now.Add(time.Second)
		o.start(t)
		o.index(t)
		if o.journal.ID() == old {
			t.Fatal("the log is gone on with")
		}
	}
	p, err := o.service.Search(t.Context(), root, audit.Query{Limit: 1})
	if err != nil || len(p.Records) != 1 || p.Records[0].Operation != string(audit.RolledBack) || p.Records[0].Log != o.journal.ID() {
		t.Errorf("the last record is %+v, %v", p.Records, err)
	}
}

func TestSearchRefuses(t *testing.T) {
	t.Parallel()
	o := newOffice(t, metadbtest.New(t))
	eve := identity.Caller{Account: account, ARN: userARN("eve"), UserID: "AIDA"}
	for name, tt := range map[string]struct {
		caller identity.Caller
		q      audit.Query
		want   fault.Code
	}{
		"nobody":         {identity.Caller{}, audit.Query{}, fault.AccessDenied},
		"somebody":       {eve, audit.Query{}, fault.AccessDenied},
		"times reversed": {root, audit.Query{Since: begin, Until: begin.Add(-1)}, fault.InvalidParameter},
		"a token":        {root, audit.Query{After: "x"}, fault.PageTokenInvalid},
		"null":           {root, audit.Query{After: "bnVsbA"}, fault.PageTokenInvalid},
	} {
		if _, err := o.service.Search(t.Context(), tt.caller, tt.q); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestCheckpointsAreSigned(t *testing.T) {
	t.Parallel()
	o := newOffice(t, metadbtest.New(t))
	o.write(t, pull(0))
	o.index(t)
	text, err := journal.Directory(o.dir).Checkpoint(o.journal.ID())
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.OpenCheckpoint(o.key.Verifier(), text)
	if err != nil || c.Size != 1 || c.Log != o.journal.ID() {
		t.Fatalf("the checkpoint is %+v, %v", c, err)
	}
	for i := range text {
		changed := []byte(text)
		changed[i] ^= 1
		if got, err := audit.OpenCheckpoint(o.key.Verifier(), string(changed)); err == nil && got != c { // base64 has bits that say nothing
			t.Errorf("changed at %d it is taken: %+v", i, got)
		}
	}
	other := newOffice(t, metadbtest.New(t))
	if _, err := audit.OpenCheckpoint(other.key.Verifier(), text); !errors.Is(err, audit.ErrCheckpoint) {
		t.Errorf("another registry takes it: %v", err)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	o := newOffice(t, metadbtest.New(t))
	for n := range 1000 {
		o.write(t, pull(n))
	}
	o.index(t)
	blocks, err := o.db.Audit().Blocks(context.Background(), audit.BlockQuery{Requests: true, Limit: 10})
	if err != nil || len(blocks) == 0 {
		t.Fatal(err)
	}
	wrong := 0
	for n := range 2000 {
		has := false
		for _, b := range blocks {
			has = has || audit.Filter(b.Requests).Has(fmt.Sprintf("%032x", n))
		}
		switch {
		case n < 1000 && !has:
			t.Fatalf("request %d is not known", n)
		case n >= 1000 && has:
			wrong++
		}
	}
	if wrong > 50 {
		t.Errorf("%d of 1000 others are taken to be known", wrong)
	}
}
