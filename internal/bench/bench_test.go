package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestBench runs all of it, too briefly to mean anything, and looks whether there is a figure everywhere.
func TestBench(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds and runs servers")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the bench reads costs from Linux's /proc")
	}
	servers := "berth,distribution"
	if _, err := exec.LookPath("registry"); err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatalf("BERTH_TEST_REQUIRE=all, and distribution's registry is not installed: %v", err)
		}
		t.Log("distribution's registry is not installed: Berth is compared with itself")
		servers = "berth,berth"
	}
	program := filepath.Join(t.TempDir(), "bench")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the bench: %v\n%s", err, out)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "-short", "-dir", dir, "-output", "json", "-servers", servers)
	out, err := cmd.Output()
	if err != nil {
		exit, _ := err.(*exec.ExitError) //nolint:errorlint // Output wraps nothing
		t.Fatalf("%s: %v\n%s", cmd, err, exit.Stderr)
	}
	var results struct {
		Rows []struct {
			Phase, Title   string
			Subject, Other float64
		}
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%s printed what is not JSON: %v\n%s", cmd, err, out)
	}
	if len(results.Rows) != 14 {
		t.Errorf("the bench compares %d things, want 14: %+v", len(results.Rows), results.Rows)
	}
	for _, row := range results.Rows {
		// So short a run may cost less than the clock of processor times can tell.
		alone := row.Phase == "listing" // is compared with itself
		if costless := row.Subject == 0 || row.Other == 0 && !alone; costless && row.Title[max(0, len(row.Title)-3):] != "CPU" {
			t.Errorf("%s: no figure: %+v", row.Title, row)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the bench left %v in its directory (error %v), want nothing", left, err)
	}
}
