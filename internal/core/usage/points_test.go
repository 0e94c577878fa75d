package usage_test

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// kept is the naive keeper: all that was ever put.
type kept []usage.Datum

// points adds up what falls into each period.
func (k kept) points(m usage.Metric, from, to time.Time, period time.Duration) []usage.Point {
	sums := map[time.Time]*usage.Point{}
	for _, d := range k {
		if cmp.Equal(d.Metric, m) {
			at := d.At.Truncate(period) // years begin and periods divide so that Truncate and ours agree
			if sums[at] == nil {
				sums[at] = &usage.Point{At: at}
			}
			sums[at].Add(d.Point)
		}
	}
	var all []usage.Point
	for at, p := range sums {
		if !at.Before(from.Truncate(period)) && at.Before(to) {
			all = append(all, *p)
		}
	}
	slices.SortFunc(all, func(a, b usage.Point) int { return a.At.Compare(b.At) })
	return all
}

// TestPointsAreWhatWasPut puts values at any times, late and early, with roll-ups between whose clock goes back and forth, and reads them
// in any period.
func TestPointsAreWhatWasPut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		world := 0
		rapid.Check(t, func(r *rapid.T) {
			world++
			b.now = noon
			var all kept
			metrics := []usage.Metric{
				usage.NewMetric("Mine", "latency", usage.Dimension{Name: "world", Value: strings.Repeat("x", world%200+1)}, usage.Dimension{Name: "n", Value: time.Duration(world).String()}),
				usage.NewMetric("Mine", "errors", usage.Dimension{Name: "n", Value: time.Duration(world).String()}),
			}
			for range rapid.IntRange(1, 25).Draw(r, "steps") {
				if rapid.IntRange(0, 4).Draw(r, "what") == 0 {
					b.now = noon.Add(time.Duration(rapid.IntRange(-72, 72).Draw(r, "hours")) * time.Hour)
					b.rollUp()
					continue
				}
				var batch []usage.Datum
				for range rapid.IntRange(1, 6).Draw(r, "values") {
					at := noon.Add(time.Duration(rapid.IntRange(-10*24*60, 60).Draw(r, "minute"))*time.Minute + 7*time.Second)
					v := float64(rapid.IntRange(-3, 2000).Draw(r, "value"))
					if rapid.Bool().Draw(r, "half") {
						v += 0.5
					}
					batch = append(batch, value(metrics[rapid.IntRange(0, 1).Draw(r, "metric")], at, v))
				}
				b.put(batch...)
				all = append(all, batch...)
			}
			b.now = noon
			from := noon.Add(-time.Duration(rapid.IntRange(1, 11*24*60).Draw(r, "from")) * time.Minute)
			to := from.Add(time.Duration(rapid.IntRange(1, 11*24*60).Draw(r, "length")) * time.Minute)
			period := []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}[rapid.IntRange(0, 4).Draw(r, "period")]
			for _, m := range metrics {
				if diff := cmp.Diff(all.points(m, from, to, period), b.points(m, from, to, period)); diff != "" {
					r.Fatalf("%s by %v in [%v, %v) (-want +got):\n%s", m.Name, period, from, to, diff)
				}
			}
		})
	})
}

func TestWhatIsKeptHowLong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		c := b.config()
		c.Keep = usage.Keep{Minutes: 24 * time.Hour, Hours: 20 * 24 * time.Hour, Days: 800 * 24 * time.Hour}
		b.usage = usage.New(c)
		m := usage.NewMetric("Mine", "n")
		b.put(value(m, noon, 1), value(m, noon.Add(time.Minute), 2), value(m, noon.Add(time.Hour), 4))
		far := noon.Add(900 * 24 * time.Hour)
		count := func(period time.Duration) int { return len(b.points(m, noon.Add(-time.Hour), far, period)) }
		for _, tt := range []struct {
			after                time.Duration
			minutes, hours, days int
		}{
			{2 * time.Hour, 3, 2, 1},
			{30 * time.Hour, 0, 2, 1},
			{28 * 24 * time.Hour, 0, 0, 1},
			{899 * 24 * time.Hour, 0, 0, 0},
		} {
			b.now = noon.Add(tt.after)
			b.rollUp()
			b.forget()
			if minutes, hours, days := count(time.Minute), count(time.Hour), count(24*time.Hour); minutes != tt.minutes || hours != tt.hours || days != tt.days {
				t.Errorf("after %v there are %d minutes, %d hours, %d days: want %d, %d, %d", tt.after, minutes, hours, days, tt.minutes, tt.hours, tt.days)
			}
		}
		b.now = noon.Add(2000 * 24 * time.Hour)
		b.forget()
		page, err := b.usage.Metrics(t.Context(), self, usage.Filter{}, 0, "")
		if err != nil || len(page.Items) != 0 {
			t.Errorf("a metric without points is listed still: %+v, %v", page, err)
		}
		// A clock that goes back by years finds the next round at once.
		b.now = noon
		b.put(value(m, noon.Add(-10*24*time.Hour), 1))
		b.forget()
		if n := len(b.points(m, noon.Add(-300*time.Hour), noon, time.Minute)); n != 0 {
			t.Errorf("%d minutes of ten days ago are still there", n)
		}
	})
}

func TestMetricsAreListedByPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		var want []string
		for _, app := range []string{"a", "b", "c"} {
			b.put(value(usage.NewMetric(usage.NamespaceBerth, usage.PullCount, usage.Dimension{Name: "RepositoryName", Value: repo}, usage.Dimension{Name: "App", Value: app}), noon, 1))
			want = append(want, app)
		}
		b.put(value(usage.NewMetric(usage.NamespaceBerth, usage.PullCount, usage.Dimension{Name: "RepositoryName", Value: repo}), noon, 1))
		in2 := value(usage.NewMetric("Mine", "x"), noon.Add(-50*time.Hour), 1)
		b.put(in2)
		in2.Unit = "Bytes"
		b.put(in2)
		list := func(f usage.Filter) (all []usage.Metric) {
			t.Helper()
			token := ""
			for {
				page, err := b.usage.Metrics(t.Context(), self, f, 2, token)
				if err != nil {
					t.Fatalf("Metrics: %v", err)
				}
				for _, l := range page.Items {
					all = append(all, l.Metric)
				}
				if token = page.Next; token == "" {
					return all
				}
			}
		}
		var got []string
		for _, m := range list(usage.Filter{Name: usage.PullCount, Dimensions: []usage.Dimension{{Name: "RepositoryName", Value: repo}, {Name: "App"}}}) {
			got = append(got, m.Dimensions[0].Value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("apps (-want +got):\n%s", diff)
		}
		if all := list(usage.Filter{}); len(all) != 5 {
			t.Errorf("%d metrics, want 5: %v", len(all), all)
		}
		if recent := list(usage.Filter{ActiveSince: noon.Add(-3 * time.Hour)}); len(recent) != 4 {
			t.Errorf("%d metrics were active lately, want 4: %v", len(recent), recent)
		}
		m := in2.Metric
		for unit, want := range map[string]float64{"": 2, "Count": 1, "Bytes": 1, "Seconds": 0} {
			m.Unit = unit
			sum := 0.0
			for _, p := range b.points(m, noon.Add(-51*time.Hour), noon, time.Hour) {
				sum += p.Sum
			}
			if sum != want {
				t.Errorf("in the unit %q there are %v, want %v", unit, sum, want)
			}
		}
	})
}

func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		good := value(usage.NewMetric("Mine", "x"), noon, 1)
		with := func(change func(*usage.Datum)) usage.Datum {
			d := good
			change(&d)
			return d
		}
		dimension := func(name, value string) usage.Datum {
			return with(func(d *usage.Datum) { d.Metric.Dimensions = []usage.Dimension{{Name: name, Value: value}} })
		}
		for name, d := range map[string]usage.Datum{
			"our namespace":          with(func(d *usage.Datum) { d.Metric.Namespace = "Berth" }),
			"Amazon's namespace":     with(func(d *usage.Datum) { d.Metric.Namespace = "AWS/EC2" }),
			"no namespace":           with(func(d *usage.Datum) { d.Metric.Namespace = "" }),
			"no name":                with(func(d *usage.Datum) { d.Metric.Name = "" }),
			"a name that rings":      with(func(d *usage.Datum) { d.Metric.Name = "a\ab" }),
			"a name that is long":    with(func(d *usage.Datum) { d.Metric.Name = strings.Repeat("x", 256) }),
			"a value with an escape": dimension("a", "\x1b[2J"),
			"a value of no ASCII":    dimension("a", "ä"),
			"an empty value":         dimension("a", ""),
			"31 dimensions":          with(func(d *usage.Datum) { d.Metric.Dimensions = make([]usage.Dimension, 31) }),
			"a dimension twice":      with(func(d *usage.Datum) { d.Metric.Dimensions = []usage.Dimension{{"a", "1"}, {"a", "2"}} }),
			"an unknown unit":        with(func(d *usage.Datum) { d.Unit = "Furlongs" }),
			"not a number":           with(func(d *usage.Datum) { d.Sum = math.NaN() }),
			"an average that is":     with(func(d *usage.Datum) { d.Count, d.Sum = 1e-300, math.Ldexp(1, 360) }),
			"infinite":               with(func(d *usage.Datum) { d.Max = math.Inf(1) }),
			"no samples":             with(func(d *usage.Datum) { d.Count = 0 }),
			"least over most":        with(func(d *usage.Datum) { d.Min = 2 }),
			"too old":                with(func(d *usage.Datum) { d.At = noon.Add(-15 * 24 * time.Hour) }),
			"of tomorrow":            with(func(d *usage.Datum) { d.At = noon.Add(3 * time.Hour) }),
		} {
			if err := b.usage.Put(t.Context(), root, []usage.Datum{good, d}); !errors.Is(err, fault.InvalidParameter) {
				t.Errorf("%s: %v, want InvalidParameter", name, err)
			}
		}
		if n := len(b.points(good.Metric, noon, noon.Add(time.Hour), time.Minute)); n != 0 {
			t.Errorf("a batch that was refused left %d points", n)
		}
		for name, q := range map[string]struct {
			from, to time.Time
			period   time.Duration
		}{
			"times reversed":      {noon, noon.Add(-time.Hour), time.Hour},
			"no time":             {noon, noon, time.Hour},
			"seven seconds":       {noon, noon.Add(time.Hour), 7 * time.Second},
			"ninety seconds":      {noon, noon.Add(time.Hour), 90 * time.Second},
			"none":                {noon, noon.Add(time.Hour), 0},
			"before there was it": {time.Time{}, noon, time.Hour},
			"a period of eons":    {noon, noon.Add(time.Hour), 1000 * 24 * time.Hour},
		} {
			if _, err := b.usage.Points(t.Context(), root, []usage.Metric{good.Metric}, q.from, q.to, q.period); !errors.Is(err, fault.InvalidParameter) {
				t.Errorf("%s: %v, want InvalidParameter", name, err)
			}
		}
		for _, token := range []string{"x", "bWV0cmljczox=", "bWV0cmljczotMQ", "bWV0cmljczowMQ"} {
			if _, err := b.usage.Metrics(t.Context(), root, usage.Filter{}, 0, token); !errors.Is(err, fault.PageTokenInvalid) {
				t.Errorf("token %q: %v, want PageTokenInvalid", token, err)
			}
		}
	})
}

func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for who, caller := range map[string]identity.Caller{
			"nobody":                 {},
			"a user without rights":  {Account: account, ARN: "arn:aws:iam::123456789012:user/eve"},
			"another account's root": {Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", Root: true},
		} {
			asked := operations(t, b.usage, caller, func(name string, err error) {
				if !errors.Is(err, fault.AccessDenied) {
					t.Errorf("%s by %s: %v", name, who, err)
				}
			})
			if asked < 4 {
				t.Errorf("only %d operations were found", asked)
			}
		}
	})
}

// TestClientsCannotFillTheDatabase puts metrics with a dimension that is another each time, as an id of a request would be.
func TestClientsCannotFillTheDatabase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		c := b.config()
		c.MaxSeries = 5
		b.usage = usage.New(c)
		for _, own := range []string{usage.NamespaceBerth, usage.NamespaceECR, usage.NamespaceBilling} { // these are not counted
			for i := range 10 {
				b.put(value(usage.NewMetric(own, "x", usage.Dimension{Name: "n", Value: strconv.Itoa(i)}), b.now, 1))
			}
		}
		datum := func(i int) usage.Datum { // in namespaces before, between and behind the server's own
			return value(usage.NewMetric([]string{"A", "AWS", "AWSome", "Bert", "Mine"}[i%5], "latency", usage.Dimension{Name: "n", Value: strconv.Itoa(i)}), b.now, 1)
		}
		put := func(datums ...usage.Datum) error { return b.usage.Put(t.Context(), root, datums) }
		for i := range 5 {
			if err := put(datum(i)); err != nil {
				t.Fatalf("metric %d: %v", i+1, err)
			}
		}
		for i := range 5 {
			f, ok := fault.Of(put(datum(i), datum(i+5)))
			if !ok || f.Code != fault.LimitExceeded || !strings.Contains(f.Message, "5 metrics already") {
				t.Errorf("a metric too many: %v", f)
			}
			if got := b.points(datum(i).Metric, b.now, b.now.Add(time.Minute), time.Minute); len(got) != 1 || got[0].Count != 1 {
				t.Errorf("a refused request has changed %v", got)
			}
			if err := put(datum(i)); err != nil {
				t.Errorf("one that is there: %v", err)
			}
		}
		b.now = b.now.Add(6 * 366 * 24 * time.Hour) // the days are forgotten
		b.rollUp()
		b.forget()
		if err := put(datum(7)); err != nil {
			t.Errorf("after the others are forgotten: %v", err)
		}
	})
}
