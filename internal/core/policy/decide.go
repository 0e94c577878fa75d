package policy

import (
	"slices"
	"strings"
)

// The parts of a question, in the order in which they are heard.
const (
	ofIdentity = iota
	ofBoundary
	ofSession
	ofResource
	sides
)

// deciding is one decision being made.
type deciding struct {
	q        *Question
	action   string // in lower case
	resource [arnParts]string
	isARN    bool

	deny    bool // the effect of the statement in hand
	granted [sides]naming
	allows  []grant
	denies  []Match
	missing []string
	known   []keyValues
	text    []byte // for patterns with variables

	// What decisions need as a rule.
	someGrants [8]grant
	someKeys   [6]keyValues
	someText   [64]byte
}

// grant is a statement that allows.
type grant struct {
	policy    *Policy
	statement int32
	side      int8
	named     naming
}

// keyValues are what Context said of a key.
type keyValues struct {
	key    string
	values []string
}

func newDeciding(q *Question) *deciding {
	d := &deciding{q: q, action: strings.ToLower(string(q.Action))}
	d.resource, d.isARN = splitARN(q.Resource)
	d.allows, d.known, d.text = d.someGrants[:0], d.someKeys[:0], d.someText[:0]
	return d
}

// Decide answers the question. An explicit deny in any policy wins. Otherwise, with the asker in the resource's account, its
// own policies or the resource's must allow, and what the boundary and the session's policies do not allow is not allowed, but
// for what the resource's policies give to the asker itself; see docs/design/policy.md. With the asker in another account,
// all of them must allow. To take a role on, the role's trust policy must always allow it. The anonymous and web
// identities have what resources' policies give them.
//
// The root user has no policies: whoever asks for it passes one that allows everything.
func Decide(q Question) Decision {
	d := newDeciding(&q)
	d.each(d.weigh)
	if len(d.denies) > 0 {
		return Decision{Outcome: ExplicitDeny, Because: d.denies, MissingKeys: d.missing}
	}
	counted, lacking := d.rule()
	if lacking != "" {
		return Decision{Outcome: ImplicitDeny, Lacking: lacking, MissingKeys: d.missing}
	}
	because := make([]Match, 0, len(d.allows))
	for _, g := range d.allows {
		if g.named&counted[g.side] != 0 {
			because = append(because, g.policy.match(int(g.statement)))
		}
	}
	return Decision{Outcome: Allowed, Because: because, MissingKeys: d.missing}
}

// each goes through the question's policies.
func (d *deciding) each(do func(side int, p *Policy)) {
	one := func(side int, p *Policy) {
		if p != nil {
			do(side, p)
		}
	}
	for _, p := range d.q.Identity {
		one(ofIdentity, p)
	}
	one(ofBoundary, d.q.Boundary)
	for _, p := range d.q.Sessions {
		one(ofSession, p)
	}
	for _, p := range d.q.Resources {
		one(ofResource, p)
	}
}

// weigh takes down which of the policy's statements have their effect.
func (d *deciding) weigh(side int, p *Policy) {
	for i := range p.statements {
		s := &p.statements[i]
		named := s.fits(d)
		if named == 0 || !s.holds(d) {
			continue
		}
		if s.deny {
			d.denies = append(d.denies, p.match(i))
			continue
		}
		d.granted[side] |= named
		d.allows = append(d.allows, grant{policy: p, statement: int32(i), side: int8(side), named: named}) //nolint:gosec // both are small
	}
}

// match names the i-th statement.
func (p *Policy) match(i int) Match {
	return Match{Policy: p, Statement: i + 1, Sid: p.statements[i].sid}
}

// anyWay is every way to be named.
const anyWay = byAccount | byRole | byUser | bySelf

// rule applies the rules to what was granted, where nothing is denied. It answers what is lacking; or, where nothing
// is, which grants count, for each side by how they name the asker.
func (d *deciding) rule() (counted [sides]naming, lacking Kind) {
	a, given := &d.q.Asker, d.granted[ofResource]
	taking := takesRole(d.action)
	byResource := ResourceBased
	if taking {
		byResource = RoleTrust
	}
	if a.Federated != "" || a.ARN == "" {
		counted[ofResource] = given
		if given == 0 || taking && a.Federated == "" { // the anonymous take on no role, whomever it trusts
			return counted, byResource
		}
		return counted, ""
	}
	identity := d.granted[ofIdentity] != 0
	boundary := d.q.Boundary == nil || d.granted[ofBoundary] != 0
	session := d.q.Sessions == nil || d.granted[ofSession] != 0
	sameAccount := a.Account == d.q.Account
	if taking && given == 0 {
		return counted, RoleTrust
	}
	if !sameAccount {
		// Whatever way the resource names the asker, the asker's own account has its say.
		switch {
		case !identity:
			return counted, IdentityBased
		case boundary && session && given == 0:
			return counted, byResource
		}
	} else {
		// What the resource gives to the asker itself, and to a user, needs nobody's leave.
		counted[ofResource] = given & bySelf
		if session && given&byUser != 0 {
			counted[ofResource] |= byUser
		}
		switch {
		case counted[ofResource] != 0 && !(identity && boundary && session):
			if counted[ofResource] == byUser {
				counted[ofSession] = anyWay
			}
			return counted, ""
		case given&byUser != 0 && !session:
			return counted, SessionPolicy
		case !identity && given&byRole == 0:
			return counted, IdentityBased
		}
	}
	switch {
	case !boundary:
		return counted, PermissionsBoundary
	case !session:
		return counted, SessionPolicy
	}
	counted = [sides]naming{anyWay, anyWay, anyWay, anyWay}
	return counted, ""
}

// takesRole tells whether the action is one that a role's trust policy must allow, whoever asks.
func takesRole(action string) bool {
	return strings.HasPrefix(action, "sts:assumerole") || action == "sts:tagsession" || action == "sts:setsourceidentity"
}

// lookup asks for a key's values, once. A key with no values is one that is not there.
func (d *deciding) lookup(key string) []string {
	for i := range d.known {
		if d.known[i].key == key {
			return d.known[i].values
		}
	}
	var values []string
	if d.q.Context != nil {
		if v, present := d.q.Context(key); present {
			values = v
		}
	}
	d.known = append(d.known, keyValues{key, values})
	return values
}

// missed notes that the request lacks a key.
func (d *deciding) missed(spelled string) {
	if !slices.ContainsFunc(d.missing, func(k string) bool { return strings.EqualFold(k, spelled) }) {
		d.missing = append(d.missing, spelled)
	}
}
