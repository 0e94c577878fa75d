package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Text writes the summary for people: a table of the projects that something came of, what failed, and one line that
// says it all.
func (s *Summary) Text(w io.Writer) error {
	rows := [][]string{{"PROJECT", "RESULT", "IMAGE", "TAGS", "TIME"}}
	for i := range s.Projects {
		p := &s.Projects[i]
		if p.Outcome == Nothing {
			continue
		}
		digest := ""
		if p.Image != nil {
			digest = oci.Digest(p.Image.Digest).Short()
		}
		rows = append(rows, []string{p.Name, p.result(), digest, strings.Join(p.tags(), ", "), p.time()})
	}
	var lines []string
	if len(rows) > 1 {
		lines = table(rows)
	}
	for i := range s.Projects {
		lines = append(lines, s.Projects[i].failures()...)
	}
	if s.DryRun {
		lines = append(lines, s.plans()...)
	}
	for _, n := range s.Notes {
		lines = append(lines, "note: "+n)
	}
	for _, line := range append(lines, s.Sentence()) {
		if _, err := io.WriteString(w, shown(line)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// plans are what a dry run says of each step.
func (s *Summary) plans() []string {
	var lines []string
	for _, p := range s.Projects {
		for _, step := range p.Steps {
			lines = append(lines, fmt.Sprintf("%s: %s: %s", p.Name, step.Step, step.Text))
		}
	}
	return lines
}

// table gives rows as lines with columns.
func table(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i := range r {
			r[i] = clean(r[i])
			if r[i] == "" {
				r[i] = "-"
			}
			widths[i] = max(widths[i], columns(r[i]))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(pad(cell, widths[i]+2))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// What came of a project, in a word.
const (
	shipped   = "shipped"   // an image of this run got a tag
	retagged  = "retagged"  // an image that was there did
	built     = "built"     // and not pushed
	unchanged = "unchanged" // all tags were there
	tested    = "tested"    // there is no image
)

func (p *Project) result() string {
	switch {
	case p.Outcome == Found:
		return "stopped by a check"
	case p.Outcome == Nothing:
		return unchanged
	case p.Outcome != Done:
		return string(p.Outcome)
	case p.Image == nil:
		if p.step(progress.Test) != nil {
			return tested
		}
		return string(p.Outcome)
	}
	changed := slices.ContainsFunc(p.Image.Tags, func(t Tag) bool { return t.Action == Pushed || t.Action == Moved || t.Action == Retagged })
	switch {
	case p.Image.Built && len(p.Image.Tags) == 0:
		return built
	case p.Image.Built && changed:
		return shipped
	case changed:
		return retagged
	default:
		return unchanged
	}
}

func (p *Project) step(which progress.Step) *Step {
	for i := range p.Steps {
		if p.Steps[i].Step == which {
			return &p.Steps[i]
		}
	}
	return nil
}

func (p *Project) tags() []string {
	if p.Image == nil {
		return nil
	}
	all := make([]string, 0, len(p.Image.Tags))
	for _, t := range p.Image.Tags {
		if t.Action == Newer {
			all = append(all, t.Tag+" (stays with a newer commit)")
			continue
		}
		all = append(all, t.Tag)
	}
	return all
}

// time is from the begin of the first step to the end of the last.
func (p *Project) time() string {
	var first, last time.Time
	for _, s := range p.Steps {
		if s.StartedAt.IsZero() {
			continue
		}
		if first.IsZero() || s.StartedAt.Before(first) {
			first = s.StartedAt
		}
		if end := s.StartedAt.Add(time.Duration(s.Seconds * float64(time.Second))); end.After(last) {
			last = end
		}
	}
	if first.IsZero() {
		return ""
	}
	return took(last.Sub(first))
}

// failures are lines that say why a project failed.
func (p *Project) failures() []string {
	if p.Outcome != Failed && p.Outcome != Found {
		return nil
	}
	var lines []string
	for _, s := range p.Steps {
		if s.Outcome == Failed || s.Outcome == Found {
			lines = append(lines, p.Name+": "+s.sentence())
		}
	}
	if len(lines) == 0 {
		lines = append(lines, p.Name+": "+cmp.Or(p.Reason, string(p.Outcome)))
	}
	for _, problem := range p.Problems {
		lines = append(lines, "  "+problem.sentence())
	}
	return lines
}

// sentence is "test failed: exit status 1".
func (s *Step) sentence() string {
	outcome := string(s.Outcome)
	if s.Outcome == Found {
		outcome = "stopped it"
	}
	return strings.TrimSuffix(string(s.Step)+" "+outcome+": "+s.Text, ": ")
}

func (p Problem) sentence() string {
	if p.Path == "" {
		return p.Text
	}
	return location(progress.Event{Path: p.Path, Line: p.Line}) + ": " + p.Text
}

// Sentence is the run in a line: "shipped 3 images, 2 retagged, 1 failed in 1m02s".
func (s *Summary) Sentence() string {
	n := map[string]int{}
	for i := range s.Projects {
		n[s.Projects[i].result()]++
	}
	var parts []string
	for _, what := range []string{shipped, built, retagged} { // the first of them says what is counted
		switch {
		case n[what] == 0:
		case len(parts) == 0:
			parts = append(parts, what+" "+counted(n[what], "image"))
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n[what], what))
		}
	}
	for _, what := range []string{tested, "done", "stopped by a check", "failed", "stopped", "skipped", unchanged} {
		if n[what] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[what], what))
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case s.DryRun && n["skipped"] > 0:
		text = "a dry run, nothing was done: " + text
	case s.Outcome == Nothing && text != "":
		text = "nothing to do: " + text
	case s.Outcome == Nothing:
		text = "nothing to do"
	case text == "":
		text = string(s.Outcome)
	}
	if !s.StartedAt.IsZero() && s.FinishedAt.After(s.StartedAt) {
		text += " in " + took(s.FinishedAt.Sub(s.StartedAt))
	}
	return text
}

// sentence is "CVE-2026-12345 critical in openssl 3.0.1, fixed in 3.0.2".
func (f Finding) sentence() string {
	text := strings.TrimSpace(f.ID + " " + f.Severity)
	if f.Unlisted > 0 {
		text = fmt.Sprintf("%d %s that the registry does not list", f.Unlisted, f.Severity)
	}
	if f.Package != "" {
		text += " in " + strings.TrimSpace(f.Package+" "+f.Version)
	}
	if f.FixedIn != "" {
		text += ", fixed in " + f.FixedIn
	}
	return text
}

// severities are those of a scan, the worst first.
var severities = []string{"critical", "high", "medium", "low", "informational", "unrated"}

// findings is "1 critical, 2 high", the worst first.
func (s *Scan) findings() string {
	names := slices.SortedFunc(maps.Keys(s.Counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		if s.Counts[name] != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.Counts[name], name))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func rank(severity string) int {
	if i := slices.Index(severities, severity); i >= 0 {
		return i
	}
	return len(severities)
}
