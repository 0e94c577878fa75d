package cloudwatch

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

const (
	maxDatums = 1000 // in one request
	maxValues = 150  // in one datum
)

func (f face) putMetricData(ctx context.Context, c awswire.Call, in *cw.PutMetricDataInput) (*cw.PutMetricDataOutput, error) {
	switch {
	case aws.ToString(in.Namespace) == "":
		return nil, missing("Namespace")
	case len(in.EntityMetricData) > 0:
		return nil, unsupported("EntityMetricData")
	case len(in.MetricData) == 0:
		return nil, missing("MetricData")
	case len(in.MetricData) > maxDatums:
		return nil, invalid("The collection MetricData must not have a size greater than %d.", maxDatums)
	}
	datums := make([]usage.Datum, len(in.MetricData))
	for i, d := range in.MetricData {
		var err error
		if datums[i], err = f.datum(fmt.Sprintf("MetricData.member.%d.", i+1), in.Namespace, d); err != nil {
			return nil, err
		}
	}
	return nil, f.usage.Put(ctx, c.Caller, datums)
}

// datum reads one. Names, units, times and the size of values are core's to judge.
func (f face) datum(what string, namespace *string, d types.MetricDatum) (usage.Datum, error) {
	metric, err := metricOf(what, namespace, d.MetricName, d.Dimensions)
	if err != nil {
		return usage.Datum{}, err
	}
	if r := d.StorageResolution; r != nil && *r != 60 {
		if *r == 1 {
			return usage.Datum{}, unsupported("A %sStorageResolution of 1: points are kept by the minute; a finer one", what)
		}
		return usage.Datum{}, invalid("The value %d for parameter %sStorageResolution is invalid: it is 60.", *r, what)
	}
	point, err := pointOf(what, d)
	if err != nil {
		return usage.Datum{}, err
	}
	unit := string(d.Unit)
	if unit == "" {
		unit = string(types.StandardUnitNone)
	}
	if point.At = f.now().UTC().Truncate(time.Second); d.Timestamp != nil {
		point.At = *d.Timestamp
	}
	return usage.Datum{Metric: metric, Unit: unit, Point: point}, nil
}

// pointOf reads the values of a datum, which come in one of three ways.
func pointOf(what string, d types.MetricDatum) (usage.Point, error) {
	given := ""
	for _, way := range []struct {
		name string
		is   bool
	}{{"Value", d.Value != nil}, {"Values", d.Values != nil}, {"StatisticValues", d.StatisticValues != nil}} {
		switch {
		case way.is && given != "":
			return usage.Point{}, combination("The parameters %s%s and %s%s are mutually exclusive and you have specified both.", what, given, what, way.name)
		case way.is:
			given = way.name
		}
	}
	if d.Counts != nil && given != "Values" {
		return usage.Point{}, combination("The parameter %sCounts goes with %sValues alone.", what, what)
	}
	switch given {
	case "Value":
		v := *d.Value
		return usage.Point{Count: 1, Sum: v, Min: v, Max: v}, number(what+"Value", v)
	case "Values":
		return pointOfValues(what, d.Values, d.Counts)
	case "StatisticValues":
		s := d.StatisticValues
		if s.SampleCount == nil || s.Sum == nil || s.Minimum == nil || s.Maximum == nil {
			return usage.Point{}, missing(what + "StatisticValues with all of SampleCount, Sum, Minimum and Maximum")
		}
		for name, v := range map[string]float64{"SampleCount": *s.SampleCount, "Sum": *s.Sum, "Minimum": *s.Minimum, "Maximum": *s.Maximum} {
			if err := number(what+"StatisticValues."+name, v); err != nil {
				return usage.Point{}, err
			}
		}
		return usage.Point{Count: *s.SampleCount, Sum: *s.Sum, Min: *s.Minimum, Max: *s.Maximum}, nil
	default:
		return usage.Point{}, missing(what + "Value, Values or StatisticValues")
	}
}

// pointOfValues adds up values, each as often as its count says, or once.
func pointOfValues(what string, values, counts []float64) (usage.Point, error) {
	switch {
	case len(values) == 0:
		return usage.Point{}, missing(what + "Values")
	case len(values) > maxValues:
		return usage.Point{}, invalid("The collection %sValues must not have a size greater than %d.", what, maxValues)
	case counts != nil && len(counts) != len(values):
		return usage.Point{}, invalid("The collections %sValues and %sCounts must have the same size: %d and %d.", what, what, len(values), len(counts))
	}
	var p usage.Point
	for i, v := range values {
		count := 1.0
		if counts != nil {
			count = counts[i]
		}
		if err := number(fmt.Sprintf("%sValues.member.%d", what, i+1), v); err != nil {
			return p, err
		}
		if err := number(fmt.Sprintf("%sCounts.member.%d", what, i+1), count); err != nil {
			return p, err
		}
		if count < 0 {
			return p, invalid("The value %v for parameter %sCounts.member.%d is invalid: it must not be less than 0.", count, what, i+1)
		}
		p.Add(usage.Point{Count: count, Sum: v * count, Min: v, Max: v})
	}
	return p, nil
}

// number refuses what is none.
func number(what string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return invalid("The value %v for parameter %s is invalid: it must be a finite number.", v, what)
	}
	return nil
}
