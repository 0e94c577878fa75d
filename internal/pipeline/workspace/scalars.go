package workspace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the zones of freezes, also where the system has none

	"github.com/goccy/go-yaml/ast"
)

// Severity is how bad a finding is, in ECR's words but in lower case.
type Severity string

// The severities, worst first, and None for a gate that nothing shuts.
const (
	Critical      Severity = "critical"
	High          Severity = "high"
	Medium        Severity = "medium"
	Low           Severity = "low"
	Informational Severity = "informational"
	None          Severity = "none"
)

func severities() []Severity { return []Severity{Critical, High, Medium, Low, Informational, None} }

// ParseSeverity reads one that somebody typed; "" is none given, and no error.
func ParseSeverity(text string) (Severity, error) { return parseOne(text, severities()) }

func (v *Severity) read(s *source, path string, node ast.Node) {
	readOne(s, path, node, v, severities())
}
func (Severity) schema() map[string]any { return oneOf(severities()) }

// Unscanned is what happens to an image whose scan could not run.
type Unscanned string

// The two.
const (
	Fail Unscanned = "fail"
	Pass Unscanned = "pass"
)

// ParseUnscanned reads one that somebody typed; "" is none given, and no error.
func ParseUnscanned(text string) (Unscanned, error) { return parseOne(text, []Unscanned{Fail, Pass}) }

func (v *Unscanned) read(s *source, path string, node ast.Node) {
	readOne(s, path, node, v, []Unscanned{Fail, Pass})
}
func (Unscanned) schema() map[string]any { return oneOf([]Unscanned{Fail, Pass}) }

// Mode is who starts a deployment.
type Mode string

// The two.
const (
	Automatic Mode = "automatic"
	Manual    Mode = "manual"
)

func (v *Mode) read(s *source, path string, node ast.Node) {
	readOne(s, path, node, v, []Mode{Automatic, Manual})
}
func (Mode) schema() map[string]any { return oneOf([]Mode{Automatic, Manual}) }

// Weekday is a day by its first three letters.
type Weekday string

func weekdays() []Weekday { return []Weekday{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

func (v *Weekday) read(s *source, path string, node ast.Node) { readOne(s, path, node, v, weekdays()) }
func (Weekday) schema() map[string]any                        { return oneOf(weekdays()) }

// parseOne is one of a few words, or "".
func parseOne[T ~string](text string, of []T) (T, error) {
	if text != "" && !slices.Contains(of, T(text)) {
		return "", fmt.Errorf("%q is none of %s", text, words(of))
	}
	return T(text), nil
}

// readOne reads a word that is one of a few.
func readOne[T ~string](s *source, path string, node ast.Node, into *T, of []T) {
	text, ok := s.text(path, node)
	if !ok {
		return
	}
	if !slices.Contains(of, T(text)) {
		s.problem(node.GetToken(), "%s: %q is none of %s", path, text, words(of))
		return
	}
	*into = T(text)
}

func words[T ~string](of []T) string {
	texts := make([]string, len(of))
	for i, w := range of {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

func oneOf[T ~string](of []T) map[string]any { return map[string]any{"enum": of} }

// Platform is what an image runs on: system/architecture, and a variant where there is one.
type Platform string

const platformPattern = `^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`

func (v *Platform) read(s *source, path string, node ast.Node) {
	readPattern(s, path, node, v, platformPattern, "a platform such as linux/amd64")
}
func (Platform) schema() map[string]any { return pattern(platformPattern) }

// Date is a day, such as 2026-12-31.
type Date string

const datePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`

func (v *Date) read(s *source, path string, node ast.Node) {
	if !readPattern(s, path, node, v, datePattern, "a day such as 2026-12-31") {
		return
	}
	if _, err := time.Parse(time.DateOnly, string(*v)); err != nil {
		s.problem(node.GetToken(), "%s: %q is no day of the calendar", path, string(*v))
	}
}
func (Date) schema() map[string]any { return map[string]any{"type": "string", "format": "date"} }

// Hours are a part of a day, such as 16:00-24:00.
type Hours string

const hoursPattern = `^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`

func (v *Hours) read(s *source, path string, node ast.Node) {
	if !readPattern(s, path, node, v, hoursPattern, "a time of day such as 16:00-24:00") {
		return
	}
	if from, until, _ := strings.Cut(string(*v), "-"); from >= until {
		s.problem(node.GetToken(), "%s: %q ends before it begins: a time over midnight is two", path, string(*v))
	}
}
func (Hours) schema() map[string]any { return pattern(hoursPattern) }

// Zone is a time zone by its name in the IANA database.
type Zone string

func (v *Zone) read(s *source, path string, node ast.Node) {
	text, ok := s.text(path, node)
	if !ok {
		return
	}
	if _, err := time.LoadLocation(text); err != nil || text == "Local" {
		s.problem(node.GetToken(), "%s: %q is no time zone such as Europe/Berlin", path, text)
		return
	}
	*v = Zone(text)
}
func (Zone) schema() map[string]any { return map[string]any{"type": "string"} }

// Glob is a path from the root of the workspace, or a pattern of paths: * and ? stand for anything but a slash, [ab]
// for one of these, ** for any directories between. Behind a ! it takes out.
type Glob string

func (v *Glob) read(s *source, path string, node ast.Node) {
	text, ok := s.text(path, node)
	if !ok {
		return
	}
	if err := checkGlob(strings.TrimPrefix(text, "!")); err != nil {
		s.problem(node.GetToken(), "%s: %q: %v", path, text, err)
		return
	}
	*v = Glob(text)
}
func (Glob) schema() map[string]any { return map[string]any{"type": "string", "minLength": 1} }

// ArgValue is the value of a build argument: a number is taken as it is written.
type ArgValue string

func (v *ArgValue) read(s *source, path string, node ast.Node) {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		*v = ArgValue(node.GetToken().Value)
		return
	}
	if text, ok := s.text(path, node); ok {
		*v = ArgValue(text)
	}
}

func (ArgValue) schema() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}

// EnvName is the name of an environment variable.
type EnvName string

const envNamePattern = `^[A-Za-z_][A-Za-z0-9_]*$`

func (v *EnvName) read(s *source, path string, node ast.Node) {
	readPattern(s, path, node, v, envNamePattern, "the name of an environment variable such as AWS_ACCESS_KEY_ID")
}
func (EnvName) schema() map[string]any { return pattern(envNamePattern) }

// Timeout is how long something may take; 0 is any time.
type Timeout time.Duration

const timeoutPattern = `^([1-9][0-9]{0,5}h)?([1-9][0-9]{0,5}m)?([1-9][0-9]{0,5}s)?$`

func (v *Timeout) read(s *source, path string, node ast.Node) {
	var text string
	if !readPattern(s, path, node, &text, timeoutPattern, "a time such as 90s, 10m or 1h30m") {
		return
	}
	d, err := time.ParseDuration(text) // refuses the empty one, too
	if err != nil {
		s.problem(node.GetToken(), "%s: %q is not a time such as 90s, 10m or 1h30m", path, text)
		return
	}
	*v = Timeout(d)
}

func (Timeout) schema() map[string]any {
	return map[string]any{"type": "string", "pattern": timeoutPattern, "minLength": 1}
}

// Command is a line for the shell, or a program with its arguments. The zero value is no command.
type Command struct {
	Shell string
	Args  []string
}

// IsZero tells whether there is none.
func (c Command) IsZero() bool { return c.Shell == "" && len(c.Args) == 0 }

// MarshalJSON gives what is in the file: a string, a list, or null.
func (c Command) MarshalJSON() ([]byte, error) {
	switch {
	case len(c.Args) > 0:
		return marshal(c.Args)
	case c.Shell != "":
		return marshal(c.Shell)
	default:
		return []byte("null"), nil
	}
}

// String gives it as somebody would type it.
func (c Command) String() string {
	if len(c.Args) > 0 {
		return strings.Join(c.Args, " ")
	}
	return c.Shell
}

func (c *Command) read(s *source, path string, node ast.Node) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		switch text, ok := s.text(path, node); {
		case !ok:
		case strings.TrimSpace(text) == "":
			s.problem(node.GetToken(), "%s is an empty command", path)
		default:
			c.Shell = text
		}
		return
	}
	for i, word := range list.Values {
		text, ok := s.text(fmt.Sprintf("%s[%d]", path, i), word)
		if !ok {
			return
		}
		c.Args = append(c.Args, text)
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		s.problem(node.GetToken(), "%s is an empty command", path)
	}
}

func (Command) schema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "string", "minLength": 1},
		map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "minItems": 1},
	}}
}

func readPattern[T ~string](s *source, path string, node ast.Node, into *T, pattern, what string) bool {
	text, ok := s.text(path, node)
	if !ok {
		return false
	}
	if !regexp.MustCompile(pattern).MatchString(text) {
		s.problem(node.GetToken(), "%s: %q is not %s", path, text, what)
		return false
	}
	*into = T(text)
	return true
}

func pattern(p string) map[string]any { return map[string]any{"type": "string", "pattern": p} }
