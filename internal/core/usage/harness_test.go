package usage_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "hoopstat-haus/prod"
)

var (
	root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}
	self = identity.Service(account, "usage")
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// bench is a registry that counts, on a real database and a real directory, with a clock that the test moves.
type bench struct {
	t        *testing.T
	db       *metadb.DB
	registry *registry.Registry
	usage    *usage.Service
	now      time.Time
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newBench(t, db))
	})
}

func newBench(t *testing.T, db *metadb.DB) *bench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, now: noon}
	b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: b.clock, TrashWindow: 24 * time.Hour})
	b.usage = usage.New(b.config())
	return b
}

func (b *bench) config() usage.Config {
	return usage.Config{Registry: b.registry, Store: b.db.Usage(), Upkeep: b.db.Usage(), Images: b.db.Usage(), Gauging: b.db.Usage(), Now: b.clock}
}

func (b *bench) clock() time.Time { return b.now }

func (b *bench) put(datums ...usage.Datum) {
	b.t.Helper()
	if err := b.usage.Put(b.t.Context(), self, datums); err != nil {
		b.t.Fatalf("Put: %v", err)
	}
}

// points reads one metric's points.
func (b *bench) points(m usage.Metric, from, to time.Time, period time.Duration) []usage.Point {
	b.t.Helper()
	all, err := b.usage.Points(b.t.Context(), self, []usage.Metric{m}, from, to, period)
	if err != nil {
		b.t.Fatalf("Points: %v", err)
	}
	return all[0]
}

// rollUp packs what there is to pack.
func (b *bench) rollUp() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.usage.RollUpOnce(b.t.Context()); err != nil {
			b.t.Fatalf("RollUpOnce: %v", err)
		}
	}
}

// forget makes a whole round.
func (b *bench) forget() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.usage.ForgetOnce(b.t.Context()); err != nil {
			b.t.Fatalf("ForgetOnce: %v", err)
		}
	}
}

func value(m usage.Metric, at time.Time, v float64) usage.Datum {
	return usage.Datum{Metric: m, Unit: "Count", Point: usage.Point{At: at, Count: 1, Sum: v, Min: v, Max: v}}
}
