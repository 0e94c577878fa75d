package report

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

const (
	tailLines    = 40      // that are kept of what a task prints
	tailBytes    = 8 << 10 // likewise
	mostProblems = 1000    // of a project
)

// Collector is a sink that keeps what a Summary says of a run's steps. The zero value is ready.
type Collector struct {
	mu       sync.Mutex
	projects map[string]*collected
	order    []string
	notes    []string
	running  map[key]*running
}

type collected struct {
	steps    []Step
	problems []Problem
	notes    []string
}

// running is a task that has not ended.
type running struct {
	at   time.Time
	tail []string
	size int
}

// Event keeps what a Summary has.
func (c *Collector) Event(e progress.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{e.Project, e.Step}
	switch e.Kind {
	case progress.Started:
		c.task(k).at = e.Time
		c.project(e.Project)
	case progress.Output:
		c.task(k).add(clean(e.Text))
	case progress.Note:
		c.note(e)
	case progress.Problem:
		if p := c.project(e.Project); len(p.problems) < mostProblems {
			p.problems = append(p.problems, Problem{Step: e.Step, Path: e.Path, Line: e.Line, Text: clean(e.Text)})
		}
	default:
		if e.Kind.Ends() {
			c.end(k, e)
		}
	}
}

func (c *Collector) note(e progress.Event) {
	if e.Project == "" {
		c.notes = append(c.notes, clean(e.Text))
		return
	}
	p := c.project(e.Project)
	p.notes = append(p.notes, clean(e.Text))
}

func (c *Collector) end(k key, e progress.Event) {
	t := c.task(k)
	delete(c.running, k)
	p := c.project(k.project)
	if k.step == "" {
		if e.Kind == progress.Failed { // of all of it
			p.problems = append(p.problems, Problem{Text: clean(e.Text)})
		}
		return
	}
	step := Step{Step: k.step, Outcome: outcomeOf(e.Kind), StartedAt: t.at, Text: clean(e.Text)}
	step.Seconds = math.Round(e.Took.Seconds()*1000) / 1000
	if e.Kind == progress.Failed {
		step.Output = t.tail
	}
	p.steps = append(p.steps, step)
}

func (c *Collector) task(k key) *running {
	if c.running == nil {
		c.running = map[key]*running{}
	}
	if c.running[k] == nil {
		c.running[k] = &running{}
	}
	return c.running[k]
}

func (c *Collector) project(name string) *collected {
	if c.projects == nil {
		c.projects = map[string]*collected{}
	}
	if c.projects[name] == nil {
		c.projects[name] = &collected{}
		c.order = append(c.order, name)
	}
	return c.projects[name]
}

// Fill adds what was collected to a summary's projects, and those projects that are missing; then it settles the
// outcomes. Notes of the run as a whole are the summary's, and its problems are notes too. What began and has not ended
// was stopped. Fill is for the end of a run: a second one would add everything again.
func (c *Collector) Fill(s *Summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, t := range c.running {
		if k.step != "" && !t.at.IsZero() {
			p := c.project(k.project)
			p.steps = append(p.steps, Step{Step: k.step, Outcome: Stopped, StartedAt: t.at, Text: notFinished})
		}
	}
	s.Version = Version
	s.Notes = append(s.Notes, c.notes...)
	for _, name := range c.order {
		of := c.projects[name]
		if name == "" {
			for _, p := range of.problems {
				s.Notes = append(s.Notes, p.Text)
			}
			continue
		}
		i := slices.IndexFunc(s.Projects, func(p Project) bool { return p.Name == name })
		if i < 0 {
			s.Projects = append(s.Projects, Project{Name: name})
			i = len(s.Projects) - 1
		}
		p := &s.Projects[i]
		steps := slices.Clone(of.steps)
		slices.SortStableFunc(steps, byBegin)
		p.Steps = append(p.Steps, steps...)
		p.Problems = append(p.Problems, of.problems...)
		p.Notes = append(p.Notes, of.notes...)
	}
	s.Settle()
}

// byBegin orders steps by when they began, those that did not last.
func byBegin(a, b Step) int {
	switch {
	case a.StartedAt.IsZero() && b.StartedAt.IsZero():
		return 0
	case a.StartedAt.IsZero():
		return 1
	case b.StartedAt.IsZero():
		return -1
	default:
		return a.StartedAt.Compare(b.StartedAt)
	}
}

func outcomeOf(k progress.Kind) Outcome {
	switch k {
	case progress.Done:
		return Done
	case progress.Found:
		return Found
	case progress.Stopped:
		return Stopped
	case progress.Skipped:
		return Skipped
	default:
		return Failed
	}
}

// add keeps the last lines.
func (r *running) add(line string) {
	if len(line) > tailBytes {
		line = cut(line, tailBytes/4)
	}
	r.tail = append(r.tail, line)
	r.size += len(line)
	for len(r.tail) > tailLines || r.size > tailBytes && len(r.tail) > 1 {
		r.size -= len(r.tail[0])
		r.tail = r.tail[1:]
	}
}
