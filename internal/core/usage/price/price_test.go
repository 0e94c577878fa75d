package price_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)+math.Abs(b)) }

func TestTiers(t *testing.T) {
	t.Parallel()
	out := price.ECR().Out
	for amount, want := range map[float64]float64{
		0: 0, 1: 0.09, 10 << 10: 921.6, 10<<10 + 1: 921.685, 50 << 10: 921.6 + 3481.6, 200 << 10: 921.6 + 3481.6 + 7168 + 2560,
	} {
		if got := out.Of(amount); !near(got, want) {
			t.Errorf("%v GB cost %v, want %v", amount, got, want)
		}
	}
	if got := price.Tiers(nil).Of(1e6); got != 0 {
		t.Errorf("without a price it costs %v", got)
	}
}

// TestAmazonsOwnSum is the example of Amazon's price page in our numbers: 30 GB for a whole month are 3 dollars.
func TestAmazonsOwnSum(t *testing.T) {
	t.Parallel()
	for _, month := range []string{"2026-02", "2026-11", "2028-02"} {
		m, err := price.ParseMonth(month)
		if err != nil {
			t.Fatal(err)
		}
		c := price.ECR().Whole(m, m.Hours(), price.Used{StoredByteHours: 30 * price.GB * m.Hours(), BytesIn: 1 << 50})
		if !near(c.Total(), 3) {
			t.Errorf("%s: 30 GB cost %v, want 3", month, c.Total())
		}
	}
}

// TestShares holds that how a month is divided does not change what it costs.
func TestShares(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := price.MonthOf(time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC))
		amount := rapid.Float64Range(0, 1e15)
		sheet := price.ECR()
		sheet.Trash, sheet.In, sheet.Base = price.Flat(0.01), price.Tiers{{UpTo: 100, Price: 0.1}, {Price: 0.2}}, 20
		n := rapid.IntRange(1, 6).Draw(t, "things")
		var parts []price.Used
		var all price.Used
		for range n {
			u := price.Used{
				StoredByteHours: 1 + amount.Draw(t, "stored"), TrashByteHours: amount.Draw(t, "trash"), BytesOut: amount.Draw(t, "out"),
				BytesIn: amount.Draw(t, "in"),
			}
			parts = append(parts, u)
			all.Add(u)
		}
		elapsed := rapid.Float64Range(0, m.Hours()).Draw(t, "elapsed")
		var sum price.Cost
		for _, c := range sheet.Bill(m, elapsed, parts) {
			sum.Add(c)
		}
		if want := sheet.Whole(m, elapsed, all); !near(sum.Total(), want.Total()) || !near(sum.Storage, want.Storage) || !near(sum.Base, want.Base) {
			t.Fatalf("the parts cost %+v, the whole %+v", sum, want)
		}
	})
}

func TestMonths(t *testing.T) {
	t.Parallel()
	m := price.MonthOf(time.Date(2026, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)))
	if m.String() != "2027-01" || m.Hours() != 744 || !m.End().Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the month is %v of %v hours to %v", m, m.Hours(), m.End())
	}
	for _, bad := range []string{"", "2026", "2026-13", "2026-1", "2026-11-01"} {
		if got, err := price.ParseMonth(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}
