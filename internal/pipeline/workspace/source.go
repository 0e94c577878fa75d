package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxBytes and maxDepth bound what a file may be. It has a dozen levels at most, and nobody writes a quarter of a megabyte by hand.
const (
	maxBytes = 1 << 18
	maxDepth = 64
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 where the problem is with the file as a whole
	Message      string
	Text         string // the line
}

// Error words it, with the line and a mark below the place.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	where := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	// A line that begins as a command to a CI system does, or that moves a terminal's cursor, is not shown.
	if p.Text == "" || strings.HasPrefix(strings.TrimSpace(p.Text), "::") || strings.ContainsFunc(p.Text, func(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }) {
		return where
	}
	// Tabs are kept in front of the mark so that it stands below its place however wide they are shown.
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, firstRunes(p.Text, p.Column-1))
	return where + "\n    " + p.Text + "\n    " + indent + "^"
}

func firstRunes(s string, n int) string {
	runes := []rune(s)
	return string(runes[:max(0, min(n, len(runes)))])
}

// Problems is all that is wrong with a file, from top to bottom.
type Problems []Problem

// Error has a paragraph for each.
func (p Problems) Error() string {
	texts := make([]string, len(p))
	for i, each := range p {
		texts[i] = each.Error()
	}
	return strings.Join(texts, "\n")
}

// source is a file that is read: its text, where in it each value is, and what was found wrong.
type source struct {
	name     string
	lines    []string
	at       map[string]*token.Token // by path, such as projects.auth.depends_on[0]; keys of mappings have a # behind
	problems Problems
}

func newSource(name string, text []byte) *source {
	return &source{name: name, lines: strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n"), at: map[string]*token.Token{}}
}

// parse gives the file's one document, nil if there is nothing in it.
func (s *source) parse(text []byte) (node ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser must not take the program down with it
			node, err = nil, Problems{{File: s.name, Message: fmt.Sprintf("no YAML that can be read: %v", r)}}
		}
	}()
	switch {
	case len(text) > maxBytes:
		return nil, Problems{{File: s.name, Message: "larger than 256 KiB"}}
	case bytes.IndexByte(text, 0) >= 0:
		return nil, Problems{{File: s.name, Message: "no text: it has a zero byte"}}
	case nesting(text) > maxDepth:
		return nil, Problems{{File: s.name, Message: fmt.Sprintf("nested more than %d deep", maxDepth)}}
	}
	parsed, err := parser.ParseBytes(text, 0)
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		s.problem(syntax.Token, "%s", syntax.Message)
		return nil, s.err()
	}
	if err != nil {
		return nil, Problems{{File: s.name, Message: err.Error()}}
	}
	for _, doc := range parsed.Docs {
		switch {
		case doc.Body == nil:
		case node != nil:
			s.problem(start(doc.Body), "one document is read, and this is another")
		default:
			node = doc.Body
		}
	}
	return node, s.err()
}

// start is where a node begins: a mapping in lines begins with its first key, not with the colon behind that.
func start(node ast.Node) *token.Token {
	if m, ok := node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return node.GetToken()
}

// nesting is how deep brackets go, and dashes at the beginning of a line, whatever they stand in: more than the truth
// does no harm. Indentation costs too many bytes to go deep.
func nesting(text []byte) int {
	depth, dashes, deepest := 0, 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '-', '?', ':':
			dashes++
		case ' ', '\t':
		default:
			dashes = 0
		}
		deepest = max(deepest, depth, dashes-200) // --- and a row of dashes in a comment are nothing
	}
	return deepest
}

// problem notes what is wrong at a place.
func (s *source) problem(at *token.Token, format string, args ...any) {
	message := strings.Map(func(r rune) rune { // keys are quoted in it as they are written
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprintf(format, args...))
	p := Problem{File: s.name, Message: message}
	if at != nil && at.Position != nil {
		p.Line, p.Column = at.Position.Line, at.Position.Column
	}
	if p.Line >= 1 && p.Line <= len(s.lines) {
		p.Text = s.lines[p.Line-1]
	}
	s.problems = append(s.problems, p)
}

// wrong notes what is wrong with the value of a path, or with the nearest that is there around it.
func (s *source) wrong(path, format string, args ...any) {
	for s.at[path] == nil && path != "" {
		path = path[:max(0, strings.LastIndexAny(path, ".[#"))]
	}
	s.problem(s.at[path], format, args...)
}

func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return s.problems
}
