package maths

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// node is a part of an expression. at is where it stands in the text, for errors of the computation.
type node interface{ at() int }

type place int

func (p place) at() int { return int(p) }

type (
	number struct {
		place
		value float64
	}
	text struct { // only METRICS has one
		place
		value string
	}
	mode struct { // only FILL has one
		place
		word string
	}
	variable struct {
		place
		id string
	}
	list struct {
		place
		items []node
	}
	negation struct {
		place
		of node
	}
	operation struct {
		place
		operator    string
		left, right node
	}
	call struct {
		place
		function string
		args     []node
	}
)

// parser reads an expression.
type parser struct {
	tokens []token
	pos    int
	depth  int
	known  map[string]bool // ids
	used   []string
	end    int // of the text
}

// parse reads an expression, and gives the ids that it uses.
func parse(expression string, known map[string]bool) (node, []string, error) {
	if len(expression) > MaxExpression {
		return nil, nil, refuse(MaxExpression, "An expression has at most %d characters", MaxExpression)
	}
	tokens, err := scan(expression)
	if err != nil {
		return nil, nil, err
	}
	p := &parser{tokens: tokens, known: known, end: len(expression)}
	n, err := p.binary(0)
	if err != nil {
		return nil, nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, nil, refuse(t.at, "Expected an operator or the end, found %s", t.name())
	}
	return n, p.used, nil
}

func (p *parser) peek() token {
	if p.pos == len(p.tokens) {
		return token{kind: tokenEnd, at: p.end}
	}
	return p.tokens[p.pos]
}

// next reads a token if it is that operator, bracket or comma.
func (p *parser) next(sign string) bool {
	if t := p.peek(); t.kind != tokenSign || t.text != sign {
		return false
	}
	p.pos++
	return true
}

func (p *parser) expect(sign string) error {
	if t := p.peek(); !p.next(sign) {
		return refuse(t.at, "Expected %s, found %s", sign, t.name())
	}
	return nil
}

// levels are the operators that bind more and more tightly. The sign of a number and ^ are tighter still.
var levels = [][]string{{"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">="}, {"+", "-"}, {"*", "/"}}

func (p *parser) deeper(at int) error {
	if p.depth++; p.depth > maxNesting {
		return refuse(at, "The expression nests deeper than %d levels", maxNesting)
	}
	return nil
}

// binary reads operands of a level with operators between them, which group from the left.
func (p *parser) binary(level int) (node, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		if t.kind != tokenSign || !slices.Contains(levels[level], t.text) {
			return left, nil
		}
		p.pos++
		right, err := p.binary(level + 1)
		if err != nil {
			return nil, err
		}
		left = operation{place(t.at), t.text, left, right}
	}
}

// unary reads a sign before a power: -2^2 is -4.
func (p *parser) unary() (node, error) {
	t := p.peek()
	if err := p.deeper(t.at); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.next("-") {
		n, err := p.unary()
		return negation{place(t.at), n}, err
	}
	if p.next("+") {
		return p.unary()
	}
	base, err := p.operand()
	if err != nil {
		return nil, err
	}
	power := p.peek()
	if !p.next("^") {
		return base, nil
	}
	exponent, err := p.unary() // which groups from the right: 2^3^2 is 2^9
	return operation{place(power.at), "^", base, exponent}, err
}

func (p *parser) operand() (node, error) {
	t := p.peek()
	switch {
	case t.kind == tokenNumber:
		p.pos++
		return number{place(t.at), t.number}, nil
	case t.kind == tokenName:
		p.pos++
		return p.named(t)
	case p.next("("):
		n, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case p.next("["):
		items, err := p.items("]")
		for _, item := range items {
			switch item := item.(type) {
			case text:
				return nil, refuse(item.at(), "A list has no text")
			case mode:
				return nil, misplaced(item.at(), item.word)
			}
		}
		return list{place(t.at), items}, err
	default:
		return nil, refuse(t.at, "Expected a number, an id or a function, found %s", t.name())
	}
}

// items reads what stands between commas, up to a bracket.
func (p *parser) items(closing string) ([]node, error) {
	var items []node
	if p.next(closing) {
		return nil, nil
	}
	for {
		t := p.peek()
		var item node
		var err error
		switch {
		case t.kind == tokenText:
			p.pos++
			item = text{place(t.at), t.text}
		case t.kind == tokenName && isMode(t.text):
			p.pos++
			item = mode{place(t.at), t.text}
		default:
			item, err = p.binary(0)
		}
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if p.next(",") {
			continue
		}
		return items, p.expect(closing)
	}
}

// named reads on from a name: a function, or the id of a query.
func (p *parser) named(t token) (node, error) {
	f, isFunction := functions[t.text]
	switch {
	case isNotHere(t.text):
		return nil, unsupported(t.at, t.text)
	case isMode(t.text):
		return nil, misplaced(t.at, t.text)
	case p.known[t.text]:
		p.used = append(p.used, t.text)
		return variable{place(t.at), t.text}, nil
	case !isFunction:
		if p.next("(") {
			return nil, refuse(t.at, "There is no function %s", t.text)
		}
		return nil, refuse(t.at, "No query has the id %s", t.text)
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	args, err := p.items(")")
	if err != nil {
		return nil, err
	}
	if len(args) < f.least || len(args) > f.most {
		return nil, refuse(t.at, "%s", f.usage)
	}
	for i, arg := range args {
		switch arg := arg.(type) {
		case text:
			if t.text != "METRICS" {
				return nil, refuse(arg.at(), "%s has no text", t.text)
			}
		case mode:
			if t.text != "FILL" || i != 1 {
				return nil, misplaced(arg.at(), arg.word)
			}
		default:
			if t.text == "METRICS" {
				return nil, refuse(arg.at(), "%s", f.usage)
			}
		}
	}
	return call{place(t.at), t.text, args}, nil
}

// isMode tells whether a name is a word of FILL's.
func isMode(name string) bool { return name == "REPEAT" || name == "LINEAR" }

func misplaced(at int, word string) error {
	return refuse(at, "%s stands in FILL alone, after the metric", word)
}

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenNumber
	tokenName
	tokenText
	tokenSign
)

type token struct {
	kind   tokenKind
	at     int
	text   string
	number float64
}

// name is the token for a person.
func (t token) name() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "a text"
	case tokenNumber, tokenName, tokenSign:
	}
	return t.text
}

const signs = "|| && == != <= >= < > + - * / ^ ( ) [ ] ,"

// scan cuts an expression into tokens.
func scan(s string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(s); {
		rest := s[at:]
		c := rest[0]
		t := token{at: at}
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			at++
			continue
		case '0' <= c && c <= '9' || c == '.':
			t.kind, t.text = tokenNumber, rest[:numeral(rest)]
			f, err := strconv.ParseFloat(t.text, 64)
			if err != nil || math.IsInf(f, 0) {
				return nil, refuse(at, "%s is no number", t.text)
			}
			t.number = f
			at += len(t.text)
		case isWord(c):
			n := 0
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
			t.kind, t.text = tokenName, rest[:n]
			at += n
			if t.text == "AND" || t.text == "OR" {
				t.kind, t.text = tokenSign, map[string]string{"AND": "&&", "OR": "||"}[t.text]
			}
		case c == '"' || c == '\'':
			n := strings.IndexByte(rest[1:], c)
			if n < 0 {
				return nil, refuse(at, "The text does not end")
			}
			t.kind, t.text = tokenText, rest[1:n+1]
			at += n + 2
		default:
			for sign := range strings.FieldsSeq(signs) {
				if strings.HasPrefix(rest, sign) {
					t.kind, t.text = tokenSign, sign
					break
				}
			}
			if t.text == "" {
				return nil, refuse(at, "The character %q means nothing here", []rune(rest)[0])
			}
			at += len(t.text)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// numeral tells how long the number is that begins a text: digits, a point, an exponent.
func numeral(s string) int {
	n := 0
	digits := func() {
		for n < len(s) && '0' <= s[n] && s[n] <= '9' {
			n++
		}
	}
	digits()
	if n < len(s) && s[n] == '.' {
		n++
		digits()
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		before := n
		n++
		if n < len(s) && (s[n] == '+' || s[n] == '-') {
			n++
		}
		exponent := n
		if digits(); n == exponent {
			n = before
		}
	}
	return n
}
