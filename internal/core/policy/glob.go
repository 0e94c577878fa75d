package policy

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// A made pattern's wildcards are bytes that stand in no UTF-8 text, so that a * which a variable's value brings along is a
// letter like any other.
const (
	anyRun  = '\xff' // was *
	anyChar = '\xfe' // was ?
)

// verdict is what came of comparing a value with what a policy says.
type verdict uint8

const (
	no verdict = iota
	yes
	// unknown: the comparison made no sense, since a variable has no single value in this request, or the request's
	// value is not of the operator's type.
	unknown
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// part is a piece of a pattern: text, or the place of a variable.
type part struct {
	text string
	v    *variable
}

// variable is ${key} or ${key, 'fallback'}.
type variable struct {
	key, spelled string // key is in lower case
	fallback     *string
}

// parseParts takes a pattern apart: its variables, where the document's version knows them, and its wildcards, where
// they are such.
func parseParts(s string, variables, wildcards bool) ([]part, error) {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	var parts []part
	var text strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case wildcards && c == '*':
			text.WriteByte(anyRun)
		case wildcards && c == '?':
			text.WriteByte(anyChar)
		case variables && c == '$' && strings.HasPrefix(s[i:], "${"):
			literal, v, length, err := parseVariable(s[i:])
			if err != nil {
				return nil, err
			}
			i += length
			if v == nil {
				text.WriteByte(literal)
				continue
			}
			if text.Len() > 0 {
				parts = append(parts, part{text: text.String()})
				text.Reset()
			}
			parts = append(parts, part{v: v})
			continue
		default:
			text.WriteByte(c)
		}
		i++
	}
	if text.Len() > 0 || len(parts) == 0 {
		parts = append(parts, part{text: text.String()})
	}
	return parts, nil
}

var errVariable = errors.New("has ${ without a variable such as ${aws:username} or ${aws:PrincipalTag/team, 'none'}")

// parseVariable reads what begins with ${: a variable, or the one character that ${*}, ${?} and ${$} stand for.
func parseVariable(s string) (literal byte, v *variable, length int, err error) {
	end := strings.IndexAny(s, ",}")
	if end < 0 {
		return 0, nil, 0, errVariable
	}
	key := strings.TrimSpace(s[len("${"):end])
	if s[end] == '}' && (key == "*" || key == "?" || key == "$") {
		return key[0], nil, end + 1, nil
	}
	if key == "" || strings.ContainsAny(key, "${*? '") {
		return 0, nil, 0, errVariable
	}
	v = &variable{key: strings.ToLower(key), spelled: key}
	if s[end] == '}' {
		return 0, v, end + 1, nil
	}
	rest, quoted := strings.CutPrefix(strings.TrimLeft(s[end+1:], " "), "'")
	fallback, rest, closed := strings.Cut(rest, "'")
	rest, ended := strings.CutPrefix(strings.TrimLeft(rest, " "), "}")
	if !quoted || !closed || !ended {
		return 0, nil, 0, errVariable
	}
	v.fallback = &fallback
	return 0, v, len(s) - len(rest), nil
}

// splitParts splits a pattern at the colons of its text, those within variables not counted, into n fields at most.
func splitParts(parts []part, n int) [][]part {
	fields := [][]part{nil}
	for _, p := range parts {
		for p.v == nil && len(fields) < n {
			before, after, found := strings.Cut(p.text, ":")
			if !found {
				break
			}
			last := len(fields) - 1
			if before != "" {
				fields[last] = append(fields[last], part{text: before})
			}
			fields = append(fields, nil)
			p.text = after
		}
		if p.v != nil || p.text != "" {
			last := len(fields) - 1
			fields[last] = append(fields[last], p)
		}
	}
	return fields
}

// glob is a pattern made ready.
type glob struct {
	how   how
	text  string // of a pattern with variables: what it begins with
	parts []part // of a pattern with variables: the rest
}

type how uint8

const (
	byMatching how = iota
	byEquality
	byPrefix
	byNothing // everything fits
	byParts
)

func newGlob(parts []part) glob {
	switch {
	case len(parts) == 0:
		return glob{how: byEquality}
	case parts[0].v == nil && len(parts) > 1 && indexWildcard(parts[0].text) < 0:
		return glob{how: byParts, text: parts[0].text, parts: parts[1:]}
	case parts[0].v != nil || len(parts) > 1:
		return glob{how: byParts, parts: parts}
	}
	text := parts[0].text
	switch wild := indexWildcard(text); {
	case wild < 0:
		return glob{how: byEquality, text: text}
	case wild < len(text)-1 || text[wild] == anyChar:
		return glob{how: byMatching, text: text}
	case wild == 0:
		return glob{how: byNothing}
	default:
		return glob{how: byPrefix, text: text[:wild]}
	}
}

// indexWildcard finds the first wildcard. (strings.IndexAny looks for characters, which these bytes are not.)
func indexWildcard(text string) int {
	for i := range len(text) {
		if text[i] == anyRun || text[i] == anyChar {
			return i
		}
	}
	return -1
}

// match matches the whole of s, letter by letter.
func (g *glob) match(d *deciding, s string) verdict {
	switch g.how {
	case byNothing:
		return yes
	case byEquality:
		return verdictOf(g.text == s)
	case byPrefix:
		return verdictOf(strings.HasPrefix(s, g.text))
	case byParts:
		rest, fits := strings.CutPrefix(s, g.text)
		if !fits {
			return no
		}
		text, lacking := d.expand(g.parts)
		switch {
		case !match(text, rest, anyRun, anyChar):
			return no
		case lacking != nil:
			d.lacks(lacking)
			return unknown
		}
		return yes
	case byMatching:
	}
	return verdictOf(match(g.text, s, anyRun, anyChar))
}

// expand puts the variables' values in their places. It answers the first variable that has none and no fallback, or
// several; in its place it puts what matches anything, so that what does not match now, does not whatever it might be. The
// text is good until expand is called again.
func (d *deciding) expand(parts []part) (text []byte, lacking *variable) {
	d.text = d.text[:0]
	for _, p := range parts {
		if p.v == nil {
			d.text = append(d.text, p.text...)
			continue
		}
		values := d.lookup(p.v.key)
		switch {
		case len(values) == 0 && p.v.fallback != nil:
			d.text = append(d.text, *p.v.fallback...)
		case len(values) == 1 && utf8.ValidString(values[0]):
			d.text = append(d.text, values[0]...)
		default:
			d.text = append(d.text, anyRun)
			if lacking == nil {
				lacking = p.v
			}
		}
	}
	return d.text, lacking
}

// lacks notes a variable, if it has no value at all.
func (d *deciding) lacks(v *variable) {
	if len(d.lookup(v.key)) == 0 {
		d.missed(v.spelled)
	}
}

// Matches matches the whole of s, letter by letter but for the pattern's *, which stands for any run of
// characters, and ?, which stands for any one.
func Matches(pattern, s string) bool { return match(pattern, s, '*', '?') }

func match[P string | []byte](pattern P, s string, run, char byte) bool {
	// Where the last * was, and how much of s it has swallowed so far.
	star, swallowed := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == run:
			star, swallowed = p, i
			p++
		case p < len(pattern) && pattern[p] == char:
			p++
			i += width(s[i:])
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			swallowed += width(s[swallowed:])
			p, i = star+1, swallowed
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == run {
		p++
	}
	return p == len(pattern)
}

// width is how many bytes the first character takes.
func width(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// arnPattern is a pattern for ARNs, which goes part by part: a wildcard stands for no colon, except in the last.
type arnPattern struct {
	head  string // the parts before the first with wildcards or variables, with their colons
	from  int    // that first part
	parts [arnParts]glob
}

// newARNPattern makes a pattern of fields, adding * for those that are left out, as IAM does with resources.
func newARNPattern(fields [][]part) *arnPattern {
	var p arnPattern
	for i := range p.parts {
		p.parts[i] = glob{how: byNothing}
		if i < len(fields) {
			p.parts[i] = newGlob(fields[i])
		}
	}
	for p.from < arnParts-1 && p.parts[p.from].how == byEquality {
		p.head += p.parts[p.from].text + ":"
		p.from++
	}
	return &p
}

// match matches an ARN, as a whole and in its parts. Variables are asked for only if all else fits.
func (p *arnPattern) match(d *deciding, whole string, parts *[arnParts]string) verdict {
	if !strings.HasPrefix(whole, p.head) {
		return no
	}
	variables := false
	for i := arnParts - 1; i >= p.from; i-- {
		switch g := &p.parts[i]; {
		case g.how == byNothing:
		case g.how == byParts:
			variables = true
		case g.match(d, parts[i]) == no:
			return no
		}
	}
	if !variables {
		return yes
	}
	all := yes
	for i := p.from; i < arnParts; i++ {
		if g := &p.parts[i]; g.how == byParts {
			switch g.match(d, parts[i]) {
			case no:
				return no
			case unknown:
				all = unknown
			case yes:
			}
		}
	}
	return all
}

const arnParts = 6

// splitARN takes an ARN apart.
func splitARN(s string) (parts [arnParts]string, ok bool) {
	for i := range arnParts - 1 {
		before, after, found := strings.Cut(s, ":")
		if !found {
			return parts, false
		}
		parts[i], s = before, after
	}
	parts[arnParts-1] = s
	return parts, parts[0] == "arn"
}
