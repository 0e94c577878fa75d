package plan

import (
	"path"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Cause is why a project is affected.
type Cause string

// The causes.
const (
	Files        Cause = "files"        // its own
	Dockerfile   Cause = "dockerfile"   // its Dockerfile
	Dockerignore Cause = "dockerignore" // which of its files get to the builder
	Copied       Cause = "copied"       // a file that its Dockerfile copies
	Input        Cause = "input"        // another file that it depends on
	Depends      Cause = "dependency"   // a project that it depends on
	Settings     Cause = "settings"     // what berth.yaml says of it
	Unreadable   Cause = "unreadable"   // a file of it that cannot be read
	Everything   Cause = "everything"   // there is nothing to compare with
)

// input is a path that a project depends on: a file, or all files of a directory, or those that a pattern stands for.
type input struct {
	at      string                 // the path, or the directory in which the pattern goes by the rest
	match   func(name string) bool // nil if there is no pattern
	pattern string                 // as it is written, "" if there is none
	cause   Cause
	why     string
}

func (in input) covers(name string) bool {
	if in.at != "." && name != in.at && !strings.HasPrefix(name, in.at+"/") {
		return false
	}
	return in.match == nil || in.match(name)
}

// globInput is an input that berth.yaml names.
func globInput(g workspace.Glob) input {
	const why = workspace.Name + ": inputs"
	at := strings.TrimSuffix(string(g), "/")
	if !g.IsPattern() {
		return input{at: at, cause: Input, why: why}
	}
	return input{at: fixed(at), cause: Input, why: why, pattern: string(g), match: func(name string) bool {
		for ; name != "."; name = path.Dir(name) {
			if g.Match(name) {
				return true
			}
		}
		return false
	}}
}

// fixed is the directory before a pattern's first part with a pattern.
func fixed(pattern string) string {
	var plain []string
	for part := range strings.SplitSeq(pattern, "/") {
		if strings.ContainsAny(part, `*?[\`) {
			break
		}
		plain = append(plain, part)
	}
	return path.Join(append([]string{"."}, plain...)...)
}

// copyInput is what COPY and ADD take for a source: each part of it is a pattern, and a directory is all that is in it.
func copyInput(pattern, why string) input {
	in := input{at: pattern, cause: Copied, why: why}
	if !strings.ContainsAny(pattern, `*?[\`) {
		return in
	}
	in.at, in.pattern = fixed(pattern), pattern
	parts := strings.Split(pattern, "/")
	in.match = func(name string) bool {
		rest, more := name, true
		for _, part := range parts {
			if strings.Contains(part, "**") { // any directories between: too much rather than too little
				return true
			}
			if !more {
				return false
			}
			var first string
			first, rest, more = strings.Cut(rest, "/")
			if ok, err := path.Match(part, first); err == nil && !ok {
				return false // a pattern that is none matches anything here: the build will say so
			}
		}
		return true
	}
	return in
}
