package app

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/extract"
)

// TestEveryPieceOfWorkIsSomebodysJob: what is to be called again and again is, or tables only grow, and what waits waits for ever.
func TestEveryPieceOfWorkIsSomebodysJob(t *testing.T) {
	t.Parallel()
	a := &App{judge: &scan.Judge{}, scans: &scan.Service{}, advisories: &scan.Advisories{}, extractor: &extract.Extractor{}}
	a.cfg.ScanWorkers = 1
	done := map[string]bool{}
	for _, j := range append(a.scanJobs(), a.advisoryJobs()...) {
		name := runtime.FuncForPC(reflect.ValueOf(j.Do).Pointer()).Name()
		done[strings.TrimSuffix(name[strings.LastIndexByte(name, '.')+1:], "-fm")] = true
	}
	for _, part := range []any{a.judge, a.scans, a.advisories} {
		of := reflect.TypeOf(part)
		for method := range of.Methods() {
			if m := method.Name; strings.HasSuffix(m, "Once") && !done[m] {
				t.Errorf("%s.%s is nobody's job", of, m)
			}
		}
	}
}
