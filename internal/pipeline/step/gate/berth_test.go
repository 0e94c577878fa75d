package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// tells plays what only a Berth answers.
type tells struct {
	text  string
	err   error
	asked int
}

// Findings gives what the text says.
func (b *tells) Findings(context.Context, string, platform.ImageID) (f platform.Findings, err error) {
	b.asked++
	if b.err == nil {
		err = json.Unmarshal([]byte(b.text), &f)
	}
	return f, errors.Join(err, b.err)
}

const (
	openssl = `{"vulnerability":"CVE-1","severity":"CRITICAL","sourcePackage":"openssl","packages":[{"name":"libssl3","version":"3.0.1","fixedIn":"3.0.2","fromBase":true},{"name":"openssl","version":"3.0.1","fixedIn":"3.0.2","fromBase":true}]}`
	held    = `{"vulnerability":"CVE-1","severity":"CRITICAL","sourcePackage":"openssl","packages":[{"name":"libssl3","version":"3.0.1"}],"exception":{"status":"not_affected","owner":"alice","reason":"not reachable","expiresAt":32487696000}}`
)

func judged(t *testing.T, s *server, b gate.Berth, in gate.Input) (gate.Result, *notebook, error) {
	t.Helper()
	var n notebook
	in.Repository, in.Today = "hoopstat-haus/prod", today
	r, err := gate.New(gate.Config{API: s.client(), Berth: b}).Run(t.Context(), in, &progress.Task{Project: "web", Step: progress.Scan, Sink: &n, Now: time.Now})
	return r, &n, err
}

// TestABerthTells: what a Berth tells is what is judged, by the source package, and by whichever of its names an exception has.
func TestABerthTells(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		findings string
		gate     workspace.Gate
		filter   scan.Filter
		want     gate.Verdict
		counts   string
		said     string
	}{
		"stopped":        {openssl, workspace.Gate{}, scan.Filter{}, gate.VerdictStopped, "1 critical", "1 finding stops it: CVE-1 (critical in openssl, fixed in 3.0.2)"},
		"held":           {held, workspace.Gate{}, scan.Filter{}, gate.VerdictPassed, "1 critical", "critical  CVE-1    openssl  alice  2999-06-30  registry  not_affected: not reachable"},
		"ignoring base":  {openssl, workspace.Gate{}, scan.Filter{IgnoreBase: true}, gate.VerdictPassed, "nothing", "passed over: 1"},
		"fixable":        {openssl, workspace.Gate{}, scan.Filter{OnlyFixable: true}, gate.VerdictStopped, "1 critical", "1 finding stops it"},
		"old advisories": {`{"vulnerability":"CVE-2","severity":"LOW"}`, workspace.Gate{}, scan.Filter{}, gate.VerdictPassed, "1 low", "the advisories of Debian are"},
		"by a binary's name": {
			openssl,
			workspace.Gate{Exceptions: []workspace.Exception{{ID: "cve-1", Package: "libssl3", Owner: "bob", Reason: "so", Expires: "2999-01-01"}}},
			scan.Filter{},
			gate.VerdictPassed, "1 critical", "bob",
		},
		"by another's": {
			openssl,
			workspace.Gate{Exceptions: []workspace.Exception{{ID: "CVE-1", Package: "zlib", Owner: "bob", Reason: "so", Expires: "2999-01-01"}}},
			scan.Filter{},
			gate.VerdictStopped, "1 critical", "1 finding stops it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, d := newServer(found("COMPLETE", `"findings":[]`)) // basic scanning tells less
			b := &tells{text: `{"findings":[` + tt.findings + `],"advisorySources":[{"name":"Debian","importedAt":1700000000}]}`}
			r, said, err := judged(t, s, b, gate.Input{Digest: d, Gate: tt.gate, Filter: tt.filter})
			if _, stopped := errors.AsType[*gate.Stopped](err); stopped != (tt.want == gate.VerdictStopped) {
				t.Errorf("%v", err)
			}
			if r.Verdict != tt.want || gate.Count(r.Counts) != tt.counts || !strings.Contains(said.text(), tt.said) || b.asked != 1 {
				t.Errorf("%s, found %s, asked %d times, said:\n%s\nwant %s, %s, and %q", r.Verdict, gate.Count(r.Counts), b.asked, said.text(), tt.want, tt.counts, tt.said)
			}
		})
	}
}

// TestAFailedScanTellsAllTheSame: what was found before a limit stops an image as everything else.
func TestAFailedScanTellsAllTheSame(t *testing.T) {
	t.Parallel()
	s, d := newServer(status("FAILED", "a layer unpacks to more than 20 GiB"))
	s.start = []string{status("FAILED", "a layer unpacks to more than 20 GiB")}
	r, said, err := judged(t, s, &tells{text: `{"findings":[` + openssl + `]}`}, gate.Input{Digest: d, Now: true})
	if r.Verdict != gate.VerdictStopped || r.Unscanned() == "" || err == nil || !strings.Contains(said.text(), "more than 20 GiB") {
		t.Errorf("%s, unscanned: %q, %v; said:\n%s", r.Verdict, r.Unscanned(), err, said.text())
	}
}

// TestNoBerthTells: a server that is no Berth, or an older one, is gone by ECR's words; one that refuses is not.
func TestNoBerthTells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  *platform.Error
		want gate.Verdict
	}{
		{&platform.Error{Code: "UnknownOperationException", Status: http.StatusBadRequest}, gate.VerdictStopped},
		{&platform.Error{Code: "Not Found", Status: http.StatusNotFound}, gate.VerdictStopped},
		{&platform.Error{Code: "AccessDeniedException", Status: http.StatusBadRequest}, ""},
	} {
		s, d := newServer(found("COMPLETE", `"findings":[`+cve("CVE-9", "CRITICAL", "a")+`]`))
		r, _, err := judged(t, s, &tells{err: c.err}, gate.Input{Digest: d})
		if r.Verdict != c.want || err == nil {
			t.Errorf("%v: %q, %v; want %q", c.err, r.Verdict, err, c.want)
		}
	}
}
