package policy

import "fmt"

// check holds resources and conditions to what the document's version lets stand in them.
func (d Document) check() error {
	variables := d.Version == Version2012
	for i, s := range d.Statements {
		what := fmt.Sprintf("statement %d", i+1)
		name, resources := "Resource", s.Resources
		if len(resources) == 0 {
			name, resources = "NotResource", s.NotResources
		}
		for _, r := range resources {
			if _, err := compileResource(r, variables); err != nil {
				return malformed("%s of %s is %q, and %s", name, what, r, err)
			}
		}
		for _, c := range s.Conditions {
			if _, err := compileCondition(c, variables); err != nil {
				return malformed("%s in %s of Condition of %s %s", c.Key, c.Operator, what, err)
			}
		}
	}
	return nil
}

// OfIdentity holds the document to what an identity's policy is, a session's or a permissions boundary: about its
// asker, and about resources that it names. It may be about any service's actions.
func (d Document) OfIdentity() error {
	if err := d.sids(); err != nil {
		return err
	}
	return d.each(func(s Statement) string {
		switch {
		case len(s.Principals)+len(s.NotPrincipals) > 0:
			return "must not have a Principal: it is about whom it is attached to"
		case len(s.Resources)+len(s.NotResources) == 0:
			return "has no Resource"
		}
		return ""
	})
}

// OfTrust holds the document to what a role's trust policy is: about taking the role on, for somebody.
func (d Document) OfTrust() error {
	if err := d.sids(); err != nil {
		return err
	}
	return d.each(func(s Statement) string {
		switch {
		case len(s.NotPrincipals) > 0:
			return "must not have a NotPrincipal: a role's trust names whom it trusts"
		case len(s.Principals) == 0:
			return "has no Principal"
		case len(s.Resources)+len(s.NotResources) > 0:
			return "must not have a Resource: it is about its role"
		}
		return s.of("sts")
	})
}

// sids holds the statements' ids to what IAM's own policies may have: letters and digits, each once.
func (d Document) sids() error {
	seen := map[string]bool{}
	for _, s := range d.Statements {
		switch {
		case s.Sid == "":
			continue
		case !sidRule.MatchString(s.Sid):
			return malformed("Statement IDs (SID) must be alpha-numeric: %q is not", s.Sid)
		case seen[s.Sid]:
			return malformed("Statement IDs (SID) in a single policy must be unique: %q is there twice", s.Sid)
		}
		seen[s.Sid] = true
	}
	return nil
}
