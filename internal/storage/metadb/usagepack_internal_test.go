package metadb

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

func TestPacksGiveBackWhatWentIn(t *testing.T) {
	t.Parallel()
	value := rapid.OneOf(
		rapid.Float64(), rapid.Map(rapid.IntRange(0, 300), func(n int) float64 { return float64(n) }),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1 << 53, 1<<53 - 1, math.MaxFloat64, math.SmallestNonzeroFloat64}))
	rapid.Check(t, func(r *rapid.T) {
		grain := rapid.SampledFrom([]time.Duration{usage.Hour, usage.Day}).Draw(r, "grain")
		begins := packStart(time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC).UnixMicro(), grain)
		var points []usage.Point
		for i := range int(packWidth(grain) / grain) {
			if rapid.IntRange(0, 5).Draw(r, "there") > 0 {
				continue
			}
			p := usage.Point{At: time.UnixMicro(begins).Add(time.Duration(i) * grain).UTC(), Count: 1}
			p.Sum = value.Draw(r, "sum")
			p.Min, p.Max = p.Sum, p.Sum
			if rapid.Bool().Draw(r, "several") {
				p.Count, p.Min, p.Max = value.Draw(r, "count"), value.Draw(r, "least"), value.Draw(r, "most")
			}
			points = append(points, p)
		}
		got, err := unpackPoints(nil, packPoints(points, grain, begins), grain, begins)
		if err != nil {
			r.Fatal(err)
		}
		same := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
		if diff := cmp.Diff(points, got, same); diff != "" {
			r.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzPack(f *testing.F) {
	f.Add([]byte{3, 1, 7, 2}, true)
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 240, 63}, false)
	f.Fuzz(func(t *testing.T, b []byte, days bool) {
		grain := usage.Hour
		if days {
			grain = usage.Day
		}
		points, err := unpackPoints(nil, b, grain, 0)
		if err == nil && len(b) > 0 && len(points) == 0 {
			t.Errorf("%x has no points, and is not damaged", b)
		}
		for _, p := range points {
			if p.At.Unix() < 0 || p.At.UnixMicro() >= packWidth(grain).Microseconds() {
				t.Errorf("%x has a point at %v", b, p.At)
			}
		}
	})
}
