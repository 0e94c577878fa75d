// Package advice reads a Dockerfile, and the image that was made by it if there is one, and says what makes the image large,
// slow to build, hard to reproduce, or unsafe: in which line, why that matters, and what to write instead.
//
// It says what can be known from the text. A finding is a warning where something should be changed, and a note where that
// depends. Values of variables are never repeated.
package advice

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// Level is how much a finding matters.
type Level string

// The levels.
const (
	Warning Level = "warning"
	Note    Level = "note"
)

// Finding is one thing to say.
type Finding struct {
	Rule  string // such as base-unpinned; a contract
	Level Level
	Line  int // 0: of no line
	What  string
	Why   string
	Fix   string
}

// Input is what there is to look at.
type Input struct {
	Dockerfile []byte
	Ignored    bool            // there is a .dockerignore
	Image      *images.Variant // what was made by it; nil where that is not known
}

// Read gives all findings, in the order of their lines.
func Read(in Input) ([]Finding, error) {
	file, err := plan.ReadDockerfile(in.Dockerfile)
	if err != nil {
		return nil, err //nolint:wrapcheck // says what is wrong with the file
	}
	r := &reader{Input: in, file: file, needed: file.Needed(), final: map[int]bool{}}
	for i := len(file.Stages) - 1; i >= 0; {
		r.final[i] = true
		_, i = file.Base(i)
	}
	for i, s := range file.Stages {
		if r.needed[i] {
			r.base(i, s)
			r.stage(i, s)
		}
	}
	r.args(file.Global)
	r.compiler()
	r.runtime()
	r.ignore()
	r.size()
	slices.SortStableFunc(r.found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return r.found, nil
}

type reader struct {
	Input
	file   *plan.Recipe
	needed map[int]bool
	final  map[int]bool // stages whose layers the image has
	found  []Finding
	copied bool // the whole context is copied somewhere
}

func (r *reader) add(rule string, level Level, at []parser.Range, what, why, fix string) {
	line := 0
	if len(at) > 0 {
		line = at[0].Start.Line
	}
	r.found = append(r.found, Finding{rule, level, line, what, why, fix})
}

// stage looks at the instructions of a stage.
func (r *reader) stage(i int, s instructions.Stage) {
	var all []parser.Range // where the whole context was copied; what is installed later is installed anew each time
	pipKeeps := true
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.EnvCommand:
			r.env(c)
			for _, kv := range c.Env {
				pipKeeps = pipKeeps && kv.Key != "PIP_NO_CACHE_DIR"
			}
		case *instructions.ArgCommand:
			r.args([]instructions.ArgCommand{*c})
		case *instructions.AddCommand:
			r.adds(c)
		case *instructions.CopyCommand:
			if c.From != "" {
				continue
			}
			r.copies(c)
			if all == nil && slices.ContainsFunc(c.SourcePaths, isContext) {
				all, r.copied = c.Location(), true
			}
		case *instructions.RunCommand:
			text := command(c)
			if r.final[i] {
				r.caches(c, text, pipKeeps)
			}
			if tool := installs(text); tool != "" && all != nil {
				r.add("copy-before-install", Warning, all, "everything is copied before "+tool+" installs what the app depends on",
					"any change to any file has all dependencies downloaded and installed again",
					fmt.Sprintf("copy what %s reads first, run it, and then copy the rest", tool))
				all = nil
			}
		}
	}
}

func isContext(source string) bool {
	return source == "." || source == "./" || source == "/" || source == "*"
}
