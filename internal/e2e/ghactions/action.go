// Package ghactions runs a composite action as a runner of GitHub Actions does, and reads workflows: its scripts by bash,
// its expressions, and the files by which steps tell things. It knows as much of all that as this repository uses, and refuses the
// rest instead of guessing.
package ghactions

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// Action is an action.yml.
type Action struct {
	Name        string            `yaml:"name"`
	Description string            `yaml:"description"`
	Author      string            `yaml:"author"`
	Branding    map[string]string `yaml:"branding"`
	Inputs      map[string]Input  `yaml:"inputs"`
	Outputs     map[string]Output `yaml:"outputs"`
	Runs        struct {
		Using string `yaml:"using"`
		Steps []Step `yaml:"steps"`
	} `yaml:"runs"`

	Dir string `yaml:"-"` // where it is
}

// Input is what a workflow may give.
type Input struct {
	Description string  `yaml:"description"`
	Default     *string `yaml:"default"`
	Required    bool    `yaml:"required"`
}

// Output is what a workflow is given.
type Output struct {
	Description string `yaml:"description"`
	Value       string `yaml:"value"`
}

// Step is a step of an action or of a workflow's job.
type Step struct {
	ID   string            `yaml:"id"`
	Name string            `yaml:"name"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	With map[string]any    `yaml:"with"`
	Run  string            `yaml:"run"`
	Env  map[string]string `yaml:"env"`

	Shell            string `yaml:"shell"`
	WorkingDirectory string `yaml:"working-directory"`
}

// Load reads the action of a directory. A key that this package does not know is an error.
func Load(dir string) (*Action, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("reading an action: %w", err)
	}
	a := &Action{Dir: dir}
	return a, decode(filepath.Join(dir, "action.yml"), a)
}

// Workflow is a file of .github/workflows.
type Workflow struct {
	Name        string            `yaml:"name"`
	On          map[string]any    `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Env         map[string]string `yaml:"env"`
	Concurrency struct {
		Group  string `yaml:"group"`
		Cancel any    `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Jobs map[string]Job `yaml:"jobs"`

	Text string `yaml:"-"`
}

// Job is a job of a workflow.
type Job struct {
	If          string            `yaml:"if"`
	Permissions map[string]string `yaml:"permissions"`
	RunsOn      string            `yaml:"runs-on"`
	Timeout     int               `yaml:"timeout-minutes"`
	Steps       []Step            `yaml:"steps"`
}

// LoadWorkflow reads a workflow. A key that this package does not know is an error.
func LoadWorkflow(file string) (*Workflow, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a workflow: %w", err)
	}
	w := &Workflow{Text: string(text)}
	return w, decode(file, w)
}

func decode(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if err := yaml.UnmarshalWithOptions(text, into, yaml.Strict()); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	return nil
}
