package gate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// today is late in the day in UTC, and the day after in Berlin.
var today = time.Date(2026, 11, 26, 23, 30, 0, 0, time.UTC)

func finding(id, pkg string, s workspace.Severity) gate.Finding {
	return gate.Finding{ID: id, Package: pkg, Version: "1.0", Severity: s}
}

func exception(id, expires string) workspace.Exception {
	return workspace.Exception{ID: id, Owner: "alice", Reason: "not reachable", Expires: workspace.Date(expires)}
}

func TestJudgeThreshold(t *testing.T) {
	t.Parallel()
	var all []gate.Finding
	for _, s := range gate.Severities() {
		all = append(all, finding("CVE-"+string(s), "p", s))
	}
	for _, tt := range []struct {
		severity, unrated workspace.Severity
		stops             []string
	}{
		{"", "", []string{"CVE-critical", "CVE-unrated"}},
		{workspace.Critical, workspace.Critical, []string{"CVE-critical", "CVE-unrated"}},
		{workspace.Critical, workspace.High, []string{"CVE-critical"}},
		{workspace.High, workspace.High, []string{"CVE-critical", "CVE-high", "CVE-unrated"}},
		{workspace.Medium, workspace.Low, []string{"CVE-critical", "CVE-high", "CVE-medium"}},
		{workspace.Low, workspace.Low, []string{"CVE-critical", "CVE-high", "CVE-medium", "CVE-low", "CVE-unrated"}},
		{workspace.Informational, workspace.None, []string{"CVE-critical", "CVE-high", "CVE-medium", "CVE-low", "CVE-informational"}},
		{workspace.None, workspace.Critical, nil},
	} {
		j := gate.Judge(workspace.Gate{Severity: tt.severity, Unrated: tt.unrated}, "web", today, all)
		if diff := cmp.Diff(tt.stops, stops(j), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
			t.Errorf("a gate at %q, unrated as %q, stops (-want +got):\n%s", tt.severity, tt.unrated, diff)
		}
		if j.Stopping != len(tt.stops) || len(j.Findings) != len(all) {
			t.Errorf("a gate at %q, unrated as %q: %d stop of %d, want %d of %d", tt.severity, tt.unrated, j.Stopping, len(j.Findings), len(tt.stops), len(all))
		}
	}
}

func stops(j gate.Judgment) []string {
	var ids []string
	for _, f := range j.Findings {
		if f.Stops {
			ids = append(ids, f.ID)
		}
	}
	return ids
}

func TestJudgeExceptions(t *testing.T) {
	t.Parallel()
	found := finding("CVE-2026-1", "openssl", workspace.Critical)
	for name, tt := range map[string]struct {
		exceptions                 []workspace.Exception
		finding                    gate.Finding
		stops                      bool
		excepted, expired, matched int // 1 + which exception; 0: none
		expiring                   bool
	}{
		"none":              {nil, found, true, 0, 0, 0, false},
		"for long":          {[]workspace.Exception{exception("CVE-2026-1", "2026-12-31")}, found, false, 1, 0, 1, false},
		"in other letters":  {[]workspace.Exception{exception("cve-2026-1", "2026-12-31")}, found, false, 1, 0, 1, false},
		"of another":        {[]workspace.Exception{exception("CVE-2026-11", "2026-12-31")}, found, true, 0, 0, 0, false},
		"on its last day":   {[]workspace.Exception{exception("CVE-2026-1", "2026-11-26")}, found, false, 1, 0, 1, true},
		"on the day after":  {[]workspace.Exception{exception("CVE-2026-1", "2026-11-25")}, found, true, 0, 1, 1, false},
		"in a week":         {[]workspace.Exception{exception("CVE-2026-1", "2026-12-03")}, found, false, 1, 0, 1, true},
		"in a week and one": {[]workspace.Exception{exception("CVE-2026-1", "2026-12-04")}, found, false, 1, 0, 1, false},
		"for this app":      {[]workspace.Exception{{ID: "CVE-2026-1", Apps: []string{"api", "web"}, Expires: "2026-12-31"}}, found, false, 1, 0, 1, false},
		"for another app":   {[]workspace.Exception{{ID: "CVE-2026-1", Apps: []string{"api"}, Expires: "2026-12-31"}}, found, true, 0, 0, 0, false},
		"for the package":   {[]workspace.Exception{{ID: "CVE-2026-1", Package: "openssl", Expires: "2026-12-31"}}, found, false, 1, 0, 1, false},
		"for another one":   {[]workspace.Exception{{ID: "CVE-2026-1", Package: "libssl3", Expires: "2026-12-31"}}, found, true, 0, 0, 0, false},
		"the longer one":    {[]workspace.Exception{exception("CVE-2026-1", "2026-11-25"), exception("CVE-2026-1", "2026-12-31")}, found, false, 2, 0, 1, false},
		"not listed": {
			[]workspace.Exception{{ID: "", Expires: "2026-12-31"}}, gate.Finding{Severity: workspace.Critical, Unlisted: 3}, true, 0, 0, 0, false,
		},
		"of what would not stop it": {
			[]workspace.Exception{exception("CVE-2026-1", "2026-11-25")}, finding("CVE-2026-1", "openssl", workspace.Low), false, 0, 0, 1, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := gate.Judge(workspace.Gate{Severity: workspace.High, Exceptions: tt.exceptions}, "web", today, []gate.Finding{tt.finding})
			f := j.Findings[0]
			at := func(i int) *workspace.Exception {
				if i == 0 {
					return nil
				}
				return &tt.exceptions[i-1]
			}
			if f.Stops != tt.stops || j.Stopping > 0 != tt.stops {
				t.Errorf("stops: %v (%d), want %v", f.Stops, j.Stopping, tt.stops)
			}
			if diff := cmp.Diff(at(tt.excepted), f.Excepted); diff != "" {
				t.Errorf("excepted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(at(tt.expired), f.Expired); diff != "" || len(j.Expired) != tt.expired {
				t.Errorf("expired (-want +got):\n%s\n%+v", diff, j.Expired)
			}
			if len(j.Matched) > 0 != (tt.matched > 0) || len(j.Expiring) > 0 != tt.expiring {
				t.Errorf("matched %v, expiring %v; want %v, %v", j.Matched, j.Expiring, tt.matched > 0, tt.expiring)
			}
		})
	}
}

// TestJudgeProperties: an exception more never stops anything, nor does a gate that is further up, and no order matters.
func TestJudgeProperties(t *testing.T) {
	t.Parallel()
	ids, packages, apps := []string{"CVE-1", "CVE-2", "CVE-3"}, []string{"", "a", "b"}, []string{"web", "api", "job"}
	severities := append(gate.Severities(), workspace.None)
	findings := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gate.Finding {
		f := finding(rapid.SampledFrom(ids).Draw(t, "id"), rapid.SampledFrom(packages).Draw(t, "package"), rapid.SampledFrom(gate.Severities()).Draw(t, "severity"))
		if rapid.IntRange(0, 5).Draw(t, "unlisted") == 0 {
			f = gate.Finding{Severity: f.Severity, Unlisted: 2}
		}
		return f
	}), 0, 8)
	exceptions := rapid.Custom(func(t *rapid.T) workspace.Exception {
		return workspace.Exception{
			ID: rapid.SampledFrom(ids).Draw(t, "id"), Package: rapid.SampledFrom(packages).Draw(t, "package"), Owner: rapid.SampledFrom(apps).Draw(t, "owner"),
			Apps:    rapid.SliceOfNDistinct(rapid.SampledFrom(apps), 0, 2, rapid.ID).Draw(t, "apps"),
			Expires: rapid.SampledFrom([]workspace.Date{"2026-11-25", "2026-11-26", "2026-11-30", "2027-01-01"}).Draw(t, "expires"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		g := workspace.Gate{
			Severity: rapid.SampledFrom(severities[:5]).Draw(t, "threshold"), Unrated: rapid.SampledFrom(append(severities[:5:5], workspace.None)).Draw(t, "unrated"),
			Exceptions: rapid.SliceOfN(exceptions, 0, 5).Draw(t, "exceptions"),
		}
		all := findings.Draw(t, "findings")
		before := gate.Judge(g, "web", today, all)

		more := g
		more.Exceptions = slices.Insert(slices.Clone(g.Exceptions), rapid.IntRange(0, len(g.Exceptions)).Draw(t, "where"), exceptions.Draw(t, "exception"))
		if after := gate.Judge(more, "web", today, all); after.Stopping > before.Stopping {
			t.Errorf("with %+v, %v stop, which did not: %v", more.Exceptions, stops(after), stops(before))
		}

		up := g
		levels := append(severities[:5:5], workspace.None) // worst first
		at := slices.Index(levels, g.Severity)
		up.Severity = rapid.SampledFrom(append(levels[:at:at], workspace.None)).Draw(t, "higher")
		if after := gate.Judge(up, "web", today, all); after.Stopping > before.Stopping {
			t.Errorf("at %s, %v stop, which did not at %s: %v", up.Severity, stops(after), g.Severity, stops(before))
		}

		mixed := g
		mixed.Exceptions = rapid.Permutation(g.Exceptions).Draw(t, "other order")
		after := gate.Judge(mixed, "web", today, rapid.Permutation(all).Draw(t, "order of findings"))
		if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(gate.Judgment{}, "Matched"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("in another order (-want +got):\n%s", diff)
		}
	})
}

func TestUnmatched(t *testing.T) {
	t.Parallel()
	g := workspace.Gate{Exceptions: []workspace.Exception{
		exception("CVE-all", "2026-12-31"), exception("CVE-found", "2026-12-31"),
		{ID: "CVE-web", Apps: []string{"web"}},
		{ID: "CVE-both", Apps: []string{"web", "api"}},
		{ID: "CVE-job", Apps: []string{"job"}},
	}}
	scanned := func(app string, matched ...int) gate.Result {
		return gate.Result{App: app, Images: []gate.ScannedImage{{}}, Judgment: gate.Judgment{Matched: matched}}
	}
	unscanned := gate.Result{App: "api", Images: []gate.ScannedImage{{Unscanned: "no scanner"}}}
	for name, tt := range map[string]struct {
		results []gate.Result
		want    []string
	}{
		"nothing":   {nil, nil},
		"one":       {[]gate.Result{scanned("web", 1)}, []string{"CVE-all", "CVE-web"}},
		"two":       {[]gate.Result{scanned("web", 1), scanned("api")}, []string{"CVE-all", "CVE-web", "CVE-both"}},
		"elsewhere": {[]gate.Result{scanned("web"), scanned("api", 1, 3)}, []string{"CVE-all", "CVE-web"}},
		"unscanned": {[]gate.Result{scanned("web"), unscanned}, []string{"CVE-web"}},
	} {
		var got []string
		for _, e := range gate.Unmatched(g, tt.results) {
			got = append(got, e.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
