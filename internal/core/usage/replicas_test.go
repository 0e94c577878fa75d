package usage_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// TestReplicasLoseNothing has replicas count into the same metrics, new and old hours, while others pack and forget.
func TestReplicasLoseNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const writers, batches = 4, 15
		metrics := make([]usage.Metric, 6)
		for i := range metrics {
			metrics[i] = usage.NewMetric("Mine", "n", usage.Dimension{Name: "of", Value: fmt.Sprint(i)})
		}
		b.now = noon.Add(time.Hour)
		var writing, packing sync.WaitGroup
		stop := make(chan struct{})
		for w := range writers {
			service := usage.New(b.config())
			writing.Go(func() {
				for n := range batches {
					var datums []usage.Datum
					for i := range metrics {
						// Each has its own order, and late hours of one week.
						m := metrics[(i*(w+1)+n)%len(metrics)]
						datums = append(datums, value(m, noon.Add(-time.Duration((n+i)%5)*time.Hour), 1), value(m, noon, 1))
					}
					if err := service.Put(t.Context(), self, datums); err != nil {
						t.Errorf("Put: %v", err)
					}
				}
			})
		}
		for range 2 {
			service := usage.New(b.config())
			packing.Go(func() {
				for {
					if _, err := service.RollUpOnce(t.Context()); err != nil {
						t.Errorf("RollUpOnce: %v", err)
					}
					if _, err := service.ForgetOnce(t.Context()); err != nil {
						t.Errorf("ForgetOnce: %v", err)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		writing.Wait()
		close(stop)
		packing.Wait()
		for _, period := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
			sum := 0.0
			for _, m := range metrics {
				for _, p := range b.points(m, noon.Add(-24*time.Hour), noon.Add(time.Hour), period) {
					sum += p.Sum
				}
			}
			if want := float64(writers * batches * len(metrics) * 2); sum != want {
				t.Errorf("by %v there are %v, want %v", period, sum, want)
			}
		}
	})
}
