package ecr_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCLISettings is what a pipeline's set-up script does, and the wait for a scan that follows a push.
func TestCLISettings(t *testing.T) {
	s := newServer(t)
	aws := newCLI(t, s)
	s.create(t)
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(pullPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	aws.ok(t, "ecr", "set-repository-policy", "--repository-name", repo, "--policy-text", "file://"+file)
	if got := aws.ok(t, "ecr", "get-repository-policy", "--repository-name", repo, "--query", "policyText", "--output", "text"); strings.TrimSpace(got) != pullPolicy {
		t.Errorf("get-repository-policy: %s, want %s", got, pullPolicy)
	}
	aws.ok(t, "ecr", "put-registry-scanning-configuration", "--scan-type", "BASIC", "--rules",
		`[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"haus","filterType":"WILDCARD"}]}]`)
	s.image(t, "img", "v1")
	if _, complaint := aws.run(t, "ecr", "wait", "image-scan-complete", "--repository-name", repo, "--image-id", "imageTag=v1"); !strings.Contains(complaint, "terminal failure state") {
		t.Errorf("wait image-scan-complete: %q, want that it failed for good", complaint)
	}
}
