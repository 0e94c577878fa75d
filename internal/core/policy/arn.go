package policy

import "strings"

// arn is a resource's name in parts: arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

func parseARN(s string) (arn, bool) {
	const parts = 6
	p := strings.SplitN(s, ":", parts)
	if len(p) != parts || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return arn{}, false
	}
	return arn{partition: p[1], service: p[2], region: p[3], account: p[4], resource: p[5]}, true
}

// IsPrincipal tells whether a caller's ARN is that of a principal, or of a session of it, for a role: the session's ARN
// names the role without its path.
//
//	arn:aws:iam::111122223333:role/build/ci
//	arn:aws:sts::111122223333:assumed-role/ci/run-17
func IsPrincipal(caller, principal string) bool {
	if caller == principal {
		return true
	}
	c, ok := parseARN(caller)
	if !ok || c.service != "sts" {
		return false
	}
	p, ok := parseARN(principal)
	if !ok || p.service != "iam" || p.account != c.account || p.partition != c.partition {
		return false
	}
	role, ok := strings.CutPrefix(p.resource, "role/")
	session, isSession := strings.CutPrefix(c.resource, "assumed-role/")
	name, _, named := strings.Cut(session, "/")
	return ok && isSession && named && name == role[strings.LastIndex(role, "/")+1:]
}
