package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxTrust is how many characters a trust policy may have, white space apart: the most that AWS raises its quota to.
const maxTrust = 8192

// readTrust reads a trust policy and holds it to what can be said of it by itself.
func readTrust(text string) (policy.Document, error) {
	if err := checkLength(text); err != nil {
		return policy.Document{}, err
	}
	d, err := policy.ParseDocument(text)
	if err == nil {
		err = d.OfTrust()
	}
	if err != nil {
		return policy.Document{}, malformedPolicy(err)
	}
	if size(text) > maxTrust {
		return policy.Document{}, fault.New(fault.LimitExceeded, "Cannot exceed quota for ACLSizePerRole: %d", maxTrust)
	}
	for i, st := range d.Statements {
		if st.Effect != policy.Allow || !letsIn(st) {
			continue
		}
		for _, p := range st.Principals {
			if err := checkShared(i+1, p, st); err != nil {
				return policy.Document{}, err
			}
		}
	}
	return d, nil
}

// sharedIssuers are OIDC issuers from which anybody can have a token: everybody's jobs have the same issuer and may have the same
// audience, and only the subject tells them apart (IAM User Guide, "Identity-provider controls for shared OIDC providers").
var sharedIssuers = []string{ //nolint:gochecknoglobals // a table
	"agent.buildkite.com",
	"api.pulumi.com/oidc",
	"app.terraform.io",
	"gitlab.com",
	"oidc-configuration.audit-log.githubusercontent.com",
	"oidc.codefresh.io",
	"proidc.upbound.io",
	"sandboxes.cloud",
	"scalr.io",
	"studio.datachain.ai/api",
	"token.actions.githubusercontent.com",
	"tokens.cloud.shisho.dev",
	"vstoken.actions.githubusercontent.com",
}

// letsIn tells whether a statement of a trust policy may let a web identity take the role on, and not just tag its session.
func letsIn(st policy.Statement) bool {
	return len(st.Actions) == 0 || slices.ContainsFunc(st.Actions, func(a string) bool {
		return !strings.EqualFold(a, "sts:TagSession") && !strings.EqualFold(a, "sts:SetSourceIdentity")
	})
}

// checkShared refuses a statement that would let anybody's job take the role on: the confused deputy.
func checkShared(number int, p policy.Principal, st policy.Statement) error {
	_, issuer, ok := strings.Cut(p.ID, ":oidc-provider/")
	if p.Type != "Federated" || !ok || !slices.Contains(sharedIssuers, strings.ToLower(issuer)) {
		return nil
	}
	key := issuer + ":sub"
	refused := func(why string) error {
		return fault.New(fault.PolicyMalformed, "Statement %d trusts %s, which issues tokens to everybody, and %s. "+
			"It must have a condition on %s, with StringEquals or StringLike, that says whose tokens may assume the role.", number, issuer, why, key)
	}
	limited := false
	for _, c := range st.Conditions {
		if !strings.EqualFold(c.Key, key) {
			continue
		}
		var wide int
		switch strings.TrimPrefix(c.Operator, "ForAnyValue:") {
		case "StringEquals", "StringEqualsIgnoreCase": // compared letter by letter: a star is a star
			wide = slices.IndexFunc(c.Values, func(v string) bool { return everybodys(strings.NewReplacer("*", "x", "?", "x").Replace(v)) })
		case "StringLike":
			wide = slices.IndexFunc(c.Values, everybodys)
		default:
			continue
		}
		if wide >= 0 {
			return refused(fmt.Sprintf("its condition on %s lets %q through, which is everybody", key, c.Values[wide]))
		}
		limited = true
	}
	if !limited {
		return refused("has no condition that limits " + key)
	}
	return nil
}

// subjectWords are what subjects begin with before they name their owner.
var subjectWords = []string{ //nolint:gochecknoglobals // a table
	"account:", "job_workflow_ref:", "organization:", "project_path:", "repo:", "repository:", "repository_owner:", "repository_owner_id:",
}

// everybodys tells a pattern that leaves open whose tokens it is about: its first wildcard or variable, which may take its value
// from the token itself, stands before the first letter of the owner. What comes later, such as a branch, anybody can have.
func everybodys(pattern string) bool {
	pattern = strings.ToLower(pattern)
	open := strings.IndexAny(pattern, "*?")
	if v := strings.Index(pattern, "${"); v >= 0 && (open < 0 || v < open) {
		open = v
	}
	return open >= 0 && fixesNobody(pattern[:open])
}

// fixesNobody tells whether a subject's beginning names no part of an owner.
func fixesNobody(beginning string) bool {
	return slices.ContainsFunc(subjectWords, func(word string) bool { return strings.HasPrefix(word, beginning) })
}

// checkTrusted refuses a trust policy that names whom there is not.
func (s *Service) checkTrusted(ctx context.Context, q PrincipalQueries, d policy.Document) error {
	for _, st := range d.Statements {
		for _, p := range st.Principals {
			there, err := s.isThere(ctx, q, p)
			if err != nil {
				return err
			}
			if !there { // Terraform tries again for a while on these words: the principal may be on its way
				return fault.New(fault.PolicyMalformed, `Invalid principal in policy: "%s":"%s"`, p.Type, p.ID)
			}
		}
	}
	return nil
}

// isThere tells whether a trust policy's principal can be anybody. Of other accounts and services nothing is known, and
// nobody of them asks here.
func (s *Service) isThere(ctx context.Context, q PrincipalQueries, p policy.Principal) (bool, error) {
	switch p.Type {
	case "Federated":
		issuer, ok := strings.CutPrefix(p.ID, s.arn("oidc-provider", "/", ""))
		return ok && issuer != "", nil
	case "AWS":
	default:
		return p.Type == policy.Everyone || p.Type == "Service", nil
	}
	if strings.HasPrefix(p.ID, "AIDA") || strings.HasPrefix(p.ID, "AROA") {
		_, err := q.PrincipalByID(ctx, p.ID)
		if errors.Is(err, ErrNoRow) {
			return false, nil
		}
		return err == nil, err
	}
	parts := strings.SplitN(p.ID, ":", 6)
	if len(parts) < 6 { // an account, or everybody
		return p.ID == policy.Everyone || strings.Trim(p.ID, "0123456789") == "", nil
	}
	service, account, resource := parts[2], parts[4], parts[5]
	if account != s.account || service == "iam" && resource == "root" {
		return true, nil
	}
	kind, rest, _ := strings.Cut(resource, "/")
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	switch {
	case service == "iam" && (kind == string(User) || kind == string(Role)):
		found, err := findPrincipal(ctx, q, Kind(kind), name)
		return found.ARN == p.ID, err
	case service == "sts" && kind == "assumed-role":
		role, _, named := strings.Cut(rest, "/")
		found, err := findPrincipal(ctx, q, Role, role)
		return named && found.Name == role && role != "", err
	}
	return false, nil
}

// findPrincipal gives the zero Principal where there is none.
func findPrincipal(ctx context.Context, q PrincipalQueries, kind Kind, name string) (Principal, error) {
	p, err := q.Principal(ctx, kind, name)
	switch {
	case errors.Is(err, ErrNoRow):
		return Principal{}, nil
	case err != nil:
		return Principal{}, fmt.Errorf("reading %s %s: %w", kind, name, err)
	}
	return p, nil
}
