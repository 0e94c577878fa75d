package policy

import "slices"

// Open tells whether the document, a resource's, may allow something to everybody, the anonymous among them: a statement
// allows to everyone, or to everyone but some. It does not weigh conditions, so at worst it says yes too often.
func (d Document) Open() bool {
	return slices.ContainsFunc(d.Statements, func(s Statement) bool {
		everyone := func(p Principal) bool { return newPrincipal(p).kind == everyone }
		return s.Effect == Allow && (len(s.NotPrincipals) > 0 || slices.ContainsFunc(s.Principals, everyone))
	})
}
