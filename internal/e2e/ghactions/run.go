package ghactions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Run is where an action runs, and with what.
type Run struct {
	With      map[string]string
	Env       []string // of the job, NAME=value
	Workspace string
	Temp      string // RUNNER_TEMP
	// Uses are the actions that its steps may use, by name and version, and what they do with what they are given.
	Uses map[string]func(with map[string]string) error
}

// Result is what is left when an action has run.
type Result struct {
	Outputs map[string]string
	Log     string // as people see it, masked
	Spoken  string // what was printed, but for what only asks for a mask, unmasked
	Masks   []string
	Summary string
	Ran     []string // steps, by id or by what they use
	Code    int      // of the step that failed, 0 if none did
}

// running is a run in its middle.
type running struct {
	*Run
	*Result
	action  *Action
	env     map[string]string
	outputs map[string]map[string]string // by step
	dir     string                       // the runner's own files
}

// Do runs the steps until one fails. A step whose context ends is interrupted, as a job is that is cancelled.
func (a *Action) Do(ctx context.Context, r Run) (*Result, error) {
	for name := range r.With {
		if _, ok := a.Inputs[name]; !ok {
			return nil, fmt.Errorf("the action has no input %s", name)
		}
	}
	dir, err := os.MkdirTemp(r.Temp, "runner-")
	if err != nil {
		return nil, fmt.Errorf("running an action: %w", err)
	}
	at := &running{Run: &r, Result: &Result{Outputs: map[string]string{}}, action: a, env: map[string]string{}, outputs: map[string]map[string]string{}, dir: dir}
	for _, v := range r.Env {
		name, value, _ := strings.Cut(v, "=")
		at.env[name] = value
	}
	at.env["GITHUB_ACTIONS"], at.env["GITHUB_WORKSPACE"], at.env["RUNNER_TEMP"], at.env["GITHUB_ACTION_PATH"] = "true", r.Workspace, r.Temp, a.Dir
	for i := range a.Runs.Steps {
		if err := at.step(ctx, &a.Runs.Steps[i]); err != nil {
			return at.Result, err
		}
		if at.Code != 0 {
			break
		}
	}
	for name, output := range a.Outputs {
		v, err := Expand(output.Value, at.lookup)
		if err != nil {
			return at.Result, err
		}
		at.Outputs[name] = v
	}
	return at.Result, os.RemoveAll(dir)
}

// lookup is what expressions see. A step that was left out has no outputs, which is no error.
func (at *running) lookup(name string) (string, bool) {
	switch context, rest, _ := strings.Cut(name, "."); context {
	case "inputs":
		input, ok := at.action.Inputs[rest]
		if v, given := at.With[rest]; given {
			return v, ok
		}
		if input.Default == nil {
			return "", ok
		}
		return *input.Default, ok
	case "steps":
		step, output, ok := strings.Cut(rest, ".outputs.")
		known := slices.ContainsFunc(at.action.Runs.Steps, func(s Step) bool { return s.ID == step })
		return at.outputs[step][output], ok && known
	case "runner":
		return at.Temp, rest == "temp"
	case "github":
		v := at.env["GITHUB_"+strings.ToUpper(rest)]
		return v, slices.Contains([]string{"action_path", "event_name", "workspace", "ref"}, rest)
	default:
		return "", false
	}
}

func (at *running) step(ctx context.Context, s *Step) error {
	name := s.ID
	if s.Uses != "" {
		name = s.Uses
	}
	do, err := Condition(s.If, at.lookup)
	if err != nil || !do {
		return err
	}
	at.Ran = append(at.Ran, name)
	if s.Uses == "" {
		return at.script(ctx, s)
	}
	known, ok := at.Uses[s.Uses]
	if !ok {
		return fmt.Errorf("the step uses %s, which nobody looks at", s.Uses)
	}
	with := map[string]string{}
	for key, v := range s.With {
		if with[key], err = Expand(fmt.Sprint(v), at.lookup); err != nil {
			return err
		}
	}
	return known(with)
}

// script runs a step's script. docs.github.com: "Workflow syntax", jobs.<job_id>.steps[*].shell.
func (at *running) script(ctx context.Context, s *Step) error {
	if s.Shell != "bash" {
		return fmt.Errorf("the step's shell is %q, and bash is all that is understood", s.Shell)
	}
	text, err := Expand(s.Run, at.lookup)
	if err != nil {
		return err
	}
	dir, err := Expand(s.WorkingDirectory, at.lookup)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(at.Workspace, dir)
	}
	env := maps.Clone(at.env)
	for name, v := range s.Env {
		if env[name], err = Expand(v, at.lookup); err != nil {
			return err
		}
	}
	files := map[string]string{}
	for _, name := range []string{"OUTPUT", "ENV", "PATH", "STEP_SUMMARY"} {
		files[name] = filepath.Join(at.dir, strings.ToLower(name))
		if err := os.WriteFile(files[name], nil, 0o600); err != nil {
			return fmt.Errorf("running an action: %w", err)
		}
		env["GITHUB_"+name] = files[name]
	}
	file := filepath.Join(at.dir, "script.sh")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("running an action: %w", err)
	}
	if err := at.bash(ctx, file, dir, env); err != nil {
		return err
	}
	return at.told(s.ID, files)
}

func (at *running) bash(ctx context.Context, file, dir string, env map[string]string) error {
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", file)
	cmd.Dir, cmd.WaitDelay = dir, 10*time.Second
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	for name, v := range env {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	at.heard(out.String())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if at.Code = exit.ExitCode(); at.Code == 0 {
			at.Code = -1
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("running a step of an action: %w", err)
	}
	return nil
}

// heard reads what a step printed as a runner does: a line with ::add-mask:: is kept for itself, and from then on the secret is
// not shown.
func (at *running) heard(out string) {
	var log strings.Builder
	for line := range strings.Lines(out) {
		if secret, ok := strings.CutPrefix(line, "::add-mask::"); ok {
			at.Masks = append(at.Masks, strings.TrimRight(secret, "\r\n"))
			continue
		}
		at.Spoken += line
		for _, secret := range at.Masks {
			line = strings.ReplaceAll(line, secret, "***")
		}
		log.WriteString(line)
	}
	at.Log += log.String()
}

// told reads the files by which a step tells things.
func (at *running) told(id string, files map[string]string) error {
	for name, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading what a step told: %w", err)
		}
		switch name {
		case "STEP_SUMMARY":
			at.Summary += string(text)
		case "PATH":
			for dir := range strings.Lines(string(text)) {
				at.env["PATH"] = strings.TrimSpace(dir) + ":" + at.env["PATH"]
			}
		default:
			pairs, err := readPairs(string(text))
			if err != nil {
				return fmt.Errorf("GITHUB_%s of the step %s: %w", name, id, err)
			}
			if name == "ENV" {
				maps.Copy(at.env, pairs)
			} else {
				at.outputs[id] = pairs
			}
		}
	}
	return nil
}

// readPairs reads lines of name=value, and values of more lines between name<<END and END.
func readPairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		equal, long := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case line == "":
		case long > 0 && (equal < 0 || long < equal):
			end := slices.Index(lines[i+1:], line[long+2:])
			if end < 0 {
				return nil, fmt.Errorf("%q has no end", line)
			}
			pairs[line[:long]] = strings.Join(lines[i+1:i+1+end], "\n")
			i += end + 1
		case equal > 0:
			pairs[line[:equal]] = line[equal+1:]
		default:
			return nil, fmt.Errorf("%q is no name=value", line)
		}
	}
	return pairs, nil
}
