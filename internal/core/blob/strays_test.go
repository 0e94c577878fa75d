package blob_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

func TestOldAndArriving(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		what          string
		found         blob.Found
		age           time.Duration
		old, arriving bool
	}{
		{"an object of the last hour", blob.Found{Size: 5}, time.Hour - 1, false, true},
		{"an object of an hour", blob.Found{Size: 5}, time.Hour, false, false},
		{"an object of almost two days", blob.Found{Size: 5}, 2*day - 1, false, false},
		{"an object of two days", blob.Found{Size: 5}, 2 * day, true, false},
		{"an empty object of two days", blob.Found{}, 2 * day, true, false},
		{"the end of an upload, of two days", blob.Found{Part: true, Size: 5}, 2 * day, true, false},
		{"a multipart upload of almost a week", blob.Found{Part: true}, 7*day - 1, false, false},
		{"a multipart upload of a week", blob.Found{Part: true}, 7 * day, true, false},
		{"an object of tomorrow", blob.Found{Size: 5}, -day, false, true},
	} {
		c.found.At = now.Add(-c.age)
		if old, arriving := c.found.Old(now), c.found.Arriving(now); old != c.old || arriving != c.arriving {
			t.Errorf("%s: old %t, arriving %t", c.what, old, arriving)
		}
	}
	if (blob.Found{}).Old(now) {
		t.Error("what has no age is old")
	}
}

func TestManyStrays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		what         string
		seen, strays int
		size, large  int64 // bytes of a thing, and of a stray
		held         bool
	}{
		{"nothing", 0, 0, 1, 1, false},
		{"a few in a small store", 20, 20, 1, 1, false},
		{"half of a small store", 42, 21, 1, 1, true},
		{"a tenth", 1000, 100, 1, 1, false},
		{"more than a tenth", 1000, 101, 1, 1, true},
		{"few that are large", 1000, 21, 1, 10, true},
		{"a thousand of very many", 1_000_000, 1000, 1, 1, false},
		{"more than a thousand of very many", 1_000_000, 1001, 1, 1, true},
	} {
		var census blob.Census
		strays := make([]blob.Found, c.strays)
		for i := range strays {
			strays[i] = blob.Found{Size: c.large, At: now.Add(-time.Hour)}
			census.See(strays[i])
		}
		for range c.seen - c.strays {
			census.See(blob.Found{Size: c.size})
		}
		if held := census.Count(strays, now); held != c.held || census.Held != c.held {
			t.Errorf("%s: held %t", c.what, held)
		}
		for range 1_000_000 { // it stays so, however few they are of all
			census.See(blob.Found{Size: 1000})
		}
		if held := census.Count(nil, now); held != c.held && c.strays < 1001 {
			t.Errorf("%s: held %t in the end", c.what, held)
		}
	}
	var young blob.Census
	if young.Count(make([]blob.Found, 3000)[:0], now) || young.Count([]blob.Found{{At: now}}, now) || young.Found.Things != 0 {
		t.Errorf("what is arriving counts: %+v", young)
	}
}

// TestCensusIsStored as earlier versions did.
func TestCensusIsStored(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(blob.Census{Seen: blob.Amount{Things: 1, Bytes: 2}, Found: blob.Amount{Things: 3, Bytes: 4}, Held: true})
	const want = `{"Seen":{"Things":1,"Bytes":2},"Found":{"Things":3,"Bytes":4},"Held":true}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
