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
	buffer  [8]grant
}

// grant is a statement that allows.
type grant struct {
	side  int
	named naming
	match Match
}

func newDeciding(q *Question) *deciding {
	d := &deciding{q: q, action: strings.ToLower(string(q.Action))}
	d.resource, d.isARN = splitARN(q.Resource)
	d.allows = d.buffer[:0]
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
	d.each(func(side int, p *Policy) {
		for i := range p.statements {
			if s := &p.statements[i]; d.weigh(side, p, i, s) && s.deny {
				d.denies = append(d.denies, Match{Policy: p, Statement: i + 1, Sid: s.sid})
			}
		}
	})
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
			because = append(because, g.match)
		}
	}
	return Decision{Outcome: Allowed, Because: because, MissingKeys: d.missing}
}

// each goes through the question's policies.
func (d *deciding) each(do func(side int, p *Policy)) {
	sides := [...][]*Policy{ofIdentity: d.q.Identity, ofBoundary: {d.q.Boundary}, ofSession: d.q.Sessions, ofResource: d.q.Resources}
	for side, policies := range sides {
		for _, p := range policies {
			if p != nil {
				do(side, p)
			}
		}
	}
}

// weigh tells whether a statement has its effect, and counts it if it allows.
func (d *deciding) weigh(side int, p *Policy, i int, s *statement) bool {
	named := s.fits(d)
	if named == 0 || !s.holds(d) {
		return false
	}
	if !s.deny {
		d.granted[side] |= named
		d.allows = append(d.allows, grant{side, named, Match{Policy: p, Statement: i + 1, Sid: s.sid}})
	}
	return true
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

// lookup asks for a key's values. A key with no values is one that is not there.
func (d *deciding) lookup(key string) []string {
	if d.q.Context == nil {
		return nil
	}
	values, present := d.q.Context(key)
	if !present {
		return nil
	}
	return values
}

// missed notes that the request lacks a key.
func (d *deciding) missed(spelled string) {
	if !slices.ContainsFunc(d.missing, func(k string) bool { return strings.EqualFold(k, spelled) }) {
		d.missing = append(d.missing, spelled)
	}
}
