package e2e_test

import (
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// allowedSkips are the tests, and the parts of the spec they belong to, that the suite may skip when the
// bucket answers instead of Berth.
var allowedSkips = map[string]string{
	"OCI Conformance Test/sha256 blobs/range requests/range 500-0": backwards,
	"OCI Conformance Test/sha512 blobs/range requests/range 500-0": backwards,
	"Blob get range": backwards, "Blobs sha256": backwards, "Blobs sha512": backwards,
}

const backwards = "S3 ignores a Range whose end comes before its start (as RFC 9110 allows) and sends all; Berth itself answers 416"

// allowedDisabled are the parts that this configuration of the suite leaves out, each with the reason.
var allowedDisabled = map[string]string{
	"Sparse Manifests": "off by default in every version of the suite: an index whose images are missing, " +
		"which ECR's contract refuses (ReferencedImagesNotFoundException)",
}

// TestConformance runs the OCI distribution-spec conformance suite, as the released and as the coming
// version of the spec have it, on every pair of storage; with a bucket also without redirects.
func TestConformance(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	berthproc.Tool(t, "conformance")
	each(t, func(t *testing.T, storage berthproc.Storage) {
		deliveries := []string{"proxy"}
		if storage.Bucket {
			deliveries = []string{"redirect", "proxy"}
		}
		data := t.TempDir() // both servers need the master key in it
		for i, delivery := range deliveries {
			s := berthproc.Start(t, berthproc.Config{Storage: storage, Data: data, Args: []string{"--blob-delivery", delivery}})
			for _, version := range []string{"1.1", "dev"} {
				t.Run(delivery+"-"+version, func(t *testing.T) {
					repo := fmt.Sprintf("conformance/%s-%d", strings.ReplaceAll(version, ".", "-"), i)
					conform(t, s, repo, version, delivery == "redirect")
				})
			}
			s.Stop()
		}
	})
}

// conform runs the suite against two fresh repositories and holds its report against what is allowed.
func conform(t *testing.T, s *berthproc.Server, repo, version string, redirect bool) {
	t.Helper()
	s.CreateRepositories(repo+"/one", repo+"/two")
	results := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "conformance")
	cmd.Dir = results
	cmd.Env = append(berthproc.CleanEnvironment(t),
		"OCI_REGISTRY="+s.Host, "OCI_TLS=disabled", "OCI_VERSION="+version, "OCI_RESULTS_DIR="+results,
		"OCI_REPO1="+repo+"/one", "OCI_REPO2="+repo+"/two", "OCI_USERNAME=AWS", "OCI_PASSWORD="+s.Password(),
		// Bytes that come from the bucket come without our headers; the redirect has the digest.
		"OCI_API_BLOBS_DIGEST_HEADER="+strconv.FormatBool(!redirect),
		"OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_TAG_PARAM=true",
	)
	out, runErr := cmd.CombinedOutput()
	report, err := readReport(results)
	if err != nil {
		t.Fatalf("the conformance suite left no report (%v): %v\n%s", runErr, err, out)
	}
	t.Logf("%d tests: %d failures, %d errors, %d skipped, %d disabled",
		report.Tests, report.Failures, report.Errors, report.Skipped, report.Disabled)
	if report.Tests < 900 {
		t.Errorf("the conformance suite ran %d tests, want its 900 and more", report.Tests)
	}
	failures := 0
	for _, c := range report.cases() {
		switch {
		case c.Status == "passed":
		case c.Status == "skipped" && redirect && allowedSkips[c.Name] != "":
			t.Logf("%s: skipped: %s", c.Name, allowedSkips[c.Name])
		default:
			// The requests of a few failures do; the names of all are wanted.
			failures++
			t.Errorf("%s: %s: %s\n%s", c.Name, c.Status, c.SystemOut, clip(c.SystemErr, max(3000/failures, 300)))
		}
	}
	for name, status := range report.parts {
		switch {
		case status == "Pass", status == "Disabled" && allowedDisabled[name] != "",
			status == "Skip" && redirect && allowedSkips[name] != "":
		default:
			t.Errorf("%s: %s", name, status)
		}
	}
	if runErr != nil && !t.Failed() {
		t.Errorf("the conformance suite: %v, although its report is clean\n%s", runErr, out)
	}
}

// report is what the suite writes: junit.xml for the tests, results.yaml for the parts of the spec.
type report struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
	Disabled int `xml:"disabled,attr"`
	Suites   []struct {
		Cases []reportCase `xml:"testcase"`
	} `xml:"testsuite"`

	parts map[string]string // a part of the API or a kind of data: Pass, FAIL, Skip or Disabled
}

type reportCase struct {
	Name      string `xml:"name,attr"`
	Status    string `xml:"status,attr"`
	SystemOut string `xml:"system-out"`
	SystemErr string `xml:"system-err"`
}

func (r report) cases() []reportCase {
	var all []reportCase
	for _, s := range r.Suites {
		all = slices.Concat(all, s.Cases)
	}
	return all
}

func readReport(dir string) (report, error) {
	var r report
	raw, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil {
		return r, err
	}
	if err := xml.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("reading junit.xml: %w", err)
	}
	raw, err = os.ReadFile(filepath.Join(dir, "results.yaml"))
	if err != nil {
		return r, err
	}
	var parts struct {
		APIs map[string]string `yaml:"apis"`
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal(raw, &parts); err != nil {
		return r, fmt.Errorf("reading results.yaml: %w", err)
	}
	r.parts = map[string]string{}
	for _, m := range []map[string]string{parts.APIs, parts.Data} {
		maps.Copy(r.parts, m)
	}
	return r, nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + " …"
	}
	return s
}
