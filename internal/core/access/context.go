package access

import (
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// contextOf gives the values of condition keys: those of the request first, then the global ones that follow from who
// asks and when (IAM User Guide, "AWS global condition context keys"). Keys are in lower case.
func (s *Service) contextOf(caller identity.Caller, g *granted, r policy.Request) policy.Context {
	now := s.now()
	return func(key string) ([]string, bool) {
		if r.Context != nil {
			if values, ok := r.Context(key); ok {
				return values, true
			}
		}
		if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
			value, ok := principalTag(caller.Session, g, tag)
			return []string{value}, ok
		}
		value, ok := s.global(key, caller, g, r, now)
		if !ok {
			return nil, false
		}
		return []string{value}, true
	}
}

// principalTag finds a tag of the principal's; those of its session come first.
func principalTag(session *identity.Session, g *granted, folded string) (string, bool) {
	if session != nil {
		for key, value := range session.Tags {
			if fold(key) == folded {
				return value, true
			}
		}
	}
	value, ok := g.tags[folded]
	return value, ok
}

// global gives the one value of a global key.
func (s *Service) global(key string, caller identity.Caller, g *granted, r policy.Request, now time.Time) (string, bool) {
	session := caller.Session
	present := func(value string) (string, bool) { return value, value != "" }
	switch key {
	case "aws:currenttime":
		return now.Format(time.RFC3339), true
	case "aws:epochtime":
		return strconv.FormatInt(now.Unix(), 10), true
	case "aws:securetransport":
		return strconv.FormatBool(caller.Origin.Secure), caller.Origin.Address != ""
	case "aws:sourceip":
		return present(caller.Origin.Address)
	case "aws:useragent":
		return present(caller.Origin.UserAgent)
	case "aws:requestedregion":
		return s.region, true
	case "aws:resourceaccount":
		return present(r.Account)
	case "aws:principalaccount":
		return present(caller.Account)
	case "aws:principalarn":
		return present(principalARN(caller, g))
	case "aws:principaltype":
		return principalType(caller), true
	case "aws:principalisawsservice", "aws:viaawsservice":
		return "false", true
	case "aws:userid":
		return present(caller.UserID)
	case "aws:username":
		return g.principal.Name, g.principal.Kind == User
	case "aws:tokenissuetime":
		if session == nil {
			return "", false
		}
		return session.IssuedAt.UTC().Format(time.RFC3339), true
	case "aws:multifactorauthpresent":
		return "false", session != nil
	case "aws:sourceidentity":
		if session == nil {
			return "", false
		}
		return present(session.SourceIdentity)
	case "aws:federatedprovider":
		if session == nil {
			return "", false
		}
		return present(session.Provider)
	}
	return "", false
}

// principalARN is aws:PrincipalArn: for a role's session the role.
func principalARN(caller identity.Caller, g *granted) string {
	if g.principal.ARN != "" {
		return g.principal.ARN
	}
	return caller.ARN
}

func principalType(caller identity.Caller) string {
	switch {
	case caller.Anonymous():
		return "Anonymous"
	case caller.Root:
		return "Account"
	case caller.Session != nil && caller.Session.RoleARN != "":
		return "AssumedRole"
	default:
		return "User"
	}
}
