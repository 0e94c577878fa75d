package ghactions

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Lookup gives the value of a name such as inputs.command, and whether there can be such a name at all.
type Lookup func(name string) (string, bool)

// Expand replaces each ${{ … }} in a text by its value.
func Expand(text string, get Lookup) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		inner, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", fmt.Errorf("%q: an expression has no end", text)
		}
		v, err := evaluate(inner, get)
		if err != nil {
			return "", err
		}
		b.WriteString(v.text())
		text = after
	}
}

// Condition tells whether a step's if: holds, where the steps before it went well.
func Condition(text string, get Lookup) (bool, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "${{"); ok && strings.HasSuffix(inner, "}}") {
		text = strings.TrimSuffix(inner, "}}")
	}
	if text == "" {
		return true, nil
	}
	v, err := evaluate(text, get)
	return err == nil && v.truth(), err
}

// Names gives what the expressions of a text look up.
func Names(text string) ([]string, error) {
	var names []string
	_, err := Expand(text, func(name string) (string, bool) {
		names = append(names, name)
		return "", true
	})
	return names, err
}

// value is a string or a boolean.
type value struct {
	s       string
	b, bool bool
}

func (v value) truth() bool {
	if v.bool {
		return v.b
	}
	return v.s != ""
}

func (v value) text() string {
	if v.bool {
		return fmt.Sprint(v.b)
	}
	return v.s
}

// token is one of a string, an operator, and a name. docs.github.com: "Evaluate expressions in workflows and actions".
var token = regexp.MustCompile(`^\s*('(?:[^']|'')*'|==|!=|&&|\|\||[!()]|[A-Za-z_][A-Za-z0-9_.-]*)`)

// reader evaluates from left to right; both sides of an operator always, so that no name goes unchecked.
type reader struct {
	tokens []string
	get    Lookup
	err    error
}

func evaluate(text string, get Lookup) (value, error) {
	r := &reader{get: get}
	for rest := text; strings.TrimSpace(rest) != ""; {
		m := token.FindStringSubmatch(rest)
		if m == nil {
			return value{}, fmt.Errorf("the expression %q is more than is understood, from %q", text, rest)
		}
		r.tokens, rest = append(r.tokens, m[1]), rest[len(m[0]):]
	}
	v := r.or()
	if len(r.tokens) > 0 {
		r.fail(fmt.Errorf("there is more: %q", r.tokens))
	}
	if r.err != nil {
		return value{}, fmt.Errorf("the expression %q: %w", text, r.err)
	}
	return v, nil
}

func (r *reader) fail(err error) value {
	if r.err == nil {
		r.err = err
	}
	r.tokens = nil
	return value{}
}

// take takes the next token if it is that one.
func (r *reader) take(t string) bool {
	if len(r.tokens) == 0 || r.tokens[0] != t {
		return false
	}
	r.tokens = r.tokens[1:]
	return true
}

func (r *reader) or() value {
	v := r.and()
	for r.take("||") {
		if w := r.and(); !v.truth() {
			v = w
		}
	}
	return v
}

func (r *reader) and() value {
	v := r.equal()
	for r.take("&&") {
		if w := r.equal(); v.truth() {
			v = w
		}
	}
	return v
}

func (r *reader) equal() value {
	v := r.single()
	for {
		not := r.take("!=")
		if !not && !r.take("==") {
			return v
		}
		w := r.single()
		if v.bool != w.bool {
			return r.fail(errors.New("a string and a boolean are compared, by way of numbers"))
		}
		v = value{bool: true, b: (strings.EqualFold(v.s, w.s) && v.b == w.b) != not}
	}
}

func (r *reader) single() value {
	if r.take("!") {
		return value{bool: true, b: !r.single().truth()}
	}
	if r.take("(") {
		v := r.or()
		if !r.take(")") {
			return r.fail(errors.New("a parenthesis is not closed"))
		}
		return v
	}
	if len(r.tokens) == 0 {
		return r.fail(errors.New("it ends too early"))
	}
	t := r.tokens[0]
	r.tokens = r.tokens[1:]
	switch {
	case t[0] == '\'':
		return value{s: strings.ReplaceAll(t[1:len(t)-1], "''", "'")}
	case t == "true", t == "false":
		return value{bool: true, b: t == "true"}
	case !strings.Contains(t, "."):
		return r.fail(fmt.Errorf("%s is not understood", t))
	}
	s, ok := r.get(t)
	if !ok {
		return r.fail(fmt.Errorf("there is no %s", t))
	}
	return value{s: s}
}
