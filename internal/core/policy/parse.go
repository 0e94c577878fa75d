package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// member is one member of a JSON object of a policy.
type member struct {
	of    string // the object, in words
	name  string
	value json.RawMessage
}

func (m member) where() string { return m.name + " of " + m.of }

// parseObject reads an object whose members all have names of their own. encoding/json alone would take the last of
// two members with one name, and names in any letter case.
func parseObject(what string, raw []byte) ([]member, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, malformed("%s is not JSON", what)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed("%s must be an object", what)
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed("%s is not JSON", what)
		}
		if seen[name] {
			return nil, malformed("%s has %s twice", what, name)
		}
		seen[name] = true
		m := member{of: what, name: name}
		if err := dec.Decode(&m.value); err != nil {
			return nil, malformed("%s is not JSON", what)
		}
		members = append(members, m)
	}
	return members, nil
}

// text reads a member that is a string.
func (m member) text() (string, error) {
	var s *string
	if json.Unmarshal(m.value, &s) != nil || s == nil {
		return "", malformed("%s must be a string", m.where())
	}
	return *s, nil
}

// texts reads a member that is a string or a list of strings, none of them empty, and not none.
func (m member) texts() ([]string, error) {
	values, err := m.scalars(false)
	if err == nil && slices.Contains(values, "") {
		err = malformed("%s has an empty string", m.where())
	}
	return values, err
}

// scalars reads a member that is one value or a list of at least one. Numbers and booleans, where they may
// stand, are taken as they are written.
func (m member) scalars(any bool) ([]string, error) {
	raw := []json.RawMessage{m.value}
	if bytes.HasPrefix(bytes.TrimSpace(m.value), []byte("[")) {
		raw = nil
		if json.Unmarshal(m.value, &raw) != nil || len(raw) == 0 {
			return nil, malformed("%s must not be an empty list", m.where())
		}
	}
	values := make([]string, 0, len(raw))
	for _, r := range raw {
		dec := json.NewDecoder(bytes.NewReader(r))
		dec.UseNumber()
		t, err := dec.Token()
		s, isString := t.(string)
		switch t.(type) {
		case bool, json.Number:
			s, isString = string(bytes.TrimSpace(r)), any
		}
		if err != nil || !isString {
			return nil, malformed("%s must be a string or a list of strings", m.where())
		}
		values = append(values, s)
	}
	return values, nil
}

// parseStatements reads one statement, or a list.
func parseStatements(m member) ([]Statement, error) {
	raw := []json.RawMessage{m.value}
	if bytes.HasPrefix(bytes.TrimSpace(m.value), []byte("[")) {
		raw = nil
		if err := json.Unmarshal(m.value, &raw); err != nil {
			return nil, malformed("%s is not JSON", m.where())
		}
	}
	statements := make([]Statement, 0, len(raw))
	for i, r := range raw {
		s, err := parseStatement(fmt.Sprintf("statement %d", i+1), r)
		if err != nil {
			return nil, err
		}
		statements = append(statements, s)
	}
	return statements, nil
}

func parseStatement(what string, raw []byte) (Statement, error) {
	members, err := parseObject(what, raw)
	if err != nil {
		return Statement{}, err
	}
	s := Statement{}
	given := map[string]bool{}
	for _, m := range members {
		given[m.name] = true
		if err := s.read(m); err != nil {
			return Statement{}, err
		}
	}
	for _, name := range []string{"Principal", "Action", "Resource"} {
		if given[name] && given["Not"+name] {
			return Statement{}, malformed("%s has both %s and Not%s", what, name, name)
		}
	}
	switch {
	case !given["Effect"]:
		return Statement{}, malformed("%s has no Effect", what)
	case !given["Action"] && !given["NotAction"]:
		return Statement{}, malformed("%s has no Action", what)
	}
	return s, nil
}

// read takes in one member.
func (s *Statement) read(m member) (err error) {
	switch m.name {
	case "Sid":
		s.Sid, err = m.text()
	case "Effect":
		s.Effect, err = m.effect()
	case "Principal":
		s.Principals, err = m.principals()
	case "NotPrincipal":
		s.NotPrincipals, err = m.principals()
	case "Action":
		s.Actions, err = m.actions()
	case "NotAction":
		s.NotActions, err = m.actions()
	case "Resource":
		s.Resources, err = m.texts()
	case "NotResource":
		s.NotResources, err = m.texts()
	case "Condition":
		s.Conditions, err = m.conditions()
	default:
		err = malformed("%s has a member %q, which no statement has", m.of, m.name)
	}
	return err
}

func (m member) effect() (Effect, error) {
	text, err := m.text()
	if e := Effect(text); err != nil || e == Allow || e == Deny {
		return e, err
	}
	return "", malformed("%s is %q, and must be Allow or Deny", m.where(), text)
}

func (m member) actions() ([]string, error) {
	actions, err := m.texts()
	if err != nil {
		return nil, err
	}
	for _, a := range actions {
		if !actionRule.MatchString(a) {
			return nil, malformed("%s is %q, and must be an action, like ecr:PutImage, or *", m.where(), a)
		}
	}
	return actions, nil
}

// principals reads "*", or an object of lists by type.
func (m member) principals() ([]Principal, error) {
	if text, err := m.text(); err == nil {
		if text != Everyone {
			return nil, malformed(`%s is %q, and must be an object or "*"`, m.where(), text)
		}
		return []Principal{{Type: Everyone, ID: Everyone}}, nil
	}
	types, err := parseObject(m.where(), m.value)
	if err != nil {
		return nil, err
	}
	var all []Principal
	for _, t := range types {
		ids, err := t.texts()
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !isPrincipalID(t.name, id) {
				return nil, malformed("%s has %q, which names nobody", t.where(), id)
			}
			all = append(all, Principal{Type: t.name, ID: id})
		}
	}
	if len(all) == 0 {
		return nil, malformed("%s names nobody", m.where())
	}
	return all, nil
}

// isPrincipalID tells whether a principal of that type can have that id. Wildcards within one would be taken letter
// by letter, and so for nobody: IAM refuses them too.
func isPrincipalID(kind, id string) bool {
	if strings.ContainsAny(id, "*?") {
		return kind == "AWS" && id == Everyone
	}
	switch kind {
	case "AWS":
		a, isARN := parseARN(id)
		return accountRule.MatchString(id) || uniqueIDRule.MatchString(id) ||
			isARN && (a.service == "iam" || a.service == "sts") && accountRule.MatchString(a.account) && a.resource != ""
	case "Service", "Federated", "CanonicalUser":
		return true
	}
	return false
}

// conditions reads operators, each with keys, each with values.
func (m member) conditions() ([]Condition, error) {
	operators, err := parseObject(m.where(), m.value)
	if err != nil {
		return nil, err
	}
	var all []Condition
	for _, op := range operators {
		if _, known := parseOperator(op.name); !known {
			return nil, malformed("%s has the operator %q, which there is not", m.where(), op.name)
		}
		keys, err := parseObject(op.where(), op.value)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if key.name == "" {
				return nil, malformed("%s has a key without a name", op.where())
			}
			values, err := key.scalars(true)
			if err != nil {
				return nil, err
			}
			all = append(all, Condition{Operator: op.name, Key: key.name, Values: values})
		}
	}
	return all, nil
}
