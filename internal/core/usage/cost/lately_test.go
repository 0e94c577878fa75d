package cost_test

import (
	"math"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// TestLargePushes sees that a bill rises with a push, and not when what is stored is measured next; and that nothing is paid twice then.
func TestLargePushes(t *testing.T) {
	t.Parallel()
	each(t, flat, nil, func(t *testing.T, b *books) {
		is := func(when string, total, forecast float64) {
			t.Helper()
			if c := b.bill(cost.Query{By: cost.ByRepository}); math.Abs(c.Total.Total()-total) > 1e-6 || math.Abs(c.Forecast.Total()-forecast) > 1e-6 {
				t.Errorf("%s: %v, by the month's end %v; want %v and %v", when, c.Total.Total(), c.Forecast.Total(), total, forecast)
			}
		}
		b.now = b.now.Add(10 * time.Minute)
		b.put(usage.BytesIn, "new", "", 2*price.GB) // nothing was measured before
		b.now = b.now.Add(30 * time.Minute)
		is("half an hour after the first push", 2*0.05, 2*(72-0.1/6))
		b.now = b.now.Add(20 * time.Minute)
		b.put(usage.StoredBytes, "new", "", 2*price.GB)
		b.now = b.now.Add(time.Minute)
		is("measured", 2*0.1*61/60, 2*72)
		b.put(usage.BytesIn, "new", "", price.GB)
		b.put(usage.BytesIn, "gone", "", price.GB)
		b.now = b.now.Add(30 * time.Minute)
		is("two more pushes", 2*0.1*91/60+2*0.05, 2*72+2*(72-0.1*61/60))
		b.now = b.now.Add(29 * time.Minute)
		b.put(usage.StoredBytes, "new", "", 3*price.GB) // in two measures a mean of 2.5
		b.now = b.now.Add(time.Minute)
		is("measured again, when one is gone", 2.5*0.1*121/60, 2.5*72)
	})
}
