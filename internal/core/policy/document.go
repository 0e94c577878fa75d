package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Versions of the policy language. A document without a version is of the older one.
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Effect is what a statement does to whom it matches.
type Effect string

// The effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Document is an IAM policy document (IAM User Guide, "Grammar of the IAM JSON policy language"), as
// [ParseDocument] read it.
type Document struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one statement of a document. Of each pair, such as Actions and NotActions, one is empty at
// least.
type Statement struct {
	Sid           string
	Effect        Effect
	Principals    []Principal
	NotPrincipals []Principal
	Actions       []string // patterns: ecr:Get*
	NotActions    []string
	Resources     []string // patterns
	NotResources  []string
	Conditions    []Condition
}

// Principal is whom a statement is about.
type Principal struct {
	Type string // AWS, Service, Federated, CanonicalUser; or Everyone, with the id Everyone
	ID   string // for AWS: an account's id, an ARN, a unique id, or Everyone
}

// Everyone is the principal that a policy writes as "*".
const Everyone = "*"

// Condition is one line of a condition block: the operator, with its prefix and suffix, the key and what to
// compare it with.
type Condition struct {
	Operator string
	Key      string
	Values   []string
}

// MaxDocument is how many characters a registry's or repository's policy may have.
const MaxDocument = 10240

// ParseDocument reads the text of a policy that belongs to a resource, such as ECR's repository policy, and
// holds it to the language: every member known and given once, every value of its kind, every condition's
// operator one that there is. What it cannot read in full it refuses with fault.InvalidParameter, in words
// that say where and why, so that no part of a stored policy goes without effect.
//
// The same Sid may stand on several statements, as repository policies of old have it. See [Document.OfRepository],
// [Document.OfRegistry], [Document.OfIdentity] and [Document.OfTrust] for what the kinds demand besides.
func ParseDocument(text string) (Document, error) {
	members, err := parseObject("the policy", []byte(text))
	if err != nil {
		return Document{}, err
	}
	d := Document{Version: Version2008}
	for _, m := range members {
		switch m.name {
		case "Version":
			if d.Version, err = m.text(); err == nil && d.Version != Version2008 && d.Version != Version2012 {
				err = malformed("Version is %q, and must be %s or %s", d.Version, Version2012, Version2008)
			}
		case "Id":
			d.ID, err = m.text()
		case "Statement":
			d.Statements, err = parseStatements(m)
		default:
			err = malformed("a policy has no member %q", m.name)
		}
		if err != nil {
			return Document{}, err
		}
	}
	if len(d.Statements) == 0 {
		return Document{}, malformed("the policy has no Statement")
	}
	if err := d.check(); err != nil {
		return Document{}, err
	}
	return d, nil
}

// OfRepository holds the document to what a repository's policy is: about ecr's actions, for somebody, and
// about the repository that it hangs on, which it does not name.
func (d Document) OfRepository() error {
	return d.each(func(s Statement) string {
		if len(s.Resources)+len(s.NotResources) > 0 {
			return "must not have a Resource: it is about its repository"
		}
		return s.ofECR()
	})
}

// OfRegistry holds the document to what a registry's policy is: about ecr's actions, for somebody, on
// resources that it names.
func (d Document) OfRegistry() error {
	return d.each(func(s Statement) string {
		if len(s.Resources)+len(s.NotResources) == 0 {
			return "has no Resource"
		}
		return s.ofECR()
	})
}

// each refuses the first statement that is found wanting.
func (d Document) each(wanting func(Statement) string) error {
	for i, s := range d.Statements {
		if words := wanting(s); words != "" {
			return malformed("statement %d %s", i+1, words)
		}
	}
	return nil
}

// ofECR tells what a statement of a registry's or repository's policy lacks.
func (s Statement) ofECR() string {
	if len(s.Principals)+len(s.NotPrincipals) == 0 {
		return "has no Principal"
	}
	return s.of("ecr")
}

// of tells whether an action is another service's.
func (s Statement) of(service string) string {
	for _, a := range slices.Concat(s.Actions, s.NotActions) {
		its, _, _ := strings.Cut(a, ":")
		if a != "*" && a != "*:*" && !strings.EqualFold(its, service) {
			return "has the action " + a + ", which is none of " + service + "'s"
		}
	}
	return ""
}

// DeniesOutright tells whether the document, a resource's, denies a principal the action whatever the circumstances
// are: statements with conditions do not count.
func (d Document) DeniesOutright(principalARN string, action Action) bool {
	q := Question{Asker: Asker{ARN: principalARN}, Action: action}
	if a, ok := parseARN(principalARN); ok {
		q.Asker.Account = a.account
	}
	asked := newDeciding(&q)
	return slices.ContainsFunc(d.Statements, func(s Statement) bool {
		made := s.compile(d.Version == Version2012)
		return made.deny && len(made.conditions) == 0 && made.fitsAction(asked) && made.about(&q.Asker) != 0
	})
}

func malformed(format string, args ...any) error {
	return fault.New(fault.InvalidParameter, format, args...)
}

var (
	actionRule   = regexp.MustCompile(`^(\*|\*:\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$`)
	accountRule  = regexp.MustCompile(`^[0-9]{12}$`)
	sidRule      = regexp.MustCompile(`^[a-zA-Z0-9]+$`)
	uniqueIDRule = regexp.MustCompile(`^A[A-Z0-9]{15,127}$`)
)
