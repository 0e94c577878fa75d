package ghactions_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/ghactions"
)

const example = root + "/examples/monorepo/.github/workflows/ship.yml"

// TestExampleWorkflow reads the workflow that people copy: it is short, may do no more than it must, and gives the action what
// the action takes.
func TestExampleWorkflow(t *testing.T) {
	t.Parallel()
	w, err := ghactions.LoadWorkflow(example)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.Text, "\n"); n > 40 {
		t.Errorf("it has %d lines, more than 40", n)
	}
	if strings.Contains(w.Text, "secrets.") || strings.Contains(w.Text, "pull_request_target") {
		t.Error("it uses secrets, or runs what strangers write with the rights of the base")
	}
	read := map[string]string{"contents": "read"}
	if diff := cmp.Diff(read, w.Permissions); diff != "" {
		t.Errorf("the workflow's permissions (-want +got):\n%s", diff)
	}
	if w.Concurrency.Group == "" {
		t.Error("two runs of one branch go side by side")
	}
	for name, want := range map[string]struct {
		event       string
		permissions map[string]string
		with        []string
	}{
		"test": {"pull_request", nil, []string{"no-push"}},
		"ship": {"push", map[string]string{"contents": "read", "id-token": "write"}, []string{"registry-url", "role-to-assume", "aws-region", "fail-on"}},
	} {
		job := w.Jobs[name]
		if job.If != "github.event_name == '"+want.event+"'" {
			t.Errorf("%s runs if %q", name, job.If)
		}
		if diff := cmp.Diff(want.permissions, job.Permissions); diff != "" {
			t.Errorf("permissions of %s (-want +got):\n%s", name, diff)
		}
		if len(job.Steps) != 2 {
			t.Fatalf("%s has %d steps, want a checkout and the action", name, len(job.Steps))
		}
		checkout := map[string]any{"fetch-depth": uint64(0), "persist-credentials": false}
		if diff := cmp.Diff(checkout, job.Steps[0].With); diff != "" {
			t.Errorf("the checkout of %s (-want +got):\n%s", name, diff)
		}
		for _, input := range want.with {
			if _, ok := job.Steps[1].With[input]; !ok || len(job.Steps[1].With) != len(want.with) {
				t.Errorf("%s gives the action %v, want %v", name, job.Steps[1].With, want.with)
			}
		}
	}
	checkSteps(t, w)
}

// checkSteps looks at each step of a workflow: the actions that it uses, and the inputs of ours.
func checkSteps(t *testing.T, w *ghactions.Workflow) {
	t.Helper()
	action, err := ghactions.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, job := range w.Jobs {
		for _, s := range job.Steps {
			if strings.Contains(s.Run, "${{") {
				t.Errorf("%s: an expression in a script: %s", name, s.Run)
			}
			used, version, _ := strings.Cut(s.Uses, "@")
			switch used {
			case "", "aws-actions/configure-aws-credentials", "aws-actions/amazon-ecr-login":
			case "actions/checkout":
				if version != "v5" {
					t.Errorf("%s uses %s, and the other pages have v5", name, s.Uses)
				}
			case "hoopstat-haus/berth":
				for input := range s.With {
					if _, ok := action.Inputs[input]; !ok {
						t.Errorf("%s gives the action %s, which it does not take", name, input)
					}
				}
			default:
				t.Errorf("%s uses %s, which nobody has looked at", name, s.Uses)
			}
		}
	}
}

// yamlBlock is an example in a page.
var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestWorkflowsInPages reads those that the documentation shows.
func TestWorkflowsInPages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/operate/github-actions.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[1], "\njobs:\n") {
			continue
		}
		n++
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yml", n))
		if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := ghactions.LoadWorkflow(file)
		if err != nil {
			t.Fatalf("%v\n%s", err, m[1])
		}
		checkSteps(t, w)
	}
	if n < 2 {
		t.Errorf("the page has %d workflows, want the short one and the one with others' actions", n)
	}
}
