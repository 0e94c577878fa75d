package report

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

const (
	// maxStepSummary is what GitHub takes of a step; of more it shows nothing.
	maxStepSummary = 1 << 20
	listed         = 20  // problems and findings of a project
	reserved       = 256 // bytes for what says that something was left out
)

// AppendMarkdown adds the summary to a file as GitHub reads it, the one that $GITHUB_STEP_SUMMARY names. What has no room
// in the file, with what others wrote to it, is left out, and that is said.
func (s *Summary) AppendMarkdown(path string) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, s.Markdown(maxStepSummary-int(min(info.Size(), maxStepSummary))))
	return err
}

// page is Markdown of limited size.
type page struct {
	b    strings.Builder
	room int
}

// add adds a block if there is room for it whole.
func (p *page) add(block string) bool {
	if p.b.Len()+len(block)+reserved > p.room {
		return false
	}
	p.b.WriteString(block)
	return true
}

// Markdown gives the summary as a table with a row for each project that something came of, and the failures with the
// last lines of their output, in at most so many bytes.
func (s *Summary) Markdown(limit int) string {
	p := page{room: limit}
	if !p.add("\n### " + escape(s.Sentence()) + "\n\n") {
		return ""
	}
	if line := s.source(); line != "" {
		p.add(line + "\n\n")
	}
	head := "| Project | Result | Tests | Image | Size | Tags | Scan | Time |\n| --- | --- | --- | --- | ---: | --- | --- | ---: |\n"
	first, left := true, 0
	for i := range s.Projects {
		if s.Projects[i].Outcome == Nothing {
			continue
		}
		block := s.Projects[i].tableRow()
		if first {
			block = head + block
		}
		if left > 0 || !p.add(block) {
			left++
			continue
		}
		first = false
	}
	p.left(left, "project")
	left = 0
	for i := range s.Projects {
		if block := s.Projects[i].section(); block != "" && !p.add(block) {
			left++
		}
	}
	p.left(left, "failure")
	for _, n := range s.Notes {
		p.add("\n> " + escape(n) + "\n")
	}
	return p.b.String()
}

// left says that something has no room, for which room was reserved.
func (p *page) left(n int, what string) {
	if n > 0 {
		fmt.Fprintf(&p.b, "\n%s left out: no room here, see the log.\n", counted(n, what))
	}
}

// source is what was shipped to where.
func (s *Summary) source() string {
	var parts []string
	if s.Commit != "" {
		parts = append(parts, "commit "+code(s.Commit[:min(len(s.Commit), 12)]))
	}
	if s.Branch != "" {
		parts = append(parts, "branch "+code(s.Branch))
	}
	if s.Repository != "" {
		parts = append(parts, "repository "+code(strings.TrimPrefix(s.Registry+"/"+s.Repository, "/")))
	}
	return strings.Join(parts, ", ")
}

func (p *Project) tableRow() string {
	tests, image, bytes, scan := "", "", "", ""
	if t := p.step(progress.Test); t != nil {
		switch t.Outcome {
		case Done:
			tests = "passed"
		case Skipped:
			tests = t.Text
		default:
			tests = string(t.Outcome)
		}
	}
	var tags []string
	if p.Image != nil {
		image = code(oci.Digest(p.Image.Digest).Short())
		if p.Image.Size > 0 {
			bytes = size(p.Image.Size)
		}
		for _, t := range p.tags() {
			tags = append(tags, code(t))
		}
	}
	if p.Scan != nil {
		scan = p.Scan.Verdict + ": " + p.Scan.findings()
	}
	cells := []string{code(p.Name), mark(p.Outcome) + escape(p.result()), escape(tests), image, escape(bytes), strings.Join(tags, " "), escape(scan), escape(p.time())}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func mark(o Outcome) string {
	switch o {
	case Done:
		return "✅ "
	case Failed:
		return "❌ "
	case Found:
		return "⛔ "
	default:
		return ""
	}
}

// section says why a project failed: nothing if it did not.
func (p *Project) section() string {
	if p.Outcome != Failed && p.Outcome != Found {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n#### %s\n", escape(p.Name))
	for _, s := range p.Steps {
		if s.Outcome == Failed || s.Outcome == Found {
			fmt.Fprintf(&b, "\n%s\n", escape(s.sentence()))
		}
	}
	bullets := make([]string, 0, len(p.Problems))
	for _, problem := range p.Problems {
		bullets = append(bullets, problem.sentence())
	}
	if p.Scan != nil {
		for _, f := range p.Scan.Stopping {
			bullets = append(bullets, f.sentence())
		}
	}
	for i, bullet := range bullets {
		if i == 0 {
			b.WriteString("\n")
		}
		if i == listed {
			fmt.Fprintf(&b, "- and %d more\n", len(bullets)-listed)
			break
		}
		fmt.Fprintf(&b, "- %s\n", escape(bullet))
	}
	for _, s := range p.Steps {
		if len(s.Output) > 0 {
			b.WriteString("\n" + fenced(s.Output))
		}
	}
	return b.String()
}

var markdownEscapes = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;",
	"$", "&#36;", // mathematics, which has backslashes of its own
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "~", `\~`, "|", `\|`, "#", `\#`, "!", `\!`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, ":", `\:`,
)

// escape is text within a line of Markdown that is only text: no markup, no HTML, no link.
func escape(text string) string { return markdownEscapes.Replace(clean(text)) }

// code is escape for names. It is HTML, since Markdown's own marks for code have no escapes.
func code(text string) string { return "<code>" + escape(text) + "</code>" }

// fenced is lines as a block of code, which ends at no fence of theirs.
func fenced(lines []string) string {
	longest, n := 2, 0
	for _, line := range lines {
		n = 0
		for _, r := range line {
			if r != '`' {
				n = 0
				continue
			}
			n++
			longest = max(longest, n)
		}
	}
	fence := strings.Repeat("`", longest+1)
	var b strings.Builder
	b.WriteString(fence + "text\n")
	for _, line := range lines {
		b.WriteString(clean(line) + "\n")
	}
	b.WriteString(fence + "\n")
	return b.String()
}
