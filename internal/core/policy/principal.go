package policy

import "strings"

// naming is how a statement names the asker, since in one account it depends on that what else must allow (IAM User
// Guide, "Policy evaluation for requests within a single account"). A policy may name somebody in several ways.
type naming uint8

const (
	// byAccount delegates to the account, whose identity-based policies decide.
	byAccount naming = 1 << iota
	// byRole is limited by the role's permissions boundary and the session's policies.
	byRole
	// byUser is limited by the session's policies.
	byUser
	// bySelf names the session, or everybody: explicit denies apart, nothing limits it.
	bySelf
)

// principal is one made ready.
type principal struct {
	kind principalKind
	id   string
}

type principalKind uint8

const (
	nobody principalKind = iota // services and canonical users, who never ask here
	everyone
	account   // the id is 12 digits
	byARN     // of a user, a role, or a session
	uniqueID  // of a user or a role
	federated // the id is the provider's
)

func newPrincipal(p Principal) principal {
	switch {
	case p.ID == Everyone && (p.Type == Everyone || p.Type == "AWS"):
		return principal{kind: everyone}
	case p.Type == "Federated":
		return principal{kind: federated, id: p.ID}
	case p.Type != "AWS":
		return principal{kind: nobody}
	case accountRule.MatchString(p.ID):
		return principal{kind: account, id: p.ID}
	}
	switch a, isARN := parseARN(p.ID); {
	case isARN && a.resource == "root":
		return principal{kind: account, id: a.account}
	case isARN:
		return principal{kind: byARN, id: p.ID}
	}
	return principal{kind: uniqueID, id: p.ID}
}

// names tells how the principal names the asker; 0 if it does not. An anonymous asker is named by everyone only, a web
// identity by its provider only.
func (p principal) names(a *Asker) naming {
	if a.Federated != "" {
		return when(p.kind == federated && p.id == a.Federated, bySelf)
	}
	switch p.kind {
	case everyone:
		return bySelf
	case account:
		switch {
		case p.id != a.Account:
			return 0
		case isRoot(a.ARN): // the root user is the account, and has no policies of its own
			return byUser
		}
		return byAccount
	case byARN:
		switch {
		case a.ARN == "":
			return 0
		case p.id == a.ARN:
			return own(a)
		case a.RoleARN != "":
			return when(p.id == a.RoleARN, byRole)
		}
		return when(IsPrincipal(a.ARN, p.id), byRole)
	case uniqueID:
		if p.id == a.UserID {
			return own(a)
		}
		role, _, isSession := strings.Cut(a.UserID, ":")
		return when(isSession && role == p.id, byRole)
	case federated, nobody:
	}
	return 0
}

func when(b bool, n naming) naming {
	if b {
		return n
	}
	return 0
}

// own is how an asker is named by what is its alone: a session by its ARN, a user by its.
func own(a *Asker) naming {
	if a.RoleARN != "" || strings.Contains(a.ARN, ":sts:") {
		return bySelf
	}
	return byUser
}

func isRoot(arn string) bool {
	a, ok := parseARN(arn)
	return ok && a.service == "iam" && a.resource == "root"
}

// about tells how a statement with a Principal or NotPrincipal names the asker.
//
// A Deny for everyone is about web identities too, other than an Allow.
//
// An Allow with NotPrincipal is about everybody, the anonymous too, but for whom the list names in any way, such as by
// the account; and never about web identities. A Deny with NotPrincipal spares only whom the list names outright. A user's
// account does not spare the user: AWS demands it beside the user and lets it spare nobody. For a session, both the role
// and the session must be there.
func (s *statement) about(a *Asker) naming {
	var all naming
	for _, p := range s.principals {
		all |= p.names(a)
		if s.deny && p.kind == everyone {
			all |= bySelf
		}
	}
	if !s.notPrincipal {
		return all
	}
	spared := all != 0
	if s.deny {
		spared = all&(byUser|bySelf) != 0
		if isSession(a) && !s.sparesEveryone() {
			spared = all&byRole != 0 && all&bySelf != 0
		}
	} else if a.Federated != "" {
		spared = true
	}
	return when(!spared, bySelf)
}

func (s *statement) sparesEveryone() bool {
	for _, p := range s.principals {
		if p.kind == everyone {
			return true
		}
	}
	return false
}

func isSession(a *Asker) bool {
	return a.RoleARN != "" || strings.Contains(a.ARN, ":assumed-role/")
}
