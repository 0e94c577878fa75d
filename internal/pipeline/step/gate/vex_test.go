package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// statements reads documents of one exception each, which ends at a time.
func statements(t *testing.T, name, product, expires string) []vex.Statement {
	t.Helper()
	d, err := vex.Parse(fmt.Appendf(nil, `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"alice","timestamp":"2026-11-01T00:00:00Z","version":1,
		"statements":[{"vulnerability":{"name":%q},"products":[{"@id":%q,"subcomponents":[{"@id":"pkg:deb/debian/a"}]}],"status":"not_affected","impact_statement":"never called","expires":%q}]}`, name, product, expires))
	if err != nil {
		t.Fatal(err)
	}
	return d.Exceptions()
}

// TestDocuments: what the workspace's documents except is shown, and stops nothing until its time.
func TestDocuments(t *testing.T) {
	t.Parallel()
	s, d := newServer(found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`]`))
	other := "pkg:oci/b@sha256:" + strings.Repeat("0", 64)
	now := today.UTC().Format("2006-01-02T15:04:05Z")
	for name, tt := range map[string]struct {
		statements []vex.Statement
		passes     bool
		says       string
	}{
		"the repository":    {statements(t, "cve-1", "pkg:oci/b?repository_url=h/hoopstat-haus/prod", "2027-01-01T00:00:00Z"), true, "critical  CVE-1    a        alice  2026-12-31  never called"},
		"the image":         {statements(t, "CVE-1", "pkg:oci/b@"+d.String(), "2027-01-01T00:00:00Z"), true, "alice"},
		"another image":     {statements(t, "CVE-1", other, "2027-01-01T00:00:00Z"), false, "CVE-1"},
		"another finding":   {statements(t, "CVE-2", "pkg:oci/b@"+d.String(), "2027-01-01T00:00:00Z"), false, "CVE-1"},
		"expired long ago":  {statements(t, "CVE-1", "pkg:oci/b@"+d.String(), "2026-11-01T00:00:00Z"), false, "the exception for CVE-1 has expired, on 2026-10-31: it is alice's"},
		"expired right now": {statements(t, "CVE-1", "pkg:oci/b@"+d.String(), now), false, "the exception for CVE-1 has expired"},
	} {
		r, said, err := run(t, s, d, workspace.Gate{Statements: tt.statements})
		if (err == nil) != tt.passes || r.Passes != tt.passes || !strings.Contains(said.text(), tt.says) {
			t.Errorf("%s: passes: %v (%v), and it says\n%s\nwant %v, and %q", name, r.Passes, err, said.text(), tt.passes, tt.says)
		}
		if len(r.Findings) != 1 || (r.Findings[0].Excepted != nil) != tt.passes {
			t.Errorf("%s: findings %+v", name, r.Findings)
		}
	}
}

// TestDocumentsOfPlatforms: an exception for the image of one platform leaves that of the other.
func TestDocumentsOfPlatforms(t *testing.T) {
	t.Parallel()
	for name, both := range map[string]bool{"one": false, "both": true} {
		s, _ := newServer()
		amd := s.add(image(1, layer), found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`]`))
		arm := s.add(image(2, layer), found("COMPLETE", `"findings":[`+cve("CVE-1", "CRITICAL", "a")+`]`))
		d := s.add(index(child(amd, "application/vnd.oci.image.manifest.v1+json", "linux/amd64", ""), child(arm, "application/vnd.oci.image.manifest.v1+json", "linux/arm64", "")))
		all := statements(t, "CVE-1", "pkg:oci/b@"+amd.String(), "2027-01-01T00:00:00Z")
		if both {
			all = append(all, statements(t, "CVE-1", "pkg:oci/b@"+arm.String(), "2026-12-15T00:00:00Z")...)
		}
		r, _, err := run(t, s, d, workspace.Gate{Statements: all})
		if r.Passes != both {
			t.Errorf("%s: passes: %v, %v", name, r.Passes, err)
		}
		if both && (len(r.Findings) != 1 || r.Findings[0].Excepted.Expires != "2026-12-14") {
			t.Errorf("%s: findings %+v", name, r.Findings)
		}
	}
}
