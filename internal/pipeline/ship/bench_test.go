package ship_test

import (
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

// newFleet makes a monorepo of many apps that are shipped.
func newFleet(b *testing.B, apps int) *yard {
	b.Helper()
	y := newYard(b)
	files := []string{"berth.yaml", "repository: " + repository + "\napps: [apps/*]\n"}
	for i := range apps {
		dir := fmt.Sprintf("apps/app-%03d/", i)
		files = append(files, dir+"Dockerfile", dockerfile, dir+"code", fmt.Sprintf("of app %d", i))
	}
	y.commit(files...)
	y.mustHave(report.Done)
	return y
}

func (y *yard) mustHave(want report.Outcome) {
	y.tb.Helper()
	s, err := y.ship(nil)
	if err != nil || s.Outcome != want {
		y.tb.Fatalf("shipping: %v, %+v, want %s", err, s, want)
	}
}

// BenchmarkNothing is a ship of 200 apps of which none changed since they were shipped: at most 500 ms.
func BenchmarkNothing(b *testing.B) {
	y := newFleet(b, 200)
	y.commit("README", "nothing that an image has")
	for b.Loop() {
		y.mustHave(report.Nothing)
	}
}

// BenchmarkRetag is a ship of 20 apps whose files are again those of images that are there, per app: at most 200 ms.
func BenchmarkRetag(b *testing.B) {
	const apps = 20
	y := newFleet(b, apps)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		var files []string
		for app := range apps {
			files = append(files, fmt.Sprintf("apps/app-%03d/code", app), fmt.Sprintf("of app %d, for the while", app))
		}
		if i == 0 {
			y.commit(files...)
			y.mustHave(report.Done)
		}
		y.git("revert", "--no-edit", "HEAD")
		y.built = nil
		b.StartTimer()
		y.mustHave(report.Done)
		if len(y.built) > 0 {
			b.Fatalf("built %v", y.built)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*apps), "ms/app")
}
