package ship

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// TestScanOf: in the words of docs/operate/ship-report.md, by which the table of a summary finds them.
func TestScanOf(t *testing.T) {
	t.Parallel()
	expired := &workspace.Exception{ID: "CVE-1", Owner: "ann", Reason: "later", Expires: "2026-01-01"}
	holds := &workspace.Exception{ID: "CVE-2", Owner: "bob", Reason: "not reachable", Expires: "2027-01-01"}
	got := scanOf(gate.Result{Verdict: gate.VerdictStopped, Images: []gate.ScannedImage{{}}, Judgment: gate.Judgment{
		Counts: map[workspace.Severity]int{workspace.Critical: 4, gate.Unrated: 1},
		Findings: []gate.Finding{
			{ID: "CVE-1", Severity: workspace.Critical, Package: "p", Version: "1", FixedIn: "2", Title: "t", URI: "u", Platforms: []string{"linux/arm64"}, Stops: true, Expired: expired},
			{Severity: workspace.Critical, Unlisted: 3, Stops: true},
			{ID: "CVE-2", Severity: gate.Unrated, Excepted: holds},
			{ID: "CVE-3", Severity: workspace.Low},
		},
	}})
	want := &report.Scan{
		Verdict: "stopped", Counts: map[string]int{"critical": 4, "unrated": 1},
		Stopping: []report.Finding{
			{
				ID: "CVE-1", Severity: "critical", Package: "p", Version: "1", FixedIn: "2", Title: "t", URI: "u", Platforms: []string{"linux/arm64"},
				Owner: "ann", Reason: "later", Expires: "2026-01-01",
			},
			{Severity: "critical", Unlisted: 3},
		},
		Excepted: []report.Finding{{ID: "CVE-2", Severity: "unrated", Owner: "bob", Reason: "not reachable", Expires: "2027-01-01"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scanOf (-want +got):\n%s", diff)
	}
	if got := scanOf(gate.Result{Verdict: gate.VerdictPassed, Passes: true}); !got.Passes {
		t.Error("what passes is not said to")
	}
}
