package cloudwatch

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// Usage keeps points: usage.Service. Each operation asks the caller's permission.
type Usage interface {
	// Put adds values to metrics.
	Put(ctx context.Context, caller identity.Caller, datums []usage.Datum) error
	// Points gives the points of each metric whose periods begin in [from, to), in order of time.
	Points(ctx context.Context, caller identity.Caller, metrics []usage.Metric, from, to time.Time, period time.Duration) ([][]usage.Point, error)
	// Statistics is Points for one metric.
	Statistics(ctx context.Context, caller identity.Caller, metric usage.Metric, from, to time.Time, period time.Duration) ([]usage.Point, error)
}

func (f face) metricOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{}
}
