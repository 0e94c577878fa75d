package policy

import (
	"fmt"
	"strings"
)

// condition is a condition made ready.
type condition struct {
	source   Condition
	key      string // in lower case
	name     operatorName
	negated  bool
	wants    []comparison
	nullness map[bool]bool // of Null: whether a key's absence, and its presence, is what is asked for
}

// compileCondition makes a condition ready. Beside an error, which names the first value that is wrong, comes a condition
// that compares with the wrong ones in vain.
func compileCondition(c Condition, variables bool) (condition, error) {
	made := condition{source: c, key: strings.ToLower(c.Key)}
	var known bool
	if made.name, known = parseOperator(c.Operator); !known {
		made.wants = []comparison{senseless}
		return made, fmt.Errorf("is no operator that there is: %q", c.Operator)
	}
	if made.name.base == nullOperator {
		return made.compileNull()
	}
	op := operators[made.name.base]
	made.negated = op.negated
	var wrong error
	for _, v := range c.Values {
		compare, err := op.make(v, variables)
		if err != nil {
			compare = senseless
			if wrong == nil {
				wrong = fmt.Errorf("is %q, and %w", v, err)
			}
		}
		made.wants = append(made.wants, compare)
	}
	return made, wrong
}

func senseless(*deciding, string) verdict { return unknown }

func (c condition) compileNull() (condition, error) {
	c.nullness = map[bool]bool{}
	for _, v := range c.source.Values {
		absent, ok := parseBool(v)
		if !ok {
			return c, fmt.Errorf("is %q, and %w", v, errNoBool)
		}
		c.nullness[absent] = true
	}
	return c, nil
}

// met tells whether the condition is met, as IAM documents it:
//
//   - Null asks whether the key is there.
//   - A key that is not there, or has no values, meets IfExists, ForAllValues, and negated operators without ForAnyValue.
//   - ForAllValues wants each value of the request to meet the operator, ForAnyValue one of them. A value meets an operator
//     if it matches any of the policy's values; and a negated one if it matches none.
//
// Where IAM leaves open what happens, what is safer does: an operator without either prefix, whose key turns out to have
// several values, must be met by each of them in an Allow, and by one of them in a Deny. A comparison that makes no sense
// does not match; and does not meet a negated operator in an Allow, and does in a Deny.
func (c *condition) met(d *deciding) bool {
	got := d.lookup(c.key)
	if c.nullness != nil {
		return c.nullness[len(got) == 0]
	}
	if len(got) == 0 {
		if c.name.ifExists {
			return true
		}
		d.missed(c.source.Key)
		switch c.name.set {
		case forAllPrefix:
			return true
		case forAnyPrefix:
			return false
		}
		return c.negated
	}
	all := c.name.set == forAllPrefix || c.name.set == "" && !d.deny
	for _, v := range got {
		if c.meets(d, v) != all {
			return !all
		}
	}
	return all
}

// meets tells whether one value of the request meets the operator.
func (c *condition) meets(d *deciding, got string) bool {
	matches := no
	for _, compare := range c.wants {
		v := compare(d, got)
		if v == yes {
			return !c.negated
		}
		if v == unknown {
			matches = unknown
		}
	}
	return c.negated && (matches == no || d.deny)
}
