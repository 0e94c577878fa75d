package scan_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func sarifReports() []scan.Report {
	two := 2
	one := scan.Report{Digest: "sha256:aa", Places: true, Findings: []scan.Finding{
		{ID: "CVE-2", Severity: workspace.Low, Said: "LOW", Score: 9.9, Packages: []scan.Package{{Type: "npm", Name: "lodash", Version: "4", Path: "app/node modules/ü:/package.json", Layer: &two}}},
		{
			ID: "CVE-1", Severity: workspace.Critical, Score: 9.8, Title: "a buffer\x00 \xff" + strings.Repeat("x", 5000), URI: "https://cve.test/CVE-1", KEV: &scan.KEV{},
			Packages: []scan.Package{{Type: "deb", Name: "libssl3", Version: "3.0.9", FixedIn: "3.0.10", Path: "var/lib/dpkg/status"}, {Type: "deb", Name: "openssl", Version: "3.0.9", Path: "var/lib/dpkg/status"}},
		},
		{ID: "GHSA-1", Severity: scan.Unrated, URI: "javascript:alert(1)"},
	}}
	other := one
	other.Platform = "linux/arm64"
	return []scan.Report{one, other}
}

func sarifOf(t *testing.T, of scan.SARIFOf) map[string]any {
	t.Helper()
	text, err := json.Marshal(scan.NewSARIF(of))
	if err != nil {
		t.Fatal(err)
	}
	var log map[string]any
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	return log
}

// TestSARIFFitsTheFormat holds a log against what SARIF 2.1.0 requires, and what GitHub does beyond that: the sections of the standard
// are named.
func TestSARIFFitsTheFormat(t *testing.T) {
	t.Parallel()
	log := sarifOf(t, scan.SARIFOf{Image: "a/b:web", Version: "1", Reports: sarifReports(), Excepted: func(f scan.Finding, p scan.Package) string {
		if f.ID == "CVE-1" && p.Name == "openssl" {
			return "because"
		}
		return ""
	}})
	need(t, log, "3.13 log", map[string]string{"version": "string", "runs": "array"})
	if log["version"] != "2.1.0" {
		t.Errorf("version %v", log["version"])
	}
	run := at(t, log, "runs", 0)
	need(t, run, "3.14 run", map[string]string{"tool": "object", "results": "array", "automationDetails": "object"})
	driver := at(t, run, "tool", "driver")
	need(t, driver, "3.19 toolComponent", map[string]string{"name": "string", "rules": "array", "informationUri": "string"})
	rules, results := list(driver["rules"]), list(run["results"])
	var ids []string
	for _, rule := range rules {
		need(t, rule, "3.49 reportingDescriptor", map[string]string{"id": "string", "shortDescription": "object", "fullDescription": "object", "help": "object", "defaultConfiguration": "object"})
		ids = append(ids, rule["id"].(string))
		for _, member := range []string{"shortDescription", "fullDescription", "help"} {
			need(t, at(t, rule, member), "3.12 multiformatMessageString", map[string]string{"text": "string"})
		}
		if uri, ok := rule["helpUri"]; ok && !strings.HasPrefix(uri.(string), "https://") {
			t.Errorf("helpUri %v", uri)
		}
	}
	if diff := cmp.Diff([]string{"CVE-1", "CVE-2", "GHSA-1"}, ids); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if len(results) != 8 {
		t.Errorf("%d results, want one for each finding, package and platform: 8", len(results))
	}
	prints := map[string]bool{}
	for _, result := range results {
		need(t, result, "3.27 result", map[string]string{"message": "object", "ruleId": "string", "ruleIndex": "number", "level": "string", "locations": "array", "partialFingerprints": "object", "suppressions": "array"})
		if index := int(result["ruleIndex"].(float64)); ids[index] != result["ruleId"] {
			t.Errorf("3.27.6: rule %d is %s, not %s", index, ids[index], result["ruleId"])
		}
		if !slices.Contains([]string{"none", "note", "warning", "error"}, result["level"].(string)) {
			t.Errorf("3.27.10: level %v", result["level"])
		}
		need(t, at(t, result, "message"), "3.11 message", map[string]string{"text": "string"})
		where := at(t, result, "locations", 0, "physicalLocation")
		uri, ok := at(t, where, "artifactLocation")["uri"].(string)
		parsed, err := url.Parse(uri)
		if !ok || uri == "" || err != nil || parsed.IsAbs() || strings.HasPrefix(uri, "/") || strings.Contains(uri, " ") {
			t.Errorf("3.4.3: uri %q is no relative URI (%v)", uri, err)
		}
		if at(t, where, "region")["startLine"] != 1.0 {
			t.Errorf("3.30.5: %v", where)
		}
		for _, s := range list(result["suppressions"]) {
			if s["kind"] != "external" && s["kind"] != "inSource" {
				t.Errorf("3.35.3: kind %v", s["kind"])
			}
		}
		print := fmt.Sprint(result["partialFingerprints"])
		if prints[print] {
			t.Errorf("3.27.17: %s is the fingerprint of two results", print)
		}
		prints[print] = true
	}
	if got := len(list(results[1]["suppressions"])); got != 1 || len(list(results[0]["suppressions"])) != 0 {
		t.Errorf("suppressed are %v and %v, want the second", results[0], results[1])
	}
}

// TestSARIFIsStable makes a log of the image as it was and as it is, with a newer version of a package that has the finding still.
func TestSARIFIsStable(t *testing.T) {
	t.Parallel()
	reports := sarifReports()[:1]
	prints := func() (all []string) {
		for _, r := range list(at(t, sarifOf(t, scan.SARIFOf{Image: "a/b:web", Reports: reports}), "runs", 0)["results"]) {
			all = append(all, fmt.Sprint(r["ruleId"], r["partialFingerprints"]))
		}
		return all
	}
	before := prints()
	reports[0].Digest = "sha256:bb"
	reports[0].Findings[1].Packages[0].Version = "3.0.9-2"
	reports[0].Findings = append([]scan.Finding{{ID: "CVE-0", Severity: workspace.High}}, reports[0].Findings...)
	after := prints()
	for _, p := range before {
		if !slices.Contains(after, p) {
			t.Errorf("%s is another result now", p)
		}
	}
}

func TestSARIFSeverities(t *testing.T) {
	t.Parallel()
	log := sarifOf(t, scan.SARIFOf{Image: "a/b:web", Reports: sarifReports()[:1]})
	want := map[string][2]any{"CVE-1": {"9.8", "error"}, "CVE-2": {"3.9", "note"}, "GHSA-1": {nil, "warning"}}
	for _, rule := range list(at(t, log, "runs", 0, "tool", "driver")["rules"]) {
		got := [2]any{at(t, rule, "properties")["security-severity"], at(t, rule, "defaultConfiguration")["level"]}
		if got != want[rule["id"].(string)] {
			t.Errorf("%s: %v, want %v", rule["id"], got, want[rule["id"].(string)])
		}
	}
}

// need tells whether an object has members of these types.
func need(t *testing.T, in map[string]any, what string, members map[string]string) {
	t.Helper()
	for name, want := range members {
		got := "nothing"
		switch in[name].(type) {
		case string:
			got = "string"
		case float64:
			got = "number"
		case []any:
			got = "array"
		case map[string]any:
			got = "object"
		}
		if got != want {
			t.Errorf("%s: %s is %s, want %s", what, name, got, want)
		}
	}
}

// at follows names and places.
func at(t *testing.T, in any, path ...any) map[string]any {
	t.Helper()
	for _, step := range path {
		switch s := step.(type) {
		case string:
			in = in.(map[string]any)[s]
		case int:
			in = in.([]any)[s]
		}
	}
	found, ok := in.(map[string]any)
	if !ok {
		t.Fatalf("there is no object at %v", path)
	}
	return found
}

func list(in any) []map[string]any {
	var all []map[string]any
	array, _ := in.([]any)
	for _, one := range array {
		all = append(all, one.(map[string]any))
	}
	return all
}
