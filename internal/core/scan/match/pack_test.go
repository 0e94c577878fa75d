package match_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

func members(t testing.TB, b []byte) (all []match.Member) {
	t.Helper()
	if err := match.EachMember(b, func(m match.Member) { all = append(all, m) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPackedIsWhatWasPacked packs random lists.
func TestPackedIsWhatWasPacked(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	severities := []advisory.Severity{advisory.Critical, advisory.High, advisory.Medium, advisory.Low, advisory.Informational, advisory.Undefined}
	for range 2000 {
		seen := map[match.Member]bool{}
		var given []match.Member
		for range r.IntN(20) {
			m := match.Member{Package: 1 + r.Int64N(1<<r.IntN(40)), Layer: r.IntN(200), Owned: r.IntN(2) == 0}
			given = append(given, m, m)
			seen[m] = true
		}
		got := members(t, match.PackMembers(given))
		if len(got) != len(seen) || slices.ContainsFunc(got, func(m match.Member) bool { return !seen[m] }) {
			t.Fatalf("of %v there is %v", given, got)
		}
		var ids []int64
		var want match.Result
		for id := int64(0); r.IntN(10) > 0; {
			id += 1 + r.Int64N(1<<r.IntN(30))
			ids = append(ids, id)
			want.Hits = append(want.Hits, match.Hit{
				Advisory: id, Vulnerability: 1 + r.Int64N(id), Day: r.IntN(30000), Severity: severities[r.IntN(6)], Fixable: r.IntN(2) == 0, Exploited: r.IntN(2) == 0,
			})
		}
		want.Unevaluated = r.IntN(2) == 0
		if got, err := match.Unpack(want.Pack()); err != nil || !cmp.Equal(want, got) {
			t.Fatalf("%v, of (-want +got):\n%s", err, cmp.Diff(want, got))
		}
		if got, err := match.UnpackIDs(match.PackIDs(ids)); err != nil || !slices.Equal(ids, got) {
			t.Fatalf("of %v there is %v, %v", ids, got, err)
		}
	}
}

// FuzzUnpack takes anything for packed: what is taken is the same when it has been packed again, the rest is ErrPacked.
func FuzzUnpack(f *testing.F) {
	f.Add(match.PackMembers([]match.Member{{Package: 3, Layer: 2, Owned: true}, {Package: 300, Layer: 1}}))
	f.Add(match.PackIDs([]int64{1, 2, 1 << 40}))
	f.Add(match.Result{Unevaluated: true, Hits: []match.Hit{{Advisory: 9, Vulnerability: 3, Day: 20000, Severity: advisory.High, Fixable: true}}}.Pack())
	f.Add([]byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var all []match.Member
		err := match.EachMember(b, func(m match.Member) { all = append(all, m) })
		if err == nil {
			sorted := slices.Clone(all)
			if got := members(t, match.PackMembers(sorted)); !slices.Equal(got, sorted[:len(got)]) {
				t.Errorf("%v comes back as %v", all, got)
			}
			var counted []int64
			for _, m := range all {
				if n := len(counted); !m.Owned && (n == 0 || counted[n-1] != m.Package) {
					counted = append(counted, m.Package)
				}
			}
			if got, err := match.AppendCounted(nil, b); err != nil || !slices.Equal(got, counted) {
				t.Errorf("of %v there are counted %v, %v; want %v", all, got, err, counted)
			}
		} else if _, got := match.AppendCounted(nil, b); !errors.Is(err, match.ErrPacked) || !errors.Is(got, match.ErrPacked) {
			t.Error(err, got)
		}
		if r, err := match.Unpack(b); err == nil {
			if again, err := match.Unpack(r.Pack()); err != nil || !cmp.Equal(r, again) {
				t.Errorf("%+v comes back as %+v, %v", r, again, err)
			}
			table := match.NewTable()
			if err := table.Add(1, match.Name{Ecosystem: "npm", Source: "a"}, false, b); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, match.ErrPacked) {
			t.Error(err)
		}
		if ids, err := match.UnpackIDs(b); err == nil {
			if again, err := match.UnpackIDs(match.PackIDs(ids)); err != nil || !slices.Equal(ids, again) {
				t.Errorf("%v comes back as %v, %v", ids, again, err)
			}
		} else if !errors.Is(err, match.ErrPacked) {
			t.Error(err)
		}
	})
}
