package e2e_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/e2e/rootfstest"
)

// scanRead is what the server's log says of each blob that a scan reads.
const scanRead = "a scan reads a blob"

// advisorySample is the real advisories beside the checkout.
func advisorySample(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if at := filepath.Join(dir, "shared", "advisories"); exists(at) {
			return at
		}
		dir = filepath.Dir(dir)
	}
	berthproc.Missing(t, "the sample of advisories is not beside the checkout")
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// layAdvisories makes a directory of advisories out of the sample, with more of Debian's.
func layAdvisories(t *testing.T, dir string, more map[string]string) {
	t.Helper()
	sample := advisorySample(t)
	for _, ecosystem := range []string{"Debian", "npm", "PyPI", "Go"} {
		ok(t, 0, os.MkdirAll(filepath.Join(dir, ecosystem), 0o755))
		from, err := zip.OpenReader(filepath.Join(sample, ecosystem, "all.zip"))
		ok(t, 0, err)
		to, err := os.Create(filepath.Join(dir, ecosystem, "all.zip"))
		ok(t, 0, err)
		w := zip.NewWriter(to)
		for _, f := range from.File {
			ok(t, 0, w.Copy(f))
		}
		if ecosystem == "Debian" {
			for file, text := range more {
				entry, err := w.Create(file)
				ok(t, 0, err)
				_, err = io.WriteString(entry, text)
				ok(t, 0, err)
			}
		}
		ok(t, 0, w.Close())
		ok(t, 0, to.Close())
		from.Close()
	}
	kev, err := os.ReadFile(filepath.Join(sample, "kev.json"))
	ok(t, 0, err)
	ok(t, 0, os.WriteFile(filepath.Join(dir, "kev.json"), kev, 0o644))
}

// debianAdvisory is one of Debian 12, about all versions below one.
func debianAdvisory(cve, source, fixed string, modified time.Time) string {
	return fmt.Sprintf(`{"schema_version":"1.7.0","id":"DEBIAN-%s","upstream":[%q],"modified":%q,"affected":[{"package":{"ecosystem":"Debian:12","name":%q},
		"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}`,
		cve, cve, modified.UTC().Format(time.RFC3339), source, fixed)
}

// scanned is what aws ecr describe-image-scan-findings prints, as far as these tests look.
type scanned struct {
	ImageScanStatus   struct{ Status, Description string }
	ImageScanFindings struct {
		FindingSeverityCounts map[string]int
		Findings              []struct {
			Name, Severity string
			Attributes     []struct{ Key, Value string }
		}
		EnhancedFindings []struct {
			Severity, FixAvailable, Status string
			PackageVulnerabilityDetails    struct {
				VulnerabilityID    string `json:"vulnerabilityId"`
				VulnerablePackages []struct{ Name, Version, FixedInVersion, PackageManager, SourceLayerHash string }
			}
		}
	}
}

// of gives the attributes of a basic finding; nil: there is none of that name.
func (s scanned) of(cve string) map[string]string {
	for _, f := range s.ImageScanFindings.Findings {
		if f.Name == cve {
			all := map[string]string{"severity": f.Severity}
			for _, a := range f.Attributes {
				all[a.Key] = a.Value
			}
			return all
		}
	}
	return nil
}

// TestScan pushes a real Debian image: what the AWS CLI then shows is true, and news of advisories change it without a look at the image.
func TestScan(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		image := rootfstest.Debian(t)
		dir := t.TempDir()
		now := time.Now()
		layAdvisories(t, dir, map[string]string{"DEBIAN-CVE-2026-90001.json": debianAdvisory("CVE-2026-90001", "bash", "99", now.Add(-time.Hour))})
		s := berthproc.Start(t, berthproc.Config{Storage: storage, Args: []string{"--advisories", dir, "--advisories-every", "0", "--log-level", "debug"}})
		sh := newShell(t, s)
		berthproc.Tool(t, "aws")
		sh.run(berthproc.Binary(t), "advisories", "update")
		aws := func(args ...string) string { return sh.run("aws", append([]string{"ecr"}, args...)...) }
		aws("create-repository", "--repository-name", "debian/app", "--image-scanning-configuration", "scanOnPush=true")
		ref, err := name.NewTag(s.Host+"/debian/app:v1", name.Insecure)
		ok(t, 0, err)
		ok(t, 0, remote.Write(ref, image.OCI, remote.WithAuth(&authn.Basic{Username: "AWS", Password: s.Password()})))
		began := time.Now()
		about := []string{"--repository-name", "debian/app", "--image-id", "imageTag=v1"}
		aws(append([]string{"wait", "image-scan-complete"}, about...)...)
		t.Logf("scanned after %v", time.Since(began).Round(time.Second))
		look := func() (all scanned) {
			t.Helper()
			ok(t, 0, json.Unmarshal([]byte(aws(append([]string{"describe-image-scan-findings", "--output", "json"}, about...)...)), &all))
			return all
		}
		var bash string
		for _, p := range image.Installed[rootfstest.Removed] {
			if p.Name == "bash" {
				bash = p.SourceVersion
			}
		}
		all := look()
		found := all.of("CVE-2026-90001")
		if all.ImageScanStatus.Status != "COMPLETE" || found["package_name"] != "bash" || found["package_version"] != bash || bash == "" ||
			found["fixed_in_versions"] != "99" || found["severity"] != "CRITICAL" {
			t.Errorf("%+v: the finding in bash %s is %v", all.ImageScanStatus, bash, found)
		}
		if all.of("CVE-2026-90002") != nil {
			t.Error("an advisory that was not imported hits")
		}
		reads := strings.Count(s.Log(), scanRead)
		if reads == 0 {
			t.Error("the log tells of no blob that was read")
		}
		layAdvisories(t, dir, map[string]string{
			"DEBIAN-CVE-2026-90001.json": debianAdvisory("CVE-2026-90001", "bash", "99", now.Add(-time.Hour)),
			"DEBIAN-CVE-2026-90002.json": debianAdvisory("CVE-2026-90002", "coreutils", "98", now),
		})
		sh.run(berthproc.Binary(t), "advisories", "update")
		began = time.Now()
		for all.of("CVE-2026-90002") == nil {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("news of advisories do not show: %+v", all)
			}
			pause(t, 100*time.Millisecond)
			all = look()
		}
		t.Logf("the news showed after %v", time.Since(began).Round(100*time.Millisecond))
		if n := strings.Count(s.Log(), scanRead); n != reads {
			t.Errorf("news of advisories led to %d reads of blobs", n-reads)
		}
		seeEnhanced(t, aws, look)
	})
}

// seeEnhanced has the registry scan for packages of languages too, which finds those of the application without a new read.
func seeEnhanced(t *testing.T, aws func(...string) string, look func() scanned) {
	t.Helper()
	aws("put-registry-scanning-configuration", "--scan-type", "ENHANCED", "--rules",
		`[{"scanFrequency":"CONTINUOUS_SCAN","repositoryFilters":[{"filter":"*","filterType":"WILDCARD"}]}]`)
	deadline := time.Now().Add(60 * time.Second)
	for {
		out := aws("describe-images", "--repository-name", "debian/app", "--query", "imageDetails[0].imageScanStatus.status", "--output", "text")
		if out == "ACTIVE" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the image that was there has the enhanced scan %s", out)
		}
		pause(t, 200*time.Millisecond)
	}
	managers := map[string]bool{}
	for _, f := range look().ImageScanFindings.EnhancedFindings {
		for _, p := range f.PackageVulnerabilityDetails.VulnerablePackages {
			managers[p.PackageManager] = true
			if p.Name == "" || p.Version == "" || p.FixedInVersion == "" || p.SourceLayerHash == "" {
				t.Errorf("an enhanced finding lacks something: %+v", f)
			}
		}
	}
	for _, m := range []string{"OS", "PYTHONPKG", "NODEPKG"} {
		if !managers[m] {
			t.Errorf("no finding in packages of %s: %v", m, managers)
		}
	}
}
