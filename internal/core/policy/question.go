package policy

// Kind is what part a policy plays in a decision (IAM User Guide, "Policy evaluation logic").
type Kind string

// The kinds, in the words that AWS's messages use.
const (
	IdentityBased       Kind = "identity-based policy"
	ResourceBased       Kind = "resource-based policy"
	PermissionsBoundary Kind = "permissions boundary"
	SessionPolicy       Kind = "session policy"
	// RoleTrust is the resource-based policy of a role. What lets somebody take a role on is asked of it first: see
	// [Decide].
	RoleTrust Kind = "role trust policy"
)

// Policy is a document made ready to decide by. It is immutable, and shared by many goroutines.
type Policy struct {
	kind       Kind
	name       string
	statements []statement
}

// Kind tells which part the policy plays.
func (p *Policy) Kind() Kind { return p.kind }

// Name is how explanations name the policy: an ARN, or words such as "the inline policy push of user ci".
func (p *Policy) Name() string { return p.name }

// Question is one request for permission, with all the policies that have a say in it.
type Question struct {
	Asker    Asker
	Action   Action
	Resource string // an ARN, or AnyResource
	Below    bool   // Resource is an ARN that ends in *, and the question is about all that begins so
	// Account is the account that the resource belongs to, 12 digits. Where the asker is of another, its own policies
	// and the resource's must both allow.
	Account string
	Context Context // nil: no keys at all

	Identity []*Policy // of the asker: its own, its groups'
	Boundary *Policy   // nil: none is set
	// Sessions are the policies given when the session began, each of which may allow. Nil: none were given;
	// otherwise the session may do no more than they say.
	Sessions  []*Policy
	Resources []*Policy // of the resource: a repository's and the registry's, or a role's trust policy
}

// Asker is a principal as statements with a Principal name it. The zero Asker is anybody at all: anonymous.
type Asker struct {
	ARN       string // of the user or the session: arn:aws:sts::<account>:assumed-role/<role>/<session>
	Account   string // 12 digits
	RoleARN   string // of a role's session: the role's, with its path
	UserID    string // AIDA…, or AROA…:<session>
	Federated string // of a web identity: the OIDC provider's ARN, which is all there is
}

// Context gives the values of a condition key, which is in lower case throughout: aws:sourceip, aws:principaltag/team.
// It tells whether the request has the key at all. It is asked only for keys that statements name which fit but for their
// conditions or their resource's variables, and once for each in a decision. Values are text: numbers, true and false,
// dates in ISO 8601, addresses, ARNs, base64 for BinaryEquals. The values are only read.
type Context func(key string) (values []string, present bool)

// Outcome is how a decision came out.
type Outcome string

// The outcomes, in the words of IAM's simulator.
const (
	Allowed      Outcome = "allowed"
	ExplicitDeny Outcome = "explicitDeny"
	ImplicitDeny Outcome = "implicitDeny"
)

// Decision is the answer to a Question, with what it rests on.
type Decision struct {
	Outcome Outcome
	// Because is what an Allowed or ExplicitDeny rests on: the statements that allow, or those that deny.
	Because []Match
	// Lacking is the kind of policy without which it was not allowed, where no statement denies: the one that AWS's message
	// names.
	Lacking Kind
	// MissingKeys are the condition keys and variables, in the statements' spelling and in order, that statements which otherwise
	// fit asked for and the request did not have. What Null and IfExists ask for is not missing.
	MissingKeys []string
}

// Match is a statement that has to do with a decision.
type Match struct {
	Policy    *Policy
	Statement int    // the first is 1
	Sid       string // may be empty
}

// Request is what somebody asks to do, with the resource's side of it. The asker's own policies join it where principals
// are kept.
type Request struct {
	Action    Action
	Resource  string    // an ARN, or AnyResource
	Below     bool      // see Question
	Account   string    // that the resource belongs to
	Resources []*Policy // the resource's policies
	Context   Context   // the keys that are about the request and its resource; nil: none
}
