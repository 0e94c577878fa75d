package ship

import (
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// scanOf is what a gate found, for programs.
func scanOf(r gate.Result) *report.Scan {
	s := &report.Scan{Verdict: string(r.Verdict), Passes: r.Passes, Reason: r.Unscanned(), Counts: map[string]int{}}
	for severity, n := range r.Counts {
		s.Counts[string(severity)] = n
	}
	for _, f := range r.Findings {
		one := report.Finding{
			ID: f.ID, Severity: string(f.Severity), Unlisted: f.Unlisted, Package: f.Package, Version: f.Version, FixedIn: f.FixedIn,
			Title: f.Title, URI: f.URI, Platforms: f.Platforms,
		}
		except := func(e *workspace.Exception) {
			if e != nil {
				one.Owner, one.Reason, one.Expires = e.Owner, e.Reason, string(e.Expires)
			}
		}
		switch {
		case f.Stops:
			except(f.Expired)
			s.Stopping = append(s.Stopping, one)
		case f.Excepted != nil:
			except(f.Excepted)
			s.Excepted = append(s.Excepted, one)
		}
	}
	return s
}
