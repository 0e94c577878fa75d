package berth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// knowledge is what is known of one image, told to root alone: the service has tests of its own.
type knowledge struct {
	report scan.Report
	asked  []any
}

func (k *knowledge) ask(caller identity.Caller, what ...any) error {
	k.asked = what
	if !caller.Root {
		return fault.New(fault.AccessDenied, "no")
	}
	return nil
}

func (k *knowledge) Report(_ context.Context, caller identity.Caller, repository string, id registry.ImageID, q scan.Query) (scan.Report, error) {
	return k.report, k.ask(caller, repository, id, q)
}

func (k *knowledge) Contents(_ context.Context, caller identity.Caller, repository string, id registry.ImageID) (scan.Contents, error) {
	return scan.Contents{Repository: repository, Image: k.report.Image, Inventory: inventory.Image{
		Packages: []inventory.Found{{Package: inventory.Package{Type: inventory.NPM, Name: "jquery", Version: "3.4.0", Source: "jquery", SourceVersion: "3.4.0"}}},
	}, Layers: []scan.Layer{{}}}, k.ask(caller, repository, id)
}

func (k *knowledge) Hits(_ context.Context, caller identity.Caller, vulnerability, after string, limit int) ([]scan.Hit, string, error) {
	return []scan.Hit{{
		Repository: repo, Digest: k.report.Image.Digest, Severity: advisory.High, Runs: []string{"prod/web"},
		Packages: []scan.Affected{{Found: inventory.Found{Package: inventory.Package{Name: "a", Version: "1"}}, Fixed: "2"}},
	}}, "next", k.ask(caller, vulnerability, after, limit)
}

func newKnowledge() *knowledge {
	at := time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC)
	image := registry.Image{Digest: oci.FromBytes([]byte("x"))}
	return &knowledge{report: scan.Report{
		Image: image, Status: registry.Scan{Status: registry.ScanComplete}, OS: inventory.OS{ID: "debian", VersionID: "12"},
		Counts: scan.Counts{All: scan.Count{advisory.Critical: 1, advisory.Low: 0}, Fixable: 1, Exploited: 1},
		Findings: []scan.Finding{{
			Vulnerability: "CVE-1", Severity: advisory.Critical, Score: 9.8, KEV: &advisory.KEV{Added: "2026-11-01", Ransomware: true}, Ecosystem: "Debian:12", Source: "openssl", Fixable: scan.Yes,
			Packages: []scan.Affected{{
				Found: inventory.Found{Package: inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3"}, Path: "var/lib/dpkg/status"}, Fixed: "4", FromBase: true, Instruction: "RUN x",
			}},
			Exception: &scan.Exception{Owner: "alice", Reason: "so", ExpiresAt: at},
		}},
		Next: "more", ScannedAt: at, Sources: []advisory.Source{{Name: "Debian", ImportedAt: at}}, Missing: []string{"Maven"}, Unevaluated: 2,
		Base: &scan.Base{Repository: "base/debian", Digest: image.Digest, Layers: 1}, Problems: []string{"a limit"},
	}}
}

func TestDescribeFindings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	status, body := s.call(t.Context(), t, "DescribeFindings", "root", `{"repositoryName":"app","imageId":{"imageTag":"v1"},"maxResults":7,"nextToken":"t"}`)
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK {
		t.Fatalf("DescribeFindings: %d %s (%v)", status, body, err)
	}
	d := s.scans.report.Image.Digest.String()
	want := map[string]any{
		"repositoryName": "app", "imageId": map[string]any{"imageDigest": d, "imageTag": "v1"}, "scanStatus": map[string]any{"status": "COMPLETE"},
		"operatingSystem": map[string]any{"id": "debian", "versionId": "12"}, "findingCounts": map[string]any{"CRITICAL": 1.0}, "systemFindingCounts": map[string]any{},
		"fixableFindings": 1.0, "exploitedFindings": 1.0, "scannedAt": 1795741323.0,
		"advisorySources":   []any{map[string]any{"name": "Debian", "importedAt": 1795741323.0, "advisories": 0.0, "revision": 0.0}},
		"missingEcosystems": []any{"Maven"}, "unevaluatedPackages": 2.0, "problems": []any{"a limit"}, "nextToken": "more",
		"baseImage": map[string]any{"repositoryName": "base/debian", "imageDigest": d, "imageTags": []any{}, "layers": 1.0},
		"findings": []any{map[string]any{
			"vulnerability": "CVE-1", "advisories": []any{}, "mends": []any{}, "severity": "CRITICAL", "score": 9.8, "vectors": []any{}, "references": []any{}, "ecosystem": "Debian:12", "sourcePackage": "openssl",
			"knownExploited": map[string]any{"addedOn": "2026-11-01", "ransomware": true}, "fixable": "YES", "exception": map[string]any{"owner": "alice", "reason": "so", "expiresAt": 1795741323.0},
			"packages": []any{map[string]any{
				"type": "deb", "name": "libssl3", "version": "3", "fixedIn": "4", "path": "var/lib/dpkg/status", "layerIndex": 0.0, "instruction": "RUN x", "fromBase": true,
			}},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DescribeFindings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"app", registry.ImageID{Tag: "v1"}, scan.Query{After: "t", Limit: 7}}, s.scans.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestListVulnerableImagesAndGetSbom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.scans.report.Image.Digest.String()
	status, body := s.call(t.Context(), t, "ListVulnerableImages", "root", `{"vulnerability":"CVE-1"}`)
	want := `{"nextToken":"next","vulnerableImages":[{"imageDigest":"` + d + `","imageTags":[],"packages":[{"fixedIn":"2","name":"a","type":"","version":"1"}],"repositoryName":"` + repo + `","runs":["prod/web"],"severity":"HIGH"}]}`
	if status != http.StatusOK || body != want {
		t.Errorf("ListVulnerableImages: %d %s\nwant %s", status, body, want)
	}
	for format, begin := range map[string]string{"": "spdxVersion", `,"format":"spdx"`: "spdxVersion", `,"format":"cyclonedx"`: "bomFormat"} {
		status, body := s.call(t.Context(), t, "GetSbom", "root", `{"repositoryName":"app","imageId":{"imageDigest":"`+d+`"}`+format+`}`)
		var got struct{ ImageDigest, MediaType, Document string }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got.ImageDigest != d || !json.Valid([]byte(got.Document)) ||
			!strings.Contains(got.Document, begin) || !strings.Contains(got.Document, "jquery") || !strings.Contains(got.MediaType, "+json") {
			t.Errorf("GetSbom%s: %d %s (%v)", format, status, body, err)
		}
	}
}

func TestScanningRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, c := range []struct{ operation, who, body, code, words string }{
		{"DescribeFindings", "root", `{"imageId":{"imageTag":"v1"}}`, "InvalidParameterException", "'repositoryName'"},
		{"DescribeFindings", "root", `{"repositoryName":"app"}`, "InvalidParameterException", "'imageId'"},
		{"DescribeFindings", "root", `{"repositoryName":"app","imageId":{},"maxResults":1001}`, "InvalidParameterException", "'maxResults'"},
		{"DescribeFindings", "user", `{"repositoryName":"app","imageId":{"imageTag":"v1"}}`, "AccessDeniedException", ""},
		{"GetSbom", "root", `{"repositoryName":"app","imageId":{"imageTag":"v1"},"format":"word"}`, "InvalidParameterException", "'format'"},
		{"GetSbom", "user", `{"repositoryName":"app","imageId":{"imageTag":"v1"}}`, "AccessDeniedException", ""},
		{"ListVulnerableImages", "root", `{}`, "InvalidParameterException", "'vulnerability'"},
		{"ListVulnerableImages", "root", `{"vulnerability":"` + strings.Repeat("x", 257) + `"}`, "InvalidParameterException", "'vulnerability'"},
		{"ListVulnerableImages", "user", `{"vulnerability":"CVE-1"}`, "AccessDeniedException", ""},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != http.StatusBadRequest || !strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.words) {
			t.Errorf("%s(%.80s) by %s: %d %s\nwant 400 %s about %s", c.operation, c.body, c.who, status, body, c.code, c.words)
		}
	}
}
