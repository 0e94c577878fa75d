package cloudwatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Usage keeps points: usage.Service. Each method asks the caller's permission.
type Usage interface {
	// Put adds values to metrics.
	Put(ctx context.Context, caller identity.Caller, datums []usage.Datum) error
	// Points gives the points of each metric whose periods begin in [from, to), in order of time.
	Points(ctx context.Context, caller identity.Caller, metrics []usage.Metric, from, to time.Time, period time.Duration) ([][]usage.Point, error)
	// Statistics is Points for one metric.
	Statistics(ctx context.Context, caller identity.Caller, metric usage.Metric, from, to time.Time, period time.Duration) ([]usage.Point, error)
	// Metrics lists metrics that have points, limit of them, after where a token says.
	Metrics(ctx context.Context, caller identity.Caller, f usage.Filter, limit int, token string) (registry.Page[usage.Listed], error)
}

func (f face) metricOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"GetMetricData":       awswire.Op(f.getMetricData),
		"GetMetricStatistics": awswire.Op(f.getMetricStatistics),
		"ListMetrics":         awswire.Op(f.listMetrics),
		"PutMetricData":       awswire.Op(f.putMetricData),
	}
}

// metricPage is how many metrics a page of ListMetrics has, as at Amazon.
const metricPage = 500

// recently is what RecentlyActive's one value means.
const recently = 3 * time.Hour

func (f face) listMetrics(ctx context.Context, c awswire.Call, in *cw.ListMetricsInput) (*cw.ListMetricsOutput, error) {
	const maxFilters = 30
	filter := usage.Filter{Namespace: aws.ToString(in.Namespace), Name: aws.ToString(in.MetricName)}
	switch {
	case aws.ToBool(in.IncludeLinkedAccounts), in.OwningAccount != nil:
		return nil, unsupported("Looking into other accounts (IncludeLinkedAccounts, OwningAccount)")
	case in.Namespace != nil && *in.Namespace == "", in.MetricName != nil && *in.MetricName == "":
		return nil, invalid("The parameters Namespace and MetricName must not be empty where they are given.")
	case in.RecentlyActive == types.RecentlyActivePt3h:
		filter.ActiveSince = f.now().Add(-recently)
	case in.RecentlyActive != "":
		return nil, invalid("The value %.40q for parameter RecentlyActive is invalid: the only one is PT3H.", in.RecentlyActive)
	case len(in.Dimensions) > maxFilters:
		return nil, invalid("The collection Dimensions must not have a size greater than %d.", maxFilters)
	}
	for i, d := range in.Dimensions {
		if aws.ToString(d.Name) == "" {
			return nil, missing(fmt.Sprintf("Dimensions.member.%d.Name", i+1))
		}
		if d.Value != nil && *d.Value == "" {
			return nil, invalid("The parameter Dimensions.member.%d.Value must not be empty where it is given.", i+1)
		}
		filter.Dimensions = append(filter.Dimensions, usage.Dimension{Name: *d.Name, Value: aws.ToString(d.Value)})
	}
	page, err := f.usage.Metrics(ctx, c.Caller, filter, metricPage, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &cw.ListMetricsOutput{Metrics: make([]types.Metric, len(page.Items))}
	for i, l := range page.Items {
		out.Metrics[i] = wireMetric(l.Metric)
	}
	if page.Next != "" {
		out.NextToken = &page.Next
	}
	return out, nil
}

func wireMetric(m usage.Metric) types.Metric {
	w := types.Metric{Namespace: &m.Namespace, MetricName: &m.Name, Dimensions: make([]types.Dimension, len(m.Dimensions))}
	for i := range m.Dimensions {
		w.Dimensions[i] = types.Dimension{Name: &m.Dimensions[i].Name, Value: &m.Dimensions[i].Value}
	}
	return w
}

// metricOf reads a metric. What says where it stands in the request, with a dot at its end.
func metricOf(what string, namespace, name *string, dimensions []types.Dimension) (usage.Metric, error) {
	switch {
	case aws.ToString(namespace) == "":
		return usage.Metric{}, missing(what + "Namespace")
	case aws.ToString(name) == "":
		return usage.Metric{}, missing(what + "MetricName")
	}
	all := make([]usage.Dimension, len(dimensions))
	for i, d := range dimensions {
		if d.Name == nil || d.Value == nil {
			return usage.Metric{}, missing(fmt.Sprintf("%sDimensions.member.%d.Name and Value", what, i+1))
		}
		all[i] = usage.Dimension{Name: *d.Name, Value: *d.Value}
	}
	return usage.NewMetric(*namespace, *name, all...), nil
}

// askedUnit reads the unit that points are to be in; empty is any.
func askedUnit(what string, unit types.StandardUnit) (string, error) {
	if unit != "" && !slices.Contains(unit.Values(), unit) {
		return "", invalid("The value %.40q for parameter %s is not a unit.", unit, what)
	}
	return string(unit), nil
}

// statistic makes a value of a point.
type statistic func(usage.Point) float64

// statistics are those that a point of count, sum, least and most can answer.
func statistics() map[types.Statistic]statistic {
	return map[types.Statistic]statistic{
		types.StatisticSampleCount: func(p usage.Point) float64 { return p.Count },
		types.StatisticAverage:     usage.Point.Average,
		types.StatisticSum:         func(p usage.Point) float64 { return p.Sum },
		types.StatisticMinimum:     func(p usage.Point) float64 { return p.Min },
		types.StatisticMaximum:     func(p usage.Point) float64 { return p.Max },
	}
}

// statisticOf finds a statistic, tells those that Amazon has from those that nobody has.
func statisticOf(what, name string) (statistic, error) {
	if s, ok := statistics()[types.Statistic(name)]; ok {
		return s, nil
	}
	if extended(name) {
		return nil, unsupported("The statistic %.40q for parameter %s: points keep count, sum, minimum and maximum; a percentile", name, what)
	}
	return nil, invalid("The value %.40q for parameter %s is not a valid statistic.", name, what)
}

// extended tells whether a name is one of CloudWatch's other statistics: p99.9, tm(10%:90%), IQM and so on.
func extended(name string) bool {
	if name == "IQM" {
		return true
	}
	prefixes := []string{"p", "tm", "wm", "tc", "ts", "PR", "TM", "WM", "TC", "TS"}
	return slices.ContainsFunc(prefixes, func(prefix string) bool {
		rest, ok := strings.CutPrefix(name, prefix)
		return ok && rest != "" && strings.Trim(rest, "0123456789.%:()") == ""
	})
}

// periodOf reads a period in seconds. What names the parameter.
func periodOf(what string, seconds *int32) (time.Duration, error) {
	const minute = 60
	switch {
	case seconds == nil:
		return 0, missing(what)
	case *seconds < minute || *seconds%minute != 0:
		return 0, invalid("The value %d for parameter %s is invalid: a period is a multiple of 60 seconds.", *seconds, what)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// timesOf reads the time that is asked for.
func timesOf(start, end *time.Time) (from, to time.Time, err error) {
	switch {
	case start == nil:
		return from, to, missing("StartTime")
	case end == nil:
		return from, to, missing("EndTime")
	case !start.Before(*end):
		return from, to, invalid("The parameter StartTime must be less than the parameter EndTime.")
	case start.Unix() < 0:
		return from, to, invalid("The parameter StartTime must not be before 1970.")
	}
	return *start, *end, nil
}
