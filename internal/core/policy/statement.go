package policy

import "strings"

// statement is a statement made ready.
type statement struct {
	sid          string
	deny         bool
	notAction    bool
	notPrincipal bool
	notResource  bool
	actions      []glob // of lower-case letters
	resources    []resource
	principals   []principal
	conditions   []condition
	// Without a Principal, an identity's statement is about its asker, and a resource's about nobody. Without a
	// Resource, a resource's statement is about the resource, and an identity's about nothing.
	anyAsker    bool
	anyResource bool
}

// resource is a pattern for resources.
type resource struct {
	any     bool
	never   bool // it is no pattern that there can be
	pattern *arnPattern
}

// Compile makes a document ready to decide by. The document is one that [ParseDocument] answered: of any other, what
// makes no sense matches nothing.
func Compile(kind Kind, name string, d Document) *Policy {
	p := &Policy{kind: kind, name: name, statements: make([]statement, 0, len(d.Statements))}
	ofResource := kind == ResourceBased || kind == RoleTrust
	for _, s := range d.Statements {
		made := s.compile(d.Version == Version2012)
		made.anyAsker = !ofResource && len(made.principals) == 0
		made.anyResource = ofResource && len(made.resources) == 0
		p.statements = append(p.statements, made)
	}
	return p
}

func (s Statement) compile(variables bool) statement {
	made := statement{
		sid: s.Sid, deny: s.Effect == Deny,
		notAction:    len(s.NotActions) > 0,
		notPrincipal: len(s.NotPrincipals) > 0,
		notResource:  len(s.NotResources) > 0,
	}
	actions, principals, resources := s.Actions, s.Principals, s.Resources
	if made.notAction {
		actions = s.NotActions
	}
	if made.notPrincipal {
		principals = s.NotPrincipals
	}
	if made.notResource {
		resources = s.NotResources
	}
	for _, a := range actions {
		parts, _ := parseParts(strings.ToLower(a), false, true) // fails for variables only
		made.actions = append(made.actions, newGlob(parts))
	}
	for _, p := range principals {
		made.principals = append(made.principals, newPrincipal(p))
	}
	for _, r := range resources {
		compiled, err := compileResource(r, variables)
		if err != nil {
			compiled = resource{never: true}
		}
		made.resources = append(made.resources, compiled)
	}
	for _, c := range s.Conditions {
		compiled, _ := compileCondition(c, variables) // what is wrong with it is in it
		made.conditions = append(made.conditions, compiled)
	}
	return made
}

// compileResource reads a Resource: *, or an ARN whose last parts may be left out, with wildcards and variables.
func compileResource(r string, variables bool) (resource, error) {
	if r == "*" {
		return resource{any: true}, nil
	}
	parts, err := parseParts(r, variables, true)
	if err != nil {
		return resource{}, err
	}
	fields := splitParts(parts, arnParts)
	if len(fields) < 2 || len(fields[0]) != 1 || fields[0][0].text != "arn" {
		return resource{}, errNoARN
	}
	if len(fields[1]) == 0 || len(fields) == arnParts && len(fields[arnParts-1]) == 0 {
		return resource{}, errNoARN
	}
	return resource{pattern: newARNPattern(fields)}, nil
}

// fits tells whether the statement is about the question, its conditions apart, and how it names the asker.
func (s *statement) fits(d *deciding) naming {
	if !s.fitsAction(d) {
		return 0
	}
	named := bySelf
	if !s.anyAsker {
		if named = s.about(&d.q.Asker); named == 0 {
			return 0
		}
	}
	d.deny = s.deny
	if !s.anyResource && !s.fitsResource(d) {
		return 0
	}
	return named
}

func (s *statement) fitsAction(d *deciding) bool {
	for i := range s.actions {
		if s.actions[i].match(d, d.action) == yes {
			return !s.notAction
		}
	}
	return s.notAction
}

// fitsResource goes through the patterns. Where one cannot be told, since a variable has no value, it does not match; and
// an Allow with NotResource, which might be about what it excepts, is about nothing.
func (s *statement) fitsResource(d *deciding) bool {
	if d.q.Below {
		return s.fitsBelow(d)
	}
	doubt := false
	for i := range s.resources {
		switch s.resources[i].match(d) {
		case yes:
			return !s.notResource
		case unknown:
			doubt = true
		case no:
		}
	}
	return s.notResource && (s.deny || !doubt)
}

func (r *resource) match(d *deciding) verdict {
	switch {
	case r.never:
		return unknown
	case r.any:
		return yes
	case !d.isARN:
		return no
	}
	return r.pattern.match(d, d.q.Resource, &d.resource)
}

// holds tells whether all conditions are met. It goes through all of them, so that all missing keys are known.
func (s *statement) holds(d *deciding) bool {
	d.deny = s.deny
	all := true
	for i := range s.conditions {
		if !s.conditions[i].met(d) {
			all = false
		}
	}
	return all
}
