package report

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// github is the dialect of GitHub Actions:
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
type github struct{ prefix string }

func (github) open(e progress.Event) string { return command("group", nil, title(e)) }
func (github) shut(progress.Event) string   { return command("endgroup", nil, "") }
func (github) indent() string               { return "" }

// property is a name and a value of a command.
type property struct{ name, value string }

var (
	dataEscapes     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// command is a line that GitHub's runner obeys. Properties without a value are left out.
func command(name string, properties []property, data string) string {
	var b strings.Builder
	b.WriteString("::" + name)
	separator := " "
	for _, p := range properties {
		if p.value == "" {
			continue
		}
		b.WriteString(separator + p.name + "=" + propertyEscapes.Replace(inert(clean(p.value))))
		separator = ","
	}
	b.WriteString("::" + dataEscapes.Replace(inert(clean(data))) + "\n")
	return b.String()
}

// annotate makes errors of what failed and of the problems of that. Problems of what did not fail are warnings, and so
// are notes about the run as a whole or about a file. GitHub shows ten of each kind for a step.
func (g github) annotate(e progress.Event, ended progress.Kind) string {
	level := "warning"
	switch e.Kind {
	case progress.Problem:
		if ended == progress.Failed || ended == progress.Found {
			level = "error"
		}
	case progress.Failed, progress.Found:
		level = "error"
	case progress.Note:
		if e.Path == "" && (e.Project != "" || e.Step != "") {
			return ""
		}
	default:
		return ""
	}
	properties := []property{}
	if e.Path != "" {
		properties = append(properties, property{"file", path.Join(g.prefix, e.Path)})
		if e.Line > 0 {
			properties = append(properties, property{"line", strconv.Itoa(e.Line)})
		}
	}
	text := e.Text
	if text == "" {
		text = string(e.Kind)
	}
	return command(level, append(properties, property{"title", name(e)}), text)
}

// gitlab is the dialect of GitLab CI, which folds what is between two marks:
// https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
type gitlab struct {
	plain
	sections int
}

func (g *gitlab) open(e progress.Event) string {
	g.sections++
	return fmt.Sprintf("\x1b[0Ksection_start:%d:berth_%d[collapsed=true]\r\x1b[0K%s\n", e.Time.Unix(), g.sections, shown(title(e)))
}

func (g *gitlab) shut(e progress.Event) string {
	return fmt.Sprintf("\x1b[0Ksection_end:%d:berth_%d\r\x1b[0K\n", e.Time.Unix(), g.sections)
}
