package cli

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage/chart"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// usageMetric gives the metric of a column, by its name in small letters, or the empty string.
func usageMetric(column string) string {
	for _, c := range usageColumns {
		if strings.EqualFold(c.head, column) {
			return c.metric
		}
	}
	return ""
}

// charted is how many of the busiest a chart tells apart.
const charted = 10

// usageChart draws a column: what there is as lines, what happened as bars.
func usageChart(r usageReport, repository, column string) []byte {
	name := usageMetric(column)
	c := chart.Chart{
		Title: strings.ToLower(column) + " of " + nameOrAll(repository), From: r.From, To: r.To, Period: time.Duration(r.Period) * time.Second,
		Format: func(v float64) string {
			return amount(v, strings.HasSuffix(name, "Bytes") || strings.HasPrefix(name, "Bytes"))
		},
	}
	c.From = c.From.Truncate(c.Period)
	type counted struct {
		use    platform.Usage
		metric platform.UsageMetric
	}
	var all []counted
	for _, u := range r.Usage {
		for _, m := range u.Metrics {
			if m.Name == name {
				all = append(all, counted{u, m})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b counted) int { return cmp.Compare(total(b.metric), total(a.metric)) })
	for _, a := range all[:min(len(all), charted)] {
		s := chart.Series{Name: cmp.Or(shortName(a.use.Name), a.use.Repository)}
		for _, p := range a.metric.Points {
			v := p.Sum
			if isGauge(name) && p.Samples > 0 {
				v /= p.Samples
			}
			s.Points = append(s.Points, chart.Point{At: p.At, Value: v})
		}
		c.Series = append(c.Series, s)
	}
	if isGauge(name) {
		return c.Line()
	}
	return c.Bars()
}
