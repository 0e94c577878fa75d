package gate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

var (
	busy     = refused("ThrottlingException")
	none     = refused("ScanNotFoundException")
	limit    = refused("LimitExceededException")
	started  = status("IN_PROGRESS", "")
	clean    = found("COMPLETE", `"findings":[]`)
	berthHas = status("FAILED", "This registry has no scanner: the image was not scanned, and nothing is known about its vulnerabilities.")
)

// TestScanWaits: what comes of a scan, for all that an ECR may answer.
func TestScanWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		describe, start []string
		verdict         gate.Verdict
		why             string        // it is not scanned
		took            time.Duration // at most
		starts          int
	}{
		"there already":            {[]string{clean}, nil, gate.VerdictPassed, "", 0, 0},
		"enhanced":                 {[]string{none, found("ACTIVE", `"enhancedFindings":[]`)}, []string{refused("ValidationException")}, gate.VerdictPassed, "", 2 * time.Second, 1},
		"under way":                {[]string{status("PENDING", ""), started, started, clean}, nil, gate.VerdictPassed, "", 5 * time.Second, 0},
		"nobody asked":             {[]string{none, none, started, clean}, []string{started}, gate.VerdictPassed, "", 5 * time.Second, 1},
		"asked a moment ago":       {[]string{none, clean}, []string{limit}, gate.VerdictPassed, "", 2 * time.Second, 1},
		"a word of tomorrow":       {[]string{status("WARMING_UP", ""), clean}, nil, gate.VerdictPassed, "", 2 * time.Second, 0},
		"too often":                {[]string{busy, busy, busy, busy, busy, busy, busy, clean}, nil, gate.VerdictPassed, "", 20 * time.Second, 0},
		"too often, the start":     {[]string{none, none, started, clean}, []string{busy, busy, busy, started}, gate.VerdictPassed, "", 20 * time.Second, 4},
		"no status":                {[]string{`{}`, clean}, nil, gate.VerdictPassed, "", 2 * time.Second, 0},
		"failed, and again":        {[]string{status("FAILED", "a hiccup"), started, clean}, []string{started}, gate.VerdictPassed, "", 3 * time.Second, 1},
		"failed twice":             {[]string{status("FAILED", "a hiccup"), started, status("FAILED", "again")}, []string{started}, gate.VerdictUnscanned, "its scan failed: again", 3 * time.Second, 1},
		"failed, once a day":       {[]string{status("FAILED", "a hiccup")}, []string{limit}, gate.VerdictUnscanned, "its scan failed: a hiccup", 0, 1},
		"failed, not mine":         {[]string{status("FAILED", "")}, []string{refused("AccessDeniedException")}, gate.VerdictUnscanned, "its scan failed", 0, 1},
		"no scanner":               {[]string{none}, []string{berthHas}, gate.VerdictUnscanned, "the registry has no scanner", 0, 1},
		"no scanner, scan on push": {[]string{berthHas}, []string{berthHas}, gate.VerdictUnscanned, "the registry has no scanner", 0, 1},
		"unsupported": {
			[]string{status("UNSUPPORTED_IMAGE", "UnsupportedImageError: The operating system and/or package manager are not supported.")},
			nil, gate.VerdictUnscanned,
			"the scanner does not know such images: UnsupportedImageError: The operating system and/or package manager are not supported.", 0, 0,
		},
		"unsupported at the start": {[]string{none}, []string{status("UNSUPPORTED_IMAGE", "")}, gate.VerdictUnscanned, "the scanner does not know such images", 0, 1},
		"no image":                 {[]string{none}, []string{refused("UnsupportedImageTypeException")}, gate.VerdictUnscanned, "the registry does not scan what is no container image", 0, 1},
		"no image, said at once":   {[]string{refused("UnsupportedImageTypeException")}, nil, gate.VerdictUnscanned, "the registry does not scan what is no container image", 0, 0},
		"archived":                 {[]string{none}, []string{refused("ImageArchivedException")}, gate.VerdictUnscanned, "the image is archived, and archived images are not scanned", 0, 1},
		"archived since":           {[]string{status("IMAGE_ARCHIVED", "")}, nil, gate.VerdictUnscanned, "the image is archived, and archived images are not scanned", 0, 0},
		"expired": {
			[]string{status("SCAN_ELIGIBILITY_EXPIRED", "")},
			nil, gate.VerdictUnscanned,
			"it is too old for the registry to scan it on, so what was found is out of date", 0, 0,
		},
		"unavailable":       {[]string{status("FINDINGS_UNAVAILABLE", "")}, nil, gate.VerdictUnscanned, "what its scan found is not available", 0, 0},
		"too many":          {[]string{status("LIMIT_EXCEEDED", "")}, nil, gate.VerdictUnscanned, "the registry scans no more for now, since a limit of scans is reached", 0, 0},
		"complete, but":     {[]string{status("COMPLETE", "")}, nil, gate.VerdictUnscanned, "the registry says that it is scanned, and does not say what was found", 0, 0},
		"by rules, not it":  {[]string{none}, []string{refused("ValidationException")}, gate.VerdictUnscanned, "the registry scans by its rules, and has not begun to scan it", time.Minute, 1},
		"not to be asked":   {[]string{none}, []string{refused("AccessDeniedException")}, gate.VerdictUnscanned, "it was not scanned when it was pushed, and asking for a scan is not allowed (ecr:StartImageScan)", time.Minute, 1},
		"never done":        {[]string{none, started}, []string{started}, gate.VerdictUnscanned, "its scan is not done after 15m0s (IN_PROGRESS)", 15 * time.Minute, 1},
		"never even begins": {[]string{none}, []string{limit}, gate.VerdictUnscanned, "no scan of it has begun after 15m0s", 15 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, d := newServer(tt.describe...)
				s.start = tt.start
				began := time.Now()
				r, said, err := run(t, s, d, workspace.Gate{})
				if r.Verdict != tt.verdict || r.Unscanned() != tt.why {
					t.Errorf("%s, not scanned since %q (%v); want %s, %q", r.Verdict, r.Unscanned(), err, tt.verdict, tt.why)
				}
				if stopped, ok := errors.AsType[*gate.Stopped](err); ok != (tt.verdict != gate.VerdictPassed) || ok && stopped.Error() != "it was not scanned: "+tt.why {
					t.Errorf("the error is %v", err)
				}
				if took := time.Since(began); took > tt.took {
					t.Errorf("it took %v, want at most %v\n%s", took, tt.took, said.text())
				}
				if got := s.count("StartImageScan"); got != tt.starts {
					t.Errorf("a scan was asked for %d times, want %d: %v", got, tt.starts, s.asked)
				}
				if got := s.count("Describe"); got > 80 {
					t.Errorf("was asked for findings %d times, which is not polite", got)
				}
			})
		})
	}
}

// TestUnscannedMayPass: where the gate says so, and where nothing shuts it.
func TestUnscannedMayPass(t *testing.T) {
	t.Parallel()
	for _, g := range []workspace.Gate{{Unscanned: workspace.Pass}, {Severity: workspace.None, Unscanned: workspace.Fail}} {
		s, d := newServer(berthHas)
		s.start = []string{berthHas}
		r, said, err := run(t, s, d, g)
		if err != nil || r.Verdict != gate.VerdictUnscanned || !r.Passes {
			t.Errorf("%+v: %s, %v, %v", g, r.Verdict, r.Passes, err)
		}
		if !strings.Contains(said.text(), "note: passes, though it was not scanned: the registry has no scanner\noutput: not scanned: the registry has no scanner") {
			t.Errorf("said:\n%s", said.text())
		}
	}
}

// TestFailures: what is no answer about a scan is an error, and not a verdict.
func TestFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFailures)
}

func testFailures(t *testing.T) {
	t.Helper()
	for _, tt := range []struct{ describe, start, want string }{
		{refused("AccessDeniedException"), "", "AccessDeniedException: so it is"},
		{busy, "", "ThrottlingException: so it is"},
		{none, busy, "ThrottlingException: so it is"},
		{refused("RepositoryNotFoundException"), "", "RepositoryNotFoundException: so it is"},
		{none, refused("ImageNotFoundException"), "ImageNotFoundException: so it is"},
		{strings.Replace(clean, "{", `{"nextToken":"x",`, 1), "", "the server gives the same page of findings again and again"},
	} {
		s, d := newServer(tt.describe)
		s.start = []string{tt.start}
		_, _, err := run(t, s, d, workspace.Gate{Unscanned: workspace.Pass})
		if want := "asking for the scan of " + d.String()[:19] + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	s, _ := newServer()
	if _, _, err := run(t, s, oci.FromBytes(nil), workspace.Gate{}); err == nil || !strings.Contains(err.Error(), "is the image archived?") {
		t.Errorf("of an image that is not there: %v", err)
	}
}

// TestKnownImage: an image of which the media type is known is not read, which would count as a pull.
func TestKnownImage(t *testing.T) {
	t.Parallel()
	s, d := newServer(clean)
	in := gate.Input{Repository: "a/b", Digest: d, MediaType: oci.MediaTypeOCIManifest, Today: today}
	r, err := gate.New(gate.Config{API: s.client()}).Run(t.Context(), in, &progress.Task{Sink: &notebook{}, Now: time.Now})
	if err != nil || r.Verdict != gate.VerdictPassed || s.count("BatchGetImage") != 0 {
		t.Errorf("%s, %v; asked %v", r.Verdict, err, s.asked)
	}
}

func TestStopsWhenTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, d := newServer(started)
		enough := errors.New("enough")
		ctx, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { stop(enough) })
		var n notebook
		task := &progress.Task{Sink: &n, Now: time.Now}
		_, err := gate.New(gate.Config{API: s.client()}).Run(ctx, gate.Input{Repository: "a/b", Digest: d, Today: today}, task)
		if !errors.Is(err, enough) {
			t.Errorf("%v, want the reason why it was stopped", err)
		}
	})
}

// TestFindings: pages, severities that are none, and what is counted only.
func TestFindings(t *testing.T) {
	t.Parallel()
	scored := `{"name":"CVE-3","severity":"UNDEFINED","attributes":[{"key":"CVSS2_SCORE","value":"6.8"},{"key":"CVSS3_SCORE","value":"9.8"},{"key":"package_name","value":"c"}]}`
	first := strings.Replace(found("COMPLETE", `"findings":[`+cve("CVE-1", "LOW", "a")+`,`+cve("CVE-2", "UNDEFINED", "b")+`],"findingSeverityCounts":{"LOW":1,"UNDEFINED":2,"HIGH":4}`),
		"{", `{"nextToken":"two",`, 1)
	second := found("COMPLETE", `"findings":[`+scored+`],"findingSeverityCounts":{"LOW":1,"UNDEFINED":2,"HIGH":4}`)
	s, d := newServer(first, second)
	r, said, err := run(t, s, d, workspace.Gate{Severity: workspace.High})
	if diff := cmp.Diff([]string{"BatchGetImage", "DescribeImageScanFindings", "DescribeImageScanFindings two"}, s.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %v", f, f.Stops))
	}
	want := []string{"CVE-3 (critical in c) true", "CVE-2 (unrated in b) true", "4 of severity high that the registry counts and does not list true", "CVE-1 (low in a) false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if r.Stopping != 6 || err == nil ||
		err.Error() != "6 findings stop it: CVE-3 (critical in c), CVE-2 (unrated in b), 4 of severity high that the registry counts and does not list" {
		t.Errorf("%d stop: %v", r.Stopping, err)
	}
	wantSaid := `output: found: 1 critical, 4 high, 1 low, 1 unrated
output: SEVERITY  FINDING  PACKAGE  INSTALLED  TITLE
output: critical  CVE-3    c        -          -
output: unrated   CVE-2    b        1.0        what it is
output: high      -        -        -          4 that the registry counts and does not list
problem: ` + err.Error()
	if diff := cmp.Diff(wantSaid, said.text()); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
}

// TestEnhancedFindings: one finding for each package; what is closed is gone; what Inspector suppresses is not excepted by that.
func TestEnhancedFindings(t *testing.T) {
	t.Parallel()
	text := found("ACTIVE", `"enhancedFindings":[
		{"title":"CVE-1 - openssl","severity":"HIGH","status":"SUPPRESSED","fixAvailable":"PARTIAL","packageVulnerabilityDetails":{"vulnerabilityId":"CVE-1","sourceUrl":"https://cve.test/1","vulnerablePackages":[
			{"name":"openssl","version":"3.0.1","epoch":1,"release":"2.el9","fixedInVersion":"1:3.0.2-1.el9"},
			{"name":"libssl3","version":"3.0.1","epoch":0,"fixedInVersion":"NotAvailable"}]}},
		{"title":"CVE-2","severity":"CRITICAL","status":"CLOSED"},
		{"title":"CVE-3","severity":"UNTRIAGED","status":"ACTIVE","score":0.0},
		{"title":"CVE-4","severity":"UNTRIAGED","status":"ACTIVE","score":5.0}
	],"findingSeverityCounts":{"HIGH":1,"CRITICAL":1,"UNTRIAGED":2}`)
	s, d := newServer(text)
	r, said, err := run(t, s, d, workspace.Gate{Severity: workspace.High})
	want := []gate.Finding{
		{ID: "CVE-3", Severity: gate.Unrated, Said: "UNTRIAGED", Title: "CVE-3", Stops: true},
		{ID: "CVE-1", Package: "libssl3", Version: "3.0.1", Severity: workspace.High, Said: "HIGH", Title: "CVE-1 - openssl", URI: "https://cve.test/1", Stops: true},
		{ID: "CVE-1", Package: "openssl", Version: "1:3.0.1-2.el9", FixedIn: "1:3.0.2-1.el9", Severity: workspace.High, Said: "HIGH", Title: "CVE-1 - openssl", URI: "https://cve.test/1", Stops: true},
		{ID: "CVE-4", Severity: workspace.Medium, Said: "UNTRIAGED", Title: "CVE-4"},
	}
	if diff := cmp.Diff(want, r.Findings); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if !strings.Contains(said.text(), "high      CVE-1    openssl  1:3.0.1-2.el9  1:3.0.2-1.el9  CVE-1 - openssl") {
		t.Errorf("said:\n%s", said.text())
	}
}

// TestExceptionsSpeak: whose an exception is, and until when, is in what a run prints.
func TestExceptionsSpeak(t *testing.T) {
	t.Parallel()
	s, d := newServer(found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`,`+cve("CVE-2", "CRITICAL", "b")+`]`))
	r, said, err := run(t, s, d, workspace.Gate{Exceptions: []workspace.Exception{exception("CVE-1", "2026-11-25"), exception("CVE-2", "2026-11-30")}})
	want := `output: found: 2 critical; excepted: 1
output: SEVERITY  FINDING  PACKAGE  INSTALLED  TITLE
output: critical  CVE-1    a        1.0        (the exception of alice expired on 2026-11-25) what it is
output: EXCEPTED  FINDING  PACKAGE  OWNER  UNTIL       REASON
output: critical  CVE-2    b        alice  2026-11-30  not reachable
problem: 1 finding stops it: CVE-1 (critical in a)`
	for line := range strings.SplitSeq(want, "\n") {
		if !strings.Contains(said.text()+"\n", line+"\n") {
			t.Errorf("did not say %q, but\n%s", line, said.text())
		}
	}
	for _, line := range []string{
		"problem: the exception for CVE-1 has expired, on 2026-11-25: it is alice's to renew, or the finding to be fixed",
		"note: the exception for CVE-2 counts until 2026-11-30: alice is to fix it or to renew it",
	} {
		if !strings.Contains(said.text(), line) {
			t.Errorf("did not say %q, but\n%s", line, said.text())
		}
	}
	if r.Verdict != gate.VerdictStopped || err == nil {
		t.Errorf("%s, %v", r.Verdict, err)
	}
}

// TestStrangersText: what a scan says of a package does not move the cursor, nor command a CI system.
func TestStrangersText(t *testing.T) {
	t.Parallel()
	evil := "::error::\x1b[2Jx\r\n::stop-commands::y"
	quoted := fmt.Sprintf("%q", evil)
	quoted = strings.ReplaceAll(quoted, `\x1b`, `\u001b`)
	s, d := newServer(found("COMPLETE", `"findings":[{"name":`+quoted+`,"description":`+quoted+`,"severity":"CRITICAL","attributes":[{"key":"package_name","value":`+quoted+`},{"key":"package_version","value":`+quoted+`}]}]`))
	_, said, err := run(t, s, d, workspace.Gate{})
	if err == nil {
		t.Fatal("it passes")
	}
	for _, line := range append(said.lines, "error: "+err.Error()) {
		_, text, _ := strings.Cut(line, ": ")
		if strings.ContainsAny(text, "\x1b\r\n") || strings.HasPrefix(text, "::") {
			t.Errorf("said %q", line)
		}
	}
}
