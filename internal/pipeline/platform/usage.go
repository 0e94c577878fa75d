package platform

import (
	"context"
	"time"
)

// UsageQuery asks what repositories were used for.
type UsageQuery struct {
	Repository string // empty: all of them
	By         string // app, image, principal or severity; empty: each repository as a whole
	From, To   time.Time
	Period     time.Duration
}

// Usage is what a repository, or one app, image or principal of it, was used for.
type Usage struct {
	Repository string        `json:"repositoryName"`
	Name       string        `json:"name,omitempty"`
	Metrics    []UsageMetric `json:"metrics"`
}

// UsageMetric is a metric with its points, in order of time.
type UsageMetric struct {
	Name   string       `json:"metricName"`
	Unit   string       `json:"unit"`
	Points []UsagePoint `json:"points"`
}

// UsagePoint is what came within a period.
type UsagePoint struct {
	At      time.Time `json:"timestamp"`
	Samples float64   `json:"sampleCount"`
	Sum     float64   `json:"sum"`
	Min     float64   `json:"minimum"`
	Max     float64   `json:"maximum"`
}

// Usage gives what there was, in order of repository and name.
func (c *Client) Usage(ctx context.Context, q UsageQuery) ([]Usage, error) {
	type input struct {
		RepositoryName string  `json:"repositoryName,omitempty"`
		GroupBy        string  `json:"groupBy,omitempty"`
		StartTime      float64 `json:"startTime"` // seconds since 1970
		EndTime        float64 `json:"endTime"`
		PeriodSeconds  int64   `json:"periodSeconds"`
		MaxResults     int     `json:"maxResults"`
		NextToken      string  `json:"nextToken,omitempty"`
	}
	const most = 1000
	in := input{
		RepositoryName: q.Repository, GroupBy: q.By, StartTime: float64(q.From.Unix()), EndTime: float64(q.To.Unix()),
		PeriodSeconds: int64(q.Period.Seconds()), MaxResults: most,
	}
	all := []Usage{}
	for {
		var out struct {
			Usage     []wireUsage `json:"usage"`
			NextToken string      `json:"nextToken"`
		}
		if err := c.call(ctx, "GetUsage", in, &out); err != nil {
			return nil, err
		}
		for _, w := range out.Usage {
			all = append(all, w.usage())
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return all, nil
		}
	}
}

type wireUsage struct {
	Repository string `json:"repositoryName"`
	Name       string `json:"name"`
	Metrics    []struct {
		Name   string `json:"metricName"`
		Unit   string `json:"unit"`
		Points []struct {
			At      float64 `json:"timestamp"` // seconds since 1970
			Samples float64 `json:"sampleCount"`
			Sum     float64 `json:"sum"`
			Min     float64 `json:"minimum"`
			Max     float64 `json:"maximum"`
		} `json:"points"`
	} `json:"metrics"`
}

func (w wireUsage) usage() Usage {
	u := Usage{Repository: w.Repository, Name: w.Name, Metrics: []UsageMetric{}}
	for _, m := range w.Metrics {
		metric := UsageMetric{Name: m.Name, Unit: m.Unit, Points: []UsagePoint{}}
		for _, p := range m.Points {
			metric.Points = append(metric.Points, UsagePoint{time.Unix(int64(p.At), 0).UTC(), p.Samples, p.Sum, p.Min, p.Max})
		}
		u.Metrics = append(u.Metrics, metric)
	}
	return u
}
