package berth

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// GetUsageInput asks what repositories were used for, and what they held.
type GetUsageInput struct {
	RepositoryName *string    // absent: all of them
	GroupBy        *string    // app, image, principal or severity; absent: each repository as a whole
	StartTime      *time.Time // required
	EndTime        *time.Time // now if absent
	PeriodSeconds  *int32     // 60 or a multiple of it; a day if absent
	MaxResults     *int32     // 1 to 1000; 100 if absent
	NextToken      *string    // of the page before
}

// GetUsageOutput is one page of uses, in order of repository and name. It has fewer than were asked for where they have many points.
type GetUsageOutput struct {
	Usage     []Usage
	NextToken *string // absent on the last page
}

// Usage is what one repository, or one app, image, principal or severity of it, was used for.
type Usage struct {
	RepositoryName *string
	Name           *string // of the app …; absent for the repository as a whole
	Metrics        []UsageMetric
}

// UsageMetric is one of the metrics of the namespace Berth, with its points.
type UsageMetric struct {
	MetricName *string
	Unit       *string
	Points     []UsagePoint // periods without values have none
}

// UsagePoint is what came within a period.
type UsagePoint struct {
	Timestamp   *time.Time // the period's begin
	SampleCount *float64
	Sum         *float64
	Minimum     *float64
	Maximum     *float64
}

// groups are the words of groupBy.
var groups = map[string]string{ //nolint:gochecknoglobals // a table
	"": "", "app": usage.DimensionApp, "image": usage.DimensionImage, "principal": usage.DimensionPrincipal, "severity": usage.DimensionSeverity,
}

func (f face) getUsage(ctx context.Context, call awswire.Call, in *GetUsageInput) (*GetUsageOutput, error) {
	q, err := in.read(f.now())
	if err != nil {
		return nil, err
	}
	page, err := f.usage.Uses(ctx, call.Caller, q)
	if err != nil {
		return nil, err
	}
	out := &GetUsageOutput{Usage: []Usage{}, NextToken: optional(page.Next)}
	for _, u := range page.Items {
		one := Usage{RepositoryName: aws.String(u.Repository), Name: optional(u.Name), Metrics: []UsageMetric{}}
		for _, m := range u.Measures {
			metric := UsageMetric{MetricName: aws.String(m.Name), Unit: aws.String(m.Unit), Points: []UsagePoint{}}
			for _, p := range m.Points {
				metric.Points = append(metric.Points, UsagePoint{aws.Time(p.At), aws.Float64(p.Count), aws.Float64(p.Sum), aws.Float64(p.Min), aws.Float64(p.Max)})
			}
			one.Metrics = append(one.Metrics, metric)
		}
		out.Usage = append(out.Usage, one)
	}
	return out, nil
}

func (in *GetUsageInput) read(now time.Time) (q usage.UseQuery, err error) {
	if in.StartTime == nil {
		return q, fault.BadParameter("startTime", "Member must not be null")
	}
	by, ok := groups[aws.ToString(in.GroupBy)]
	if !ok {
		return q, fault.BadParameter("groupBy", "Member must satisfy enum value set: [app, image, principal, severity]")
	}
	q = usage.UseQuery{By: by, From: *in.StartTime, To: now, Period: usage.Day, Token: aws.ToString(in.NextToken)}
	if in.RepositoryName != nil {
		if q.Repository, err = oci.ParseRepositoryName(*in.RepositoryName); err != nil {
			return q, err
		}
	}
	if in.EndTime != nil {
		q.To = *in.EndTime
	}
	if in.PeriodSeconds != nil {
		q.Period = time.Duration(*in.PeriodSeconds) * time.Second
	}
	q.Limit, err = pageLimit(in.MaxResults)
	return q, err
}
