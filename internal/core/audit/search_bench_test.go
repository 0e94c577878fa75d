package audit_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// many is a journal of records that are made when they are read.
type many struct {
	size int64
	made func(n int64) audit.Entry
}

func (m many) ID() string                      { return "many" }
func (m many) Append(b []byte) ([]byte, error) { return b, nil }
func (m many) Size() int64                     { return m.size }
func (m many) Sync() error                     { return nil }
func (m many) Publish(string) error            { return nil }
func (m many) Renew() error                    { return nil }
func (m many) Read(n int64, limit int) ([]audit.Line, error) {
	var lines []audit.Line
	for ; n < m.size && len(lines) < limit; n++ {
		e := m.made(n)
		text := audit.Number(encoder().Append(nil, &e), "many", n, make([]byte, audit.PreviousSize))
		lines = append(lines, audit.Line{Text: text, Hash: tlog.RecordHash(text)})
	}
	return lines, nil
}

// ordinary is what most records are: requests of twenty principals about thirty repositories. In one of rare somebody is denied something.
func ordinary(who string, rare int64) func(n int64) audit.Entry {
	return func(n int64) audit.Entry {
		e := pull(int(n % 2))
		e.At = begin.Add(time.Duration(n) * 100 * time.Millisecond)
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(id[8:], uint64(n)*0xbf58476d1ce4e5b9)
		e.ID = fmt.Sprintf("%x", id)
		name := fmt.Sprintf("user-%d", n*7%20)
		if n%rare == rare/2 {
			name, e.Status, e.Fault, e.Pulled = who, 403, "AccessDeniedException", nil
			e.Message = "User: eve is not authorized to perform: ecr:BatchGetImage"
		} else if n%1009 == 0 {
			e.Status, e.Fault, e.Pulled = 403, "AccessDeniedException", nil // of others
		}
		e.Repository = fmt.Sprintf("team/app-%d", n*13%30)
		e.Caller = identity.Caller{Account: account, ARN: userARN(name), UserID: "AIDA" + name, AccessKeyID: "AKIA" + name, Origin: identity.Origin{Address: "192.0.2.1", UserAgent: "docker/29"}}
		e.Method, e.Path, e.Duration = "GET", "/v2/"+e.Repository+"/manifests/v1", time.Millisecond
		return e
	}
}

// BenchmarkDenials finds the denials of principals among ten million records, in ten thousand blocks: of one who is denied something in one
// block of a hundred, and of one in three of all. Most blocks are copies of a few: what a search looks at of them is the same.
func BenchmarkDenials(b *testing.B) {
	const perBlock = 1000
	records := 10_000_000
	if testing.Short() {
		records /= 10
	}
	db := metadbtest.New(b)
	o := newOffice(b, db)
	rare := int64(records / perBlock / 3)
	fill(b, db, o.key, records/perBlock, map[string]int64{"eve": 100, "mallory": rare})
	for name, want := range map[string]int{"eve": audit.DefaultLimit, "mallory": 3} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p, err := o.service.Search(b.Context(), root, audit.Query{Principal: userARN(name), DeniedOnly: true})
				if err != nil || len(p.Records) != min(want, records/perBlock/100) {
					b.Fatalf("found %d of %d, %v", len(p.Records), want, err)
				}
			}
		})
	}
}

// fill stores so many blocks, and in one of so many of them a denial of each of some.
func fill(b *testing.B, db *metadb.DB, key audit.Key, blocks int, every map[string]int64) {
	b.Helper()
	template := func(made func(n int64) audit.Entry) audit.Block {
		var got audit.Block
		x := audit.NewIndexer(audit.IndexerConfig{
			Journal: many{1000, made}, Store: taking{db.Audit(), func(batch audit.Batch) { got = batch.Blocks[0] }}, Key: key, Encoder: encoder(),
			Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		if _, err := x.Once(b.Context()); err != nil {
			b.Fatal(err)
		}
		return got
	}
	plain, denied := template(ordinary("", 1<<40)), map[string]audit.Block{}
	for name := range every {
		denied[name] = template(ordinary(name, 1000))
	}
	b.Logf("a block has %d bytes and %d terms", len(plain.Data), len(plain.Terms))
	for n := 0; n < blocks; n += 20 {
		batch := audit.Batch{Log: audit.Log{ID: fmt.Sprintf("log-%d", n)}}
		for i := n; i < n+20; i++ {
			block := plain
			for name, one := range every {
				if int64(i)%one == one/2 {
					block = denied[name]
				}
			}
			block.Log, block.First = batch.Log.ID, int64(i)*1000
			block.From = begin.Add(time.Duration(i) * 100 * time.Second)
			block.Until = block.From.Add(100 * time.Second)
			batch.Blocks = append(batch.Blocks, block)
		}
		if _, err := db.Audit().Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex reads ten thousand records into the database.
func BenchmarkIndex(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db := metadbtest.New(b)
		o := newOffice(b, db)
		j := many{10_000, ordinary("eve", 1000)}
		var lines []audit.Line
		for n := int64(0); n < j.size; n += 1000 {
			some, _ := j.Read(n, 1000)
			lines = append(lines, some...)
		}
		x := audit.NewIndexer(audit.IndexerConfig{
			Journal: ready{j, lines}, Store: db.Audit(), Key: o.key, Encoder: encoder(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		b.StartTimer()
		for more := true; more; {
			var err error
			if more, err = x.Once(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/record")
}

// ready has its records in memory.
type ready struct {
	many
	lines []audit.Line
}

func (r ready) Read(n int64, limit int) ([]audit.Line, error) {
	return r.lines[n:min(n+int64(limit), int64(len(r.lines)))], nil
}

// taking is a store that shows what it is given, and keeps nothing.
type taking struct {
	audit.Store
	show func(audit.Batch)
}

func (s taking) Log(context.Context, string) (audit.Log, error) { return audit.Log{ID: "many"}, nil }

func (s taking) Commit(_ context.Context, batch audit.Batch) ([]int64, error) {
	s.show(batch)
	return make([]int64, len(batch.Blocks)), nil
}
