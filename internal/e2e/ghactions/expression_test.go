package ghactions_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/e2e/ghactions"
)

// root is where this repository is.
const root = "../../.."

func TestExpressions(t *testing.T) {
	t.Parallel()
	values := map[string]string{"inputs.a": "x", "inputs.empty": "", "steps.b.outputs.c-d": "y", "inputs.text": "${{ inputs.a }}"}
	get := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	const fails = "!"
	for text, want := range map[string]string{
		"plain":                                                 "plain",
		"${{ inputs.a }}":                                       "x",
		"<${{inputs.a}}${{'b'}}>":                               "<xb>",
		"${{ steps.b.outputs.c-d }}":                            "y",
		"${{ inputs.text }}":                                    "${{ inputs.a }}", // what is replaced is not read again
		"${{ 'it''s' }}":                                        "it's",
		"${{ inputs.empty || inputs.a }}":                       "x",
		"${{ inputs.a || 'b' }}":                                "x",
		"${{ inputs.empty && 'b' }}":                            "",
		"${{ inputs.a && 'b' || 'c' }}":                         "b",
		"${{ inputs.empty && 'b' || 'c' }}":                     "c",
		"${{ inputs.a == 'X' }}":                                "true", // GitHub ignores case
		"${{ inputs.a != 'X' }}":                                "false",
		"${{ !(inputs.a == 'x') }}":                             "false",
		"${{ inputs.a == 'x' && inputs.empty != '' || false }}": "false",
		"${{ inputs.none }}":                                    fails,
		"${{ 'x' == 'x' && inputs.none }}":                      fails,
		"${{ true || inputs.none }}":                            fails,
		"${{ contains(inputs.a, 'x') }}":                        fails,
		"${{ inputs.a == true }}":                               fails,
		"${{ inputs.a inputs.a }}":                              fails,
		"${{ (inputs.a }}":                                      fails,
		"${{ inputs.a":                                          fails,
		"${{ inputs.a == }}":                                    fails,
		"${{ inputs['a'] }}":                                    fails,
		"${{ 5 }}":                                              fails,
		"${{ always() }}":                                       fails,
	} {
		got, err := ghactions.Expand(text, get)
		if err != nil {
			got = fails
		}
		if got != want {
			t.Errorf("%s is %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]bool{
		"": true, "inputs.a == 'x'": true, "${{ inputs.a == 'x' }}": true, "inputs.empty": false, "inputs.a": true, "false": false, "inputs.a != 'x' || true": true,
	} {
		if got, err := ghactions.Condition(text, get); got != want || err != nil {
			t.Errorf("if: %s is %v, %v, want %v", text, got, err, want)
		}
	}
}

// TestProblemsAreFound reads an action with one of each.
func TestProblemsAreFound(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not on PATH")
	}
	a, err := ghactions.Load("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, problem := range a.Problems(nil) {
		line, _, _ := strings.Cut(problem, "\n")
		if before, _, ok := strings.Cut(line, "bash -n:"); ok {
			line = before + "bash -n"
		}
		got = append(got, line)
	}
	want := []string{
		"step 1, with ref: there is no inputs.branch",
		"step 1: actions/checkout@main is not of one version",
		"the action has no name or no description",
		"the input bare has no description",
		"the input idle is not used",
		"the input title is not used",
		"the output fixed comes from no step",
		"the output lost: the step second writes no lost",
		"the step first, if: no step before has the id second",
		"the step first: an expression in its script is text that others may write: give it by env",
		`the step second, env TITLE: the expression " contains(inputs.title, 'x') " is more than is understood, from ", 'x') "`,
		"the step second, env TOKEN: secrets.TOKEN is not understood",
		"the step second: bash -n",
		"the step second: its shell is not bash",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
}
