package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// anonymous is how the zero Asker is named.
const anonymous = "anonymous"

// externalID is the condition key whose value is never repeated.
const externalID = "sts:externalid"

// Denied words a refusal for want of any policy, as [Decision.Denied] does.
func Denied(principal string, action Action, resource string) string {
	return Decision{Outcome: ImplicitDeny, Lacking: IdentityBased}.Denied(principal, action, resource)
}

// Denied words a refusal as AWS does, naming who asked, action, resource and reason (IAM User Guide, "Troubleshoot access
// denied error messages").
//
//	User: arn:aws:iam::111122223333:user/eve is not authorized to perform: ecr:PutImage on resource: arn:aws:… because no
//	identity-based policy allows the ecr:PutImage action
//	… with an explicit deny in a resource-based policy: the policy of repository app
//
// Who is an ARN; nobody is "anonymous".
func (d Decision) Denied(who string, action Action, resource string) string {
	if who == "" {
		who = anonymous
	}
	request := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", who, action, resource)
	if d.Outcome == ExplicitDeny && len(d.Because) > 0 {
		p := d.Because[0].Policy
		words := request + " with an explicit deny in " + p.kind.one()
		if p.name != "" {
			words += ": " + p.name
		}
		return words
	}
	lacking := d.Lacking
	if lacking == "" {
		lacking = IdentityBased
	}
	return fmt.Sprintf("%s because no %s allows the %s action", request, lacking, action)
}

// one is the kind with an article.
func (k Kind) one() string {
	switch k {
	case IdentityBased:
		return "an " + string(k)
	case RoleTrust:
		return "the " + string(k)
	case ResourceBased, PermissionsBoundary, SessionPolicy:
	}
	return "a " + string(k)
}

// String names the statement: statement 2 (Push) of the policy's name.
func (m Match) String() string {
	words := "statement " + strconv.Itoa(m.Statement)
	if m.Sid != "" {
		words += " (" + m.Sid + ")"
	}
	if m.Policy.name == "" {
		return words + " of " + m.Policy.kind.one()
	}
	return words + " of the " + string(m.Policy.kind) + " " + m.Policy.name
}

// Explain tells in a few sentences what the decision on the question rests on: the statements; or that there is none for
// the action, for the resource or for the asker; or which statement there is, and what of its conditions the
// request did not meet, with what it has. It takes as long as a decision.
func Explain(q Question, d Decision) []string {
	e := &explaining{deciding: newDeciding(&q), nearly: map[bool][]string{}}
	var sentences []string
	switch d.Outcome {
	case Allowed:
		for _, m := range d.Because {
			sentences = append(sentences, capital(m.String())+" allows it.")
		}
	case ExplicitDeny:
		for _, m := range d.Because {
			sentences = append(sentences, capital(m.String())+" denies it. A deny counts more than anything that allows.")
		}
		return sentences
	case ImplicitDeny:
		sentences = append(sentences, fmt.Sprintf("No %s allows %s.", d.Lacking, q.Action))
	}
	e.each(e.hear)
	if d.Outcome == ImplicitDeny {
		sentences = append(sentences, e.whatIsMissing(d.Lacking)...)
	}
	return append(sentences, e.nearly[d.Outcome == Allowed]...)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// explaining counts, side by side, how near the policies come.
type explaining struct {
	*deciding

	policies [sides]int
	// How many statements that allow are about the action; and besides about the asker; and besides about the resource.
	action, asker, resource [sides]int
	byAccount               bool              // a resource's statement delegates to the account
	nearly                  map[bool][]string // whether they deny: what statements would do that fit but for their conditions
}

// hear takes down how near a policy's statements come.
func (e *explaining) hear(side int, p *Policy) {
	e.policies[side]++
	for i := range p.statements {
		e.hearOne(side, p, i)
	}
}

func (e *explaining) hearOne(side int, p *Policy, i int) {
	s := &p.statements[i]
	if !s.fitsAction(e.deciding) {
		return
	}
	named := bySelf
	if !s.anyAsker {
		named = s.about(&e.q.Asker)
	}
	fits := s.fits(e.deciding) != 0
	if !s.deny {
		e.action[side]++
		if named != 0 {
			e.asker[side]++
		}
		if fits {
			e.resource[side]++
		}
	}
	if !fits {
		return
	}
	if s.holds(e.deciding) {
		e.byAccount = e.byAccount || side == ofResource && !s.deny && named == byAccount
		return
	}
	e.deciding.deny = s.deny
	var unmet []string
	for c := range s.conditions {
		if c := &s.conditions[c]; !c.met(e.deciding) {
			unmet = append(unmet, c.inWords(e.lookup(c.key)))
		}
	}
	does := "would allow it"
	if s.deny {
		does = "would deny it"
	}
	e.nearly[s.deny] = append(e.nearly[s.deny], fmt.Sprintf("%s %s, but not under these circumstances: %s.", capital(p.match(i).String()), does, strings.Join(unmet, "; ")))
}

// whatIsMissing tells, of each side that could have allowed, how far its statements come.
func (e *explaining) whatIsMissing(lacking Kind) []string {
	var which []int
	switch lacking {
	case IdentityBased:
		which = []int{ofIdentity}
		if e.policies[ofResource] > 0 {
			which = append(which, ofResource)
		}
	case PermissionsBoundary:
		which = []int{ofBoundary}
	case SessionPolicy:
		which = []int{ofSession}
	case ResourceBased, RoleTrust:
		which = []int{ofResource}
	}
	var sentences []string
	for _, side := range which {
		if words := e.howFar(side); words != "" {
			sentences = append(sentences, words)
		}
	}
	if lacking == IdentityBased && e.byAccount {
		sentences = append(sentences, "A resource-based policy allows it to the account as a whole, which leaves it to the account's identity-based policies.")
	}
	return sentences
}

func (e *explaining) howFar(side int) string {
	of := [sides]string{"the asker's own policies", "the permissions boundary", "the session's policies", "the resource's policies"}[side]
	switch n := e.policies[side]; {
	case n == 0:
		return capital(of) + ": there are none."
	case e.action[side] == 0:
		return fmt.Sprintf("%s (%d): no statement allows the action on anything.", capital(of), n)
	case e.asker[side] == 0:
		return fmt.Sprintf("%s (%d): statements allow the action, but not to this asker.", capital(of), n)
	case e.resource[side] == 0:
		return fmt.Sprintf("%s (%d): statements allow the action, but not on this resource.", capital(of), n)
	}
	return ""
}

// inWords tells what was wanted of a key, and what there was.
func (c *condition) inWords(got []string) string {
	if c.key == externalID { // a secret of a kind, between those who take the role on and those who trust it
		return fmt.Sprintf("%s of %s is not met", c.source.Operator, c.source.Key)
	}
	has := "the request does not have it"
	if len(got) > 0 {
		has = "the request has " + list(got, " and ")
	}
	return fmt.Sprintf("%s wants %s to be %s, and %s", c.source.Operator, c.source.Key, list(c.source.Values, " or "), has)
}

// list quotes values, a few of them.
func list(values []string, and string) string {
	const few, short = 5, 200
	quoted := make([]string, 0, len(values))
	for _, v := range values {
		if len(quoted) == few {
			quoted = append(quoted, fmt.Sprintf("%d more", len(values)-few))
			break
		}
		if len(v) > short {
			v = v[:short] + "…"
		}
		quoted = append(quoted, strconv.Quote(v))
	}
	return strings.Join(quoted, and)
}
