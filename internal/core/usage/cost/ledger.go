package cost

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// day is the step in which a month is added up: hours of a thousand repositories would be a million points.
const day = 24 * time.Hour

// ledger is what all repositories used of a month, by day.
type ledger struct {
	accounts []account
	month    price.Month
	until    time.Time
	began    time.Time // the day of the first point that a forecast goes by: nothing was counted before it
}

// account is one repository's.
type account struct {
	repository string
	days       []price.Used // from the month's first
	before     price.Used   // what was sent in the days before it that a forecast goes by
	level      price.Used   // what an hour of it comes to at the end: bytes
	apps       []appAccount
}

// appAccount is what an app in it used, as far as it can be told apart. What apps share counts with each.
type appAccount struct {
	app  string
	used price.Used
}

// measure is how a metric becomes a part of what is used.
type measure struct {
	name  string
	gauge bool // bytes that are held, measured now and then; otherwise bytes that went
	part  func(*price.Used) *float64
}

var measures = []measure{
	{usage.StoredBytes, true, func(u *price.Used) *float64 { return &u.StoredByteHours }},
	{usage.TrashBytes, true, func(u *price.Used) *float64 { return &u.TrashByteHours }},
	{usage.BytesOut, false, func(u *price.Used) *float64 { return &u.BytesOut }},
	{usage.BytesIn, false, func(u *price.Used) *float64 { return &u.BytesIn }},
}

// owner is whose a metric is.
type owner struct{ repository, app string }

// ownerOf reads it off the dimensions; false where they are others, such as an image's.
func ownerOf(m usage.Metric) (owner, bool) {
	switch d := m.Dimensions; {
	case len(d) == 1 && d[0].Name == usage.DimensionRepository:
		return owner{repository: d[0].Value}, true
	case len(d) == 2 && d[0].Name == usage.DimensionApp && d[1].Name == usage.DimensionRepository:
		return owner{d[1].Value, d[0].Value}, true
	}
	return owner{}, false
}

// ledger reads a month up to a time.
func (s *Service) ledger(ctx context.Context, m price.Month, until time.Time) (*ledger, error) {
	owners := map[owner]*account{} // an app's is an account as well, until it is put below its repository
	n := daysOf(m, until)
	began := until
	for _, what := range measures {
		from := m.Begin().Add(-day * time.Duration(max(1, lookBack-n))) // how it was when the month began, and what a forecast goes by
		metrics, err := s.named(ctx, what.name, from)
		if err != nil {
			return nil, err
		}
		points, err := s.Points.Points(ctx, s.self, metrics, from, until, day)
		if err != nil {
			return nil, err
		}
		samples := mostSamples(points, m.Begin(), n)
		for i, metric := range metrics {
			if len(points[i]) == 0 || what.gauge && points[i][len(points[i])-1].At.Before(m.Begin().Add(-day)) {
				continue // it was gone before the month began
			}
			if at := points[i][0].At; at.Before(began) {
				began = at
			}
			who, _ := ownerOf(metric)
			a := owners[who]
			if a == nil {
				a = &account{repository: who.repository, days: make([]price.Used, n)}
				owners[who] = a
			}
			what.enter(a, points[i], m.Begin(), until, samples)
		}
	}
	if until.Before(m.End()) {
		if err := s.lately(ctx, owners, m.Begin(), until); err != nil {
			return nil, err
		}
	}
	l := gather(owners, m, until)
	l.began = began
	return l, nil
}

// daysOf is how many days of a month have begun by a time.
func daysOf(m price.Month, until time.Time) int { return int((until.Sub(m.Begin()) + day - 1) / day) }

// named gives the metrics of a name that are a repository's or an app's, and have points since a time.
func (s *Service) named(ctx context.Context, name string, since time.Time) ([]usage.Metric, error) {
	var metrics []usage.Metric
	filter := usage.Filter{Namespace: usage.NamespaceBerth, Name: name, ActiveSince: since}
	for token := ""; ; {
		page, err := s.Points.Metrics(ctx, s.self, filter, 0, token)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Items {
			if _, ok := ownerOf(m.Metric); ok {
				metrics = append(metrics, m.Metric)
			}
		}
		if token = page.Next; token == "" {
			return metrics, nil
		}
	}
}

// gather puts apps below their repositories, in order.
func gather(owners map[owner]*account, m price.Month, until time.Time) *ledger {
	l := &ledger{month: m, until: until}
	for who, a := range owners {
		if who.app == "" {
			l.accounts = append(l.accounts, *a)
		}
	}
	slices.SortFunc(l.accounts, func(a, b account) int { return cmp.Compare(a.repository, b.repository) })
	for who, a := range owners {
		i, ok := slices.BinarySearchFunc(l.accounts, who.repository, func(a account, name string) int { return cmp.Compare(a.repository, name) })
		if who.app != "" && ok {
			l.accounts[i].apps = append(l.accounts[i].apps, appAccount{who.app, a.sum()})
		}
	}
	for _, a := range l.accounts {
		slices.SortFunc(a.apps, func(a, b appAccount) int { return cmp.Compare(a.app, b.app) })
	}
	return l
}

// mostSamples is how often gauges were measured on each day, from the one before the month's first. A repository that was measured less often came
// later or went; a day on which none was measured, the server did not run.
func mostSamples(points [][]usage.Point, begin time.Time, days int) []float64 {
	most := make([]float64, days+1)
	for _, series := range points {
		for _, p := range series {
			if i := int(p.At.Sub(begin)/day) + 1; !p.At.Before(begin.Add(-day)) && i <= days {
				if p.At.Before(begin) {
					i = 0
				}
				most[i] = max(most[i], p.Count)
			}
		}
	}
	return most
}

// enter adds a series to an account.
func (w measure) enter(a *account, points []usage.Point, begin, until time.Time, samples []float64) {
	byDay := map[time.Time]usage.Point{}
	for _, p := range points {
		byDay[p.At.UTC()] = p
	}
	if !w.gauge {
		for i := range a.days {
			*w.part(&a.days[i]) += byDay[begin.Add(time.Duration(i)*day)].Sum
		}
		for _, p := range points {
			if p.At.Before(begin) {
				*w.part(&a.before) += p.Sum
			}
		}
		return
	}
	level := 0.0
	if samples[0] > 0 {
		level = byDay[begin.Add(-day)].Sum / samples[0]
	}
	for i := range a.days {
		at := begin.Add(time.Duration(i) * day)
		if most := samples[i+1]; most > 0 {
			level = byDay[at].Sum / most
		} // else nobody looked, and what was there still is
		*w.part(&a.days[i]) += level * min(day, until.Sub(at)).Hours()
	}
	*w.part(&a.level) += level
}

func (a account) sum() price.Used {
	var sum price.Used
	for _, u := range a.days {
		sum.Add(u)
	}
	return sum
}

// total is what each account has used so far.
func (l *ledger) total() []price.Used {
	all := make([]price.Used, len(l.accounts))
	for i, a := range l.accounts {
		all[i] = a.sum()
	}
	return all
}

// lookBack is how many days a forecast of transfer goes by, the one that is not over among them. Those of the month before count too: what an
// hour after midnight fetched says nothing of a month.
const lookBack = 7

// projected is what each account will have used at the month's end: what is stored stays, and as much is sent as on the last seven days.
func (l *ledger) projected() []price.Used {
	left := max(0, l.month.End().Sub(l.until).Hours())
	all := l.total()
	from := l.month.Begin().Add(time.Duration(daysOf(l.month, l.until)-lookBack) * day)
	if from.Before(l.began) {
		from = l.began
	}
	hours := l.until.Sub(from).Hours()
	for i, a := range l.accounts {
		all[i].StoredByteHours += a.level.StoredByteHours * left
		all[i].TrashByteHours += a.level.TrashByteHours * left
		lately := a.before
		for _, u := range a.days[max(0, len(a.days)-lookBack):] {
			lately.Add(u)
		}
		if hours >= 1 { // of a registry's first minutes nothing follows
			all[i].BytesOut += lately.BytesOut / hours * left
			all[i].BytesIn += lately.BytesIn / hours * left
		}
	}
	return all
}

// parts are how much of what is used somebody used: 0 to 1.
type parts struct{ stored, trash, out, in float64 }

// partsOf compares with a whole. Where there is none, nobody has a part.
func partsOf(u, whole price.Used) parts {
	part := func(of, whole float64) float64 {
		if whole <= 0 {
			return 0
		}
		return of / whole
	}
	return parts{
		part(u.StoredByteHours, whole.StoredByteHours), part(u.TrashByteHours, whole.TrashByteHours),
		part(u.BytesOut, whole.BytesOut), part(u.BytesIn, whole.BytesIn),
	}
}

func (p parts) of(c price.Cost) price.Cost { return c.Scale(p.stored, p.trash, p.out, p.in) }

func (p parts) used(u price.Used) price.Used {
	return price.Used{
		StoredByteHours: u.StoredByteHours * p.stored, TrashByteHours: u.TrashByteHours * p.trash, BytesOut: u.BytesOut * p.out, BytesIn: u.BytesIn * p.in,
	}
}

// byApp divides a repository's bill among its apps, by what each would use alone: what they share is paid by all that use it. What is left is a line
// of no app.
func (a account) byApp(used price.Used, cost, forecast price.Cost) []Line {
	var whole price.Used
	for _, app := range a.apps {
		whole.Add(app.used)
	}
	// Apps that share layers add up to more than the repository has; where it has more than theirs, they pay for theirs alone.
	whole = price.Used{
		StoredByteHours: max(whole.StoredByteHours, used.StoredByteHours), TrashByteHours: max(whole.TrashByteHours, used.TrashByteHours),
		BytesOut: max(whole.BytesOut, used.BytesOut), BytesIn: max(whole.BytesIn, used.BytesIn),
	}
	rest := parts{1, 1, 1, 1}
	lines := make([]Line, 0, len(a.apps)+1)
	for _, app := range a.apps {
		p := partsOf(app.used, whole)
		rest = parts{rest.stored - p.stored, rest.trash - p.trash, rest.out - p.out, rest.in - p.in}
		lines = append(lines, Line{Repository: a.repository, App: app.app, Used: p.used(used), Cost: p.of(cost), Forecast: p.of(forecast)})
	}
	left := Line{Repository: a.repository, Used: rest.used(used), Cost: rest.of(cost), Forecast: rest.of(forecast)}
	if left.Forecast.Total() > 1e-9*forecast.Total() || len(lines) == 0 { // more than what rounding leaves
		lines = append(lines, left)
	}
	return lines
}

// addDays puts a repository's days to the bill's. A day bears its part of what the month costs by now: tiers go by the month.
func (b *Bill) addDays(at map[time.Time]int, a account, used price.Used, cost price.Cost) {
	for i, u := range a.days {
		date := b.Month.Begin().Add(time.Duration(i) * day)
		n, ok := at[date]
		if !ok {
			n = len(b.Lines)
			at[date] = n
			b.Lines = append(b.Lines, Line{Day: date})
		}
		b.Lines[n].Used.Add(u)
		b.Lines[n].Cost.Add(partsOf(u, used).of(cost))
	}
}

// sort puts the dearest first; days by date.
func (b *Bill) sort() {
	slices.SortStableFunc(b.Lines, func(x, y Line) int {
		return cmp.Or(x.Day.Compare(y.Day), cmp.Compare(y.Cost.Total(), x.Cost.Total()), cmp.Compare(x.Repository, y.Repository), cmp.Compare(x.App, y.App))
	})
}
