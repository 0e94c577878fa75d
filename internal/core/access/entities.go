package access

import (
	"context"
	"strings"
	"time"
)

// Kind is what a principal is.
type Kind string

// The kinds of principals. A group is none that asks: what it may do is what its users may.
const (
	User  Kind = "user"
	Role  Kind = "role"
	Group Kind = "group"
)

// Principal is a user, a role or a group.
type Principal struct {
	ID        string // AIDA…, AROA…, AGPA…
	Kind      Kind
	Name      string
	Path      string // begins and ends with a slash
	ARN       string // arn:aws:iam::<account>:<kind><path><name>
	CreatedAt time.Time
	Boundary  string // a managed policy's ARN, or empty

	// Of a role alone.
	Description string
	Trust       string // the trust policy's document, as it was put
	MaxSession  time.Duration
	UsedAt      time.Time // zero: never
	UsedRegion  string
}

// Tag is a key and its value. Of keys that differ in letter case alone there is one.
type Tag struct{ Key, Value string }

// InlinePolicy is a policy that belongs to its principal.
type InlinePolicy struct {
	Name     string
	Document string // as it was put
}

// ManagedPolicy is a policy that can be attached to many principals.
type ManagedPolicy struct {
	ARN, ID, Name, Path, Description string
	InForce                          int // the number of the default version: 1 is v1
	LastVersion                      int // the highest number ever given
	CreatedAt, UpdatedAt             time.Time
}

// PolicyVersion is one of a managed policy's documents.
type PolicyVersion struct {
	Number    int
	Document  string
	CreatedAt time.Time
}

// KeyInfo is an access key without its secret.
type KeyInfo struct {
	ID, UserID string
	UserName   string // empty for a root key
	Root       bool
	Active     bool
	CreatedAt  time.Time
	Used       Use
}

// Use is when, where and for what something was last used. At is zero where it never was.
type Use struct {
	At              time.Time
	Region, Service string
}

// Provider is an OIDC provider whose tokens are taken.
type Provider struct {
	ARN         string // arn:aws:iam::<account>:oidc-provider/<issuer without scheme>
	Issuer      string // https://token.actions.githubusercontent.com
	ClientIDs   []string
	Thumbprints []string // SHA-1, 40 lower-case hexadecimal digits each
	CreatedAt   time.Time
}

// Grants is all that decides what a user or role may do.
type Grants struct {
	Principal Principal
	Tags      []Tag
	// Policies are its own and, for a user, its groups': inline and attached.
	Policies []GrantedPolicy
	// BoundaryDocument is the boundary's document in force, where it is one of the account's own policies.
	BoundaryDocument string
}

// GrantedPolicy is a policy that grants a principal something.
type GrantedPolicy struct {
	ARN      string // of a managed policy
	Inline   string // the name of an inline one
	Of       string // the name of the group that it came by, or empty
	Document string // empty for one of AWS's managed policies, which are part of the program
}

// Claims is what a verified web identity token says.
type Claims struct {
	Subject  string
	Audience string
	Issuer   string
	// Values are the claims by name, for the condition keys <issuer without scheme>:<claim>.
	Values         map[string][]string
	Tags           map[string]string // for the session
	TransitiveTags []string
	SourceIdentity string
}

// TokenVerifier verifies web identity tokens.
type TokenVerifier interface {
	// Issuer reads who claims to have issued a token, without believing it.
	Issuer(token string) (string, error)
	// Verify checks a token against the provider. The faults are fault.IdentityTokenInvalid, IdentityTokenExpired,
	// IdentityTokenRejected and IdentityProviderUnavailable.
	Verify(ctx context.Context, p Provider, token string) (Claims, error)
}

// fold is how names are compared.
func fold(name string) string { return strings.ToLower(name) }
