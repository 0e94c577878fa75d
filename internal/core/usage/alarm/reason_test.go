package alarm_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
)

// TestReasons has a sentence for each way in which an alarm comes into a state. The counts are of so many minutes ago.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		treat  string
		counts map[int]float64
		state  alarm.State
		want   string
	}{
		{alarm.Breaching, nil, alarm.Alarming, "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [Breaching]."},
		{alarm.NotBreaching, nil, alarm.OK, "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as [NonBreaching]."},
		{alarm.Missing, nil, alarm.InsufficientData, "Unchecked: Initial alarm creation"},
		{
			alarm.Breaching,
			map[int]float64{1: 20},
			alarm.Alarming,
			"Threshold Crossed: 1 out of the last 3 datapoints [20.0 (27/11/26 11:59:00)] was greater than the threshold (10.0), and 2 datapoints were missing and treated as " +
				"[Breaching] (minimum 2 datapoints for INSUFFICIENT_DATA -> ALARM transition).",
		},
		{
			alarm.NotBreaching,
			map[int]float64{1: 0.25, 2: 20},
			alarm.OK,
			"Threshold Crossed: 1 out of the last 3 datapoints [0.25 (27/11/26 11:59:00)] was not greater than the threshold (10.0), and 1 datapoint was missing and treated as " +
				"[NonBreaching] (minimum 2 datapoints for INSUFFICIENT_DATA -> OK transition).",
		},
		{
			alarm.Missing,
			map[int]float64{2: 1e15},
			alarm.Alarming,
			"Threshold Crossed: 1 out of the last 3 datapoints [1e+15 (27/11/26 11:58:00)] was greater than the threshold (10.0), and 2 datapoints were missing " +
				"(minimum 2 datapoints for INSUFFICIENT_DATA -> ALARM transition).",
		},
		{
			alarm.Missing,
			map[int]float64{1: 1, 2: -2, 3: 3},
			alarm.OK,
			"Threshold Crossed: 3 out of the last 3 datapoints [1.0 (27/11/26 11:59:00), -2.0 (27/11/26 11:58:00), 3.0 (27/11/26 11:57:00)] were not greater than the threshold (10.0) " +
				"(minimum 2 datapoints for INSUFFICIENT_DATA -> OK transition).",
		},
	} {
		each(t, func(t *testing.T, b *bench) {
			c := basic("pulls")
			c.EvaluationPeriods, c.DatapointsToAlarm, c.TreatMissing = 3, 2, tt.treat
			for ago, v := range tt.counts {
				b.count(pulls, time.Duration(ago)*time.Minute, v)
			}
			b.put(c)
			b.evaluate()
			a := b.alarm("pulls")
			if diff := cmp.Diff(tt.want, a.Reason); diff != "" || a.State != tt.state {
				t.Errorf("%s of %v: %s, want %s (-want +got):\n%s", tt.treat, tt.counts, a.State, tt.state, diff)
			}
		})
	}
}
