package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decodeFile reads a settings file: a mapping from option names to scalars, and from the names of sections
// to what is in them. It reports every problem with its line, marked.
//
// It walks the syntax tree instead of decoding into a struct, so that the options' table alone says what
// there is, and so that 012345678901 stays the twelve digits that were typed.
func decodeFile(name, source string, options []Option) (map[string]setting, error) {
	f := file{name: name, lines: strings.Split(source, "\n"), options: options}
	parsed, err := parser.ParseBytes([]byte(source), 0)
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		return nil, f.problem(syntax.Token, "%s", syntax.Message)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	settings := map[string]setting{}
	var problems []error
	for i, doc := range parsed.Docs {
		switch body := doc.Body.(type) {
		case nil: // nothing but comments
		case *ast.MappingNode:
			if i > 0 {
				problems = append(problems, f.problem(body.GetToken(), "one document is read, and this is another"))
				continue
			}
			for _, entry := range body.Values {
				problems = append(problems, f.decode(entry, settings))
			}
		default:
			problems = append(problems, f.problem(body.GetToken(), "a settings file is a mapping such as \"listen: localhost:5080\""))
		}
	}
	return settings, errors.Join(problems...)
}

type file struct {
	name    string
	lines   []string
	options []Option
}

func (f file) decode(entry *ast.MappingValueNode, settings map[string]setting) error {
	key := entry.Key.GetToken()
	origin := fmt.Sprintf("%s:%d: %s", f.name, key.Position.Line, key.Value)
	if slices.ContainsFunc(sections(), func(s section) bool { return s.name == key.Value }) {
		if _, empty := entry.Value.(*ast.NullNode); !empty {
			settings[key.Value] = setting{origin: origin, node: entry.Value}
		}
		return nil
	}
	i := slices.IndexFunc(f.options, func(o Option) bool { return o.Name == key.Value && !o.NoFile })
	if i < 0 {
		return f.problem(key, "no setting of the name %q%s", key.Value, f.suggest(key.Value))
	}
	var value string
	switch v := entry.Value.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		value = v.GetToken().Value
	case *ast.LiteralNode:
		value = v.Value.Value
	case *ast.NullNode:
		return nil // "hostname:" with nothing behind it is a setting left at its default
	default:
		return f.problem(v.GetToken(), "%s takes a single value", key.Value)
	}
	settings[key.Value] = setting{value: value, origin: origin}
	return nil
}

// suggest finds the setting that was probably meant.
func (f file) suggest(name string) string {
	wanted := strings.NewReplacer("_", "-", " ", "-", ".", "-").Replace(strings.ToLower(name))
	for _, o := range f.options {
		if !o.NoFile && (o.Name == wanted || strings.ReplaceAll(o.Name, "-", "") == strings.ReplaceAll(wanted, "-", "")) {
			return fmt.Sprintf(" (did you mean %q?)", o.Name)
		}
	}
	return ""
}

// problem words an error with the line it is on and a mark below the place. The line of a secret is not
// shown, and no line beside the one at fault.
func (f file) problem(at *token.Token, format string, args ...any) error {
	line, column := at.Position.Line, at.Position.Column
	err := fmt.Errorf("%s:%d:%d: %w", f.name, line, column, fmt.Errorf(format, args...))
	if line < 1 || line > len(f.lines) {
		return err
	}
	source := strings.TrimRight(f.lines[line-1], "\r")
	for _, o := range f.options {
		if o.Secret && strings.Contains(source, o.Name) {
			return err
		}
	}
	for _, name := range []string{"secret", "access-token", "password", "slack", "webhook"} { // in sections
		if strings.Contains(source, name) {
			return err
		}
	}
	// Tabs are kept in front of the mark so that it stands below its place however wide they are shown.
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, firstRunes(source, column-1))
	return fmt.Errorf("%w\n    %s\n    %s^", err, source, indent)
}

func firstRunes(s string, n int) string {
	runes := []rune(s)
	return string(runes[:max(0, min(n, len(runes)))])
}
