package distribution_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConformance runs the OCI project's own suite, where its program is installed, with everything that it
// can try switched on.
func TestConformance(t *testing.T) {
	t.Parallel()
	suite, err := exec.LookPath("conformance")
	if err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("the OCI conformance suite is required and not on PATH")
		}
		t.Skip("the OCI conformance suite (a program named conformance) is not on PATH")
	}
	for _, version := range []string{"1.0", "1.1", "dev"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.createRepository(t, "conformance/repo1")
			s.createRepository(t, "conformance/repo2")
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			results := t.TempDir()
			cmd := exec.CommandContext(ctx, suite)
			cmd.Dir = results
			cmd.Env = append(os.Environ(),
				"OCI_REGISTRY="+s.host(), "OCI_TLS=disabled", "OCI_USERNAME=AWS", "OCI_PASSWORD=good",
				"OCI_REPO1=conformance/repo1", "OCI_REPO2=conformance/repo2", "OCI_RESULTS_DIR="+results, "OCI_VERSION="+version,
				"OCI_API_BLOBS_UPLOAD_CANCEL=true", "OCI_API_BLOBS_DIGEST_HEADER=true",
				"OCI_API_MANIFESTS_TAG_PARAM=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true",
			)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("the suite: %v\n%s", err, out)
			}
			report, err := os.ReadFile(filepath.Join(results, "results.yaml"))
			if err != nil {
				t.Fatalf("reading the suite's report: %v\n%s", err, out)
			}
			_, verdicts, _ := strings.Cut(string(report), "\napis:\n")
			passed := 0
			for line := range strings.Lines(verdicts) {
				switch _, verdict, _ := strings.Cut(strings.TrimSpace(line), ": "); verdict {
				case "Pass":
					passed++
				case "Disabled", "": // the version's own choice; a heading
				default:
					t.Errorf("the suite says %s", strings.TrimSpace(line))
				}
			}
			const least = 40 // of 51 in version 1.1
			if passed < least {
				t.Errorf("%d APIs and sets of data passed, want %d at least:\n%s", passed, least, verdicts)
			}
			if log := s.log.String(); log != "" {
				t.Errorf("the server logged errors meanwhile:\n%s", log)
			}
		})
	}
}
