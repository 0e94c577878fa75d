package policy

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// operator is what a condition compares by, without prefix and suffix.
type operator struct {
	negated bool
	// make reads a value of the policy. What it answers compares a value of the request with it, and answers unknown where
	// that is not of the operator's type.
	make func(want string, variables bool) (comparison, error)
}

type comparison func(d *deciding, got string) verdict

// operators are all that there are (IAM User Guide, "Condition operators"), but for Null, which compares nothing.
var operators = map[string]operator{
	"StringEquals":              {false, stringEquals},
	"StringNotEquals":           {true, stringEquals},
	"StringEqualsIgnoreCase":    {false, stringEqualsIgnoreCase},
	"StringNotEqualsIgnoreCase": {true, stringEqualsIgnoreCase},
	"StringLike":                {false, stringLike},
	"StringNotLike":             {true, stringLike},

	"NumericEquals":            {false, numeric(func(c int) bool { return c == 0 })},
	"NumericNotEquals":         {true, numeric(func(c int) bool { return c == 0 })},
	"NumericLessThan":          {false, numeric(func(c int) bool { return c < 0 })},
	"NumericLessThanEquals":    {false, numeric(func(c int) bool { return c <= 0 })},
	"NumericGreaterThan":       {false, numeric(func(c int) bool { return c > 0 })},
	"NumericGreaterThanEquals": {false, numeric(func(c int) bool { return c >= 0 })},

	"DateEquals":            {false, date(func(c int) bool { return c == 0 })},
	"DateNotEquals":         {true, date(func(c int) bool { return c == 0 })},
	"DateLessThan":          {false, date(func(c int) bool { return c < 0 })},
	"DateLessThanEquals":    {false, date(func(c int) bool { return c <= 0 })},
	"DateGreaterThan":       {false, date(func(c int) bool { return c > 0 })},
	"DateGreaterThanEquals": {false, date(func(c int) bool { return c >= 0 })},

	"Bool":         {false, boolean},
	"BinaryEquals": {false, binaryEquals},
	"IpAddress":    {false, inNetwork},
	"NotIpAddress": {true, inNetwork},

	// Equals and Like are the same for ARNs.
	"ArnEquals":    {false, arnLike},
	"ArnLike":      {false, arnLike},
	"ArnNotEquals": {true, arnLike},
	"ArnNotLike":   {true, arnLike},
}

const (
	nullOperator   = "Null"
	ifExistsSuffix = "IfExists"
	forAllPrefix   = "ForAllValues:"
	forAnyPrefix   = "ForAnyValue:"
)

// Operators lists the condition operators that there are, in order. Each but Null may have IfExists after it; each may have
// ForAllValues: or ForAnyValue: before it.
func Operators() []string {
	names := []string{nullOperator}
	for name := range operators {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// operatorName is an operator in its parts.
type operatorName struct {
	set      string // forAllPrefix, forAnyPrefix or nothing
	base     string
	ifExists bool
}

func parseOperator(s string) (operatorName, bool) {
	n := operatorName{base: s}
	for _, prefix := range []string{forAllPrefix, forAnyPrefix} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			n.set, n.base = prefix, rest
		}
	}
	if n.base == nullOperator {
		return n, true
	}
	n.base, n.ifExists = strings.CutSuffix(n.base, ifExistsSuffix)
	_, known := operators[n.base]
	return n, known
}

var (
	errNoARN    = errors.New("must be an ARN or *")
	errNoNumber = errors.New("must be a number")
	errNoDate   = errors.New("must be a date like 2026-05-01T12:00:00Z, or seconds since 1970")
	errNoBool   = errors.New("must be true or false")
	errNoBase64 = errors.New("must be base64")
	errNoIP     = errors.New("must be an IP address or a network like 203.0.113.0/24")
)

func stringEquals(want string, variables bool) (comparison, error) {
	parts, err := parseParts(want, variables, false)
	g := newGlob(parts)
	return func(d *deciding, got string) verdict { return g.match(d, got) }, err
}

func stringEqualsIgnoreCase(want string, variables bool) (comparison, error) {
	parts, err := parseParts(want, variables, false)
	return func(d *deciding, got string) verdict {
		text, lacking := d.expand(parts)
		if lacking != nil {
			d.lacks(lacking)
			return unknown
		}
		return verdictOf(strings.EqualFold(string(text), got))
	}, err
}

func stringLike(want string, variables bool) (comparison, error) {
	parts, err := parseParts(want, variables, true)
	g := newGlob(parts)
	return func(d *deciding, got string) verdict { return g.match(d, got) }, err
}

// arnLike compares the six parts. A value with fewer, such as * or ${aws:PrincipalArn}, is compared as a whole.
func arnLike(want string, variables bool) (comparison, error) {
	parts, err := parseParts(want, variables, true)
	if err != nil {
		return nil, err
	}
	fields := splitParts(parts, arnParts)
	if first := fields[0]; want != "*" && (len(first) == 0 || first[0].v == nil && (first[0].text != "arn" || len(fields) < 2)) {
		return nil, errNoARN
	}
	whole, pattern := newGlob(parts), newARNPattern(fields)
	return func(d *deciding, got string) verdict {
		parts, ok := splitARN(got)
		switch {
		case !ok:
			return unknown
		case len(fields) < arnParts:
			return whole.match(d, got)
		}
		return pattern.match(d, got, &parts)
	}, nil
}

func numeric(accepts func(order int) bool) func(string, bool) (comparison, error) {
	return func(want string, _ bool) (comparison, error) {
		w, ok := parseNumber(want)
		return func(_ *deciding, got string) verdict {
			g, ok := parseNumber(got)
			if !ok {
				return unknown
			}
			return verdictOf(accepts(g.compare(w)))
		}, unless(ok, errNoNumber)
	}
}

func date(accepts func(order int) bool) func(string, bool) (comparison, error) {
	return func(want string, _ bool) (comparison, error) {
		w, ok := parseDate(want)
		return func(_ *deciding, got string) verdict {
			g, ok := parseDate(got)
			if !ok {
				return unknown
			}
			return verdictOf(accepts(g.Compare(w)))
		}, unless(ok, errNoDate)
	}
}

func boolean(want string, _ bool) (comparison, error) {
	w, ok := parseBool(want)
	return func(_ *deciding, got string) verdict {
		g, ok := parseBool(got)
		if !ok {
			return unknown
		}
		return verdictOf(g == w)
	}, unless(ok, errNoBool)
}

// binaryEquals compares bytes. The request's value is in base64 too.
func binaryEquals(want string, _ bool) (comparison, error) {
	w, err := base64.StdEncoding.DecodeString(want)
	return func(_ *deciding, got string) verdict {
		g, err := base64.StdEncoding.DecodeString(got)
		if err != nil {
			return unknown
		}
		return verdictOf(string(g) == string(w))
	}, unless(err == nil, errNoBase64)
}

func inNetwork(want string, _ bool) (comparison, error) {
	w, ok := parseNetwork(want)
	return func(_ *deciding, got string) verdict {
		g, ok := parseAddress(got)
		if !ok {
			return unknown
		}
		return verdictOf(w.Contains(g))
	}, unless(ok, errNoIP)
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}
