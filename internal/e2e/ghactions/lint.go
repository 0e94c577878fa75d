package ghactions

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// Problems gives what is wrong with an action: what a runner would refuse or, worse, not refuse. Told are outputs that a step's
// program writes, not its script, by the step's id.
func (a *Action) Problems(told map[string][]string) []string {
	l := &lint{action: a, told: told, used: map[string]bool{}}
	l.check(a.Name != "" && a.Description != "", "the action has no name or no description")
	l.check(a.Runs.Using == "composite", "the action is no composite one")
	for i := range a.Runs.Steps {
		l.step(i)
	}
	for name, output := range a.Outputs {
		l.check(output.Description != "", "the output %s has no description", name)
		l.names("the output "+name, output.Value, len(a.Runs.Steps))
		l.check(strings.HasPrefix(output.Value, "${{ steps."), "the output %s comes from no step", name)
	}
	for name, input := range a.Inputs {
		l.check(input.Description != "", "the input %s has no description", name)
		l.check(input.Required != (input.Default != nil), "the input %s has no default, or one and is required", name)
		l.check(l.used[name], "the input %s is not used", name)
	}
	slices.Sort(l.problems)
	return l.problems
}

type lint struct {
	action   *Action
	told     map[string][]string
	used     map[string]bool
	problems []string
}

func (l *lint) check(ok bool, format string, args ...any) {
	if !ok {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// pinned is an action of one major version, or of a commit.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@(v[0-9]+|[0-9a-f]{40})$`)

func (l *lint) step(i int) {
	s := &l.action.Runs.Steps[i]
	what := fmt.Sprintf("step %d", i+1)
	if s.ID != "" {
		what = "the step " + s.ID
	}
	l.check((s.Run == "") != (s.Uses == ""), "%s: it has one of run and uses", what)
	for key, v := range s.With {
		l.names(what+", with "+key, fmt.Sprint(v), i)
	}
	for key, v := range s.Env {
		l.names(what+", env "+key, v, i)
	}
	l.names(what+", working-directory", s.WorkingDirectory, i)
	l.names(what+", if", "${{ "+strings.TrimSuffix(strings.TrimPrefix(s.If, "${{"), "}}")+" }}", i)
	if s.Uses != "" {
		l.check(pinned.MatchString(s.Uses), "%s: %s is not of one version", what, s.Uses)
		return
	}
	l.check(s.Shell == "bash", "%s: its shell is not bash", what)
	l.check(!strings.Contains(s.Run, "${{"), "%s: an expression in its script is text that others may write: give it by env", what)
	cmd := exec.Command("bash", "-n") //nolint:noctx // it reads, and runs nothing
	cmd.Stdin = strings.NewReader(s.Run)
	out, err := cmd.CombinedOutput()
	l.check(err == nil, "%s: bash -n: %v: %s", what, err, out)
}

// names checks what the expressions of a text look up, before the step of that number.
func (l *lint) names(what, text string, before int) {
	if strings.Trim(text, "${ }") == "" {
		return
	}
	names, err := Names(text)
	l.check(err == nil, "%s: %v", what, err)
	for _, name := range names {
		switch context, rest, _ := strings.Cut(name, "."); context {
		case "inputs":
			_, ok := l.action.Inputs[rest]
			l.check(ok, "%s: there is no %s", what, name)
			l.used[rest] = true
		case "steps":
			id, output, _ := strings.Cut(rest, ".outputs.")
			i := slices.IndexFunc(l.action.Runs.Steps[:before], func(s Step) bool { return s.ID == id })
			l.check(i >= 0, "%s: no step before has the id %s", what, id)
			l.check(i < 0 || slices.Contains(l.told[id], output) || strings.Contains(l.action.Runs.Steps[i].Run, "'"+output+"="),
				"%s: the step %s writes no %s", what, id, output)
		case "runner", "github":
		default:
			l.check(false, "%s: %s is not understood", what, name)
		}
	}
}
