package cloudwatch

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// maxStatisticPoints is how many points a GetMetricStatistics may ask for.
const maxStatisticPoints = 1440

func (f face) getMetricStatistics(ctx context.Context, c awswire.Call, in *cw.GetMetricStatisticsInput) (*cw.GetMetricStatisticsOutput, error) {
	metric, err := metricOf("", in.Namespace, in.MetricName, in.Dimensions)
	if err != nil {
		return nil, err
	}
	if metric.Unit, err = askedUnit("Unit", in.Unit); err != nil {
		return nil, err
	}
	if err := usage.CheckMetric(metric); err != nil {
		return nil, err
	}
	from, to, err := timesOf(in.StartTime, in.EndTime)
	if err != nil {
		return nil, err
	}
	period, err := periodOf("Period", in.Period)
	if err != nil {
		return nil, err
	}
	if err := checkStatistics(in); err != nil {
		return nil, err
	}
	// In milliseconds: a Duration holds 292 years, and clients write 9999.
	ms := period.Milliseconds()
	if n := (to.UnixMilli() - from.UnixMilli() + ms - 1) / ms; n > maxStatisticPoints {
		return nil, combination("You have requested up to %d datapoints, which exceeds the limit of %d. You may reduce the datapoints requested by increasing Period, or decreasing the time range.", n, maxStatisticPoints)
	}
	points, err := f.usage.Statistics(ctx, c.Caller, metric, from, to, period)
	if err != nil {
		return nil, err
	}
	out := &cw.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: make([]types.Datapoint, len(points))}
	for i, p := range points {
		d := types.Datapoint{Timestamp: aws.Time(p.At), Unit: unitOf(metric)}
		for _, s := range in.Statistics {
			value := aws.Float64(statistics()[s](p))
			switch s {
			case types.StatisticSampleCount:
				d.SampleCount = value
			case types.StatisticAverage:
				d.Average = value
			case types.StatisticSum:
				d.Sum = value
			case types.StatisticMinimum:
				d.Minimum = value
			case types.StatisticMaximum:
				d.Maximum = value
			}
		}
		out.Datapoints[i] = d
	}
	return out, nil
}

func checkStatistics(in *cw.GetMetricStatisticsInput) error {
	switch {
	case len(in.ExtendedStatistics) > 0:
		for i, name := range in.ExtendedStatistics {
			if !extended(name) {
				return invalid("The value %.40q for parameter ExtendedStatistics.member.%d is not a valid statistic.", name, i+1)
			}
		}
		return unsupported("ExtendedStatistics: points keep count, sum, minimum and maximum; a percentile such as %.40q", in.ExtendedStatistics[0])
	case len(in.Statistics) == 0:
		return missing("Statistics")
	case len(in.Statistics) > len(statistics()):
		return invalid("The collection Statistics must not have a size greater than %d.", len(statistics()))
	}
	for i, s := range in.Statistics {
		if _, err := statisticOf(fmt.Sprintf("Statistics.member.%d", i+1), string(s)); err != nil {
			return err
		}
	}
	return nil
}

// unitOf is the unit that a point is answered in: what was asked for, or what the registry's own metrics are in. Clients' own may be in
// several at once, and then in none that could be said.
func unitOf(m usage.Metric) types.StandardUnit {
	switch {
	case m.Unit != "":
		return types.StandardUnit(m.Unit)
	case m.Namespace == usage.NamespaceBilling:
		return types.StandardUnitNone
	case m.Namespace == usage.NamespaceBerth && strings.Contains(m.Name, "Bytes"):
		return types.StandardUnitBytes
	case m.Namespace == usage.NamespaceBerth, m.Namespace == usage.NamespaceECR, m.Namespace == usage.NamespaceUsage:
		return types.StandardUnitCount
	default:
		return ""
	}
}
