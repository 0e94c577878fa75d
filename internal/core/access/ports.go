package access

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// ErrNoRow is what a query for one row answers when there is none.
var ErrNoRow = errors.New("no such access row")

// ErrConflict is what an insert answers when the name is taken.
var ErrConflict = errors.New("access row is there already")

// Store is the metadata database.
type Store interface {
	// Update runs f in a transaction that no other Update runs beside, so that a limit that f checks holds. It returns
	// when the writes are durable, or with f's error and nothing written. f may run more than once.
	Update(ctx context.Context, f func(tx Tx) error) error
	// Read gives the queries outside a transaction.
	Read() Queries
}

// Queries reads.
type Queries interface {
	PrincipalQueries
	PolicyQueries
	KeyQueries
	ProviderQueries
	TagQueries
}

// Tx reads and writes.
type Tx interface {
	Queries
	PrincipalWrites
	PolicyWrites
	ManagedPolicyWrites
	KeyWrites
	ProviderWrites
	TagWrites
}

// PrincipalQueries reads users, groups and roles, without their tags.
type PrincipalQueries interface {
	// Principal finds one by kind and name, whatever the name's letter case, or ErrNoRow.
	Principal(ctx context.Context, kind Kind, name string) (Principal, error)
	// PrincipalByID finds one by its unique id, or ErrNoRow.
	PrincipalByID(ctx context.Context, id string) (Principal, error)
	// Principals lists those of a kind whose path begins so, in order of their names in lower case, after the given one.
	Principals(ctx context.Context, kind Kind, pathPrefix, after string, limit int) ([]Principal, error)
	// GroupsOf lists the groups that a user is in, in order of name.
	GroupsOf(ctx context.Context, userID string) ([]Principal, error)
	// Members lists the users of a group, in order of name.
	Members(ctx context.Context, groupID string) ([]Principal, error)
	// Grants reads all that decides what a user or role may do, or answers ErrNoRow.
	Grants(ctx context.Context, id string) (Grants, error)
	// CountPrincipals tells how many there are of a kind.
	CountPrincipals(ctx context.Context, kind Kind) (int, error)
}

// PrincipalWrites changes users, groups and roles.
type PrincipalWrites interface {
	// InsertPrincipal adds one, or answers ErrConflict where its name is taken.
	InsertPrincipal(ctx context.Context, p Principal) error
	// UpdatePrincipal stores everything but id, kind and creation time, or answers ErrConflict where its name is taken.
	UpdatePrincipal(ctx context.Context, p Principal) error
	// DeletePrincipal removes one with its inline policies, attachments, memberships, keys and tags.
	DeletePrincipal(ctx context.Context, id string) error
	// AddMember puts a user in a group. It may be there already.
	AddMember(ctx context.Context, groupID, userID string) error
	// RemoveMember takes a user out of a group, and tells whether it was in.
	RemoveMember(ctx context.Context, groupID, userID string) (bool, error)
	// RecordRoleUse notes when and where a role was last used, never going back.
	RecordRoleUse(ctx context.Context, id string, at time.Time, region string) error
}

// PolicyQueries reads policies and where they hang.
type PolicyQueries interface {
	// InlinePolicies lists a principal's own, in order of name.
	InlinePolicies(ctx context.Context, principalID string) ([]InlinePolicy, error)
	// Attachments lists the ARNs of the managed policies that are attached to a principal, in order.
	Attachments(ctx context.Context, principalID string) ([]string, error)
	// AttachedTo lists the principals that a managed policy is attached to, in order of kind and name.
	AttachedTo(ctx context.Context, policyARN string) ([]Principal, error)
	// BoundaryOf lists the principals whose boundary a managed policy is, in order of kind and name.
	BoundaryOf(ctx context.Context, policyARN string) ([]Principal, error)
	// ManagedPolicy finds one of the account's own, or ErrNoRow.
	ManagedPolicy(ctx context.Context, arn string) (ManagedPolicy, error)
	// ManagedPolicies lists those of the account whose path begins so, in order of their names in lower case.
	ManagedPolicies(ctx context.Context, pathPrefix, after string, limit int) ([]ManagedPolicy, error)
	// PolicyVersions lists a managed policy's, the newest first.
	PolicyVersions(ctx context.Context, arn string) ([]PolicyVersion, error)
}

// PolicyWrites changes what hangs on principals.
type PolicyWrites interface {
	PutInlinePolicy(ctx context.Context, principalID string, p InlinePolicy) error
	// DeleteInlinePolicy tells whether there was one.
	DeleteInlinePolicy(ctx context.Context, principalID, name string) (bool, error)
	// Attach attaches a managed policy. It may be attached already.
	Attach(ctx context.Context, principalID, policyARN string) error
	// Detach tells whether it was attached.
	Detach(ctx context.Context, principalID, policyARN string) (bool, error)
}

// ManagedPolicyWrites changes the account's own managed policies.
type ManagedPolicyWrites interface {
	// InsertManagedPolicy adds one without versions, or answers ErrConflict where its name is taken.
	InsertManagedPolicy(ctx context.Context, p ManagedPolicy) error
	// UpdateManagedPolicy stores which version is in force, the last version's number and the time of the update.
	UpdateManagedPolicy(ctx context.Context, p ManagedPolicy) error
	// DeleteManagedPolicy removes one with its versions and tags.
	DeleteManagedPolicy(ctx context.Context, arn string) error
	InsertPolicyVersion(ctx context.Context, arn string, v PolicyVersion) error
	// DeletePolicyVersion tells whether there was one.
	DeletePolicyVersion(ctx context.Context, arn string, number int) (bool, error)
}

// KeyQueries reads access keys.
type KeyQueries interface {
	// UserKeys lists a user's, oldest first.
	UserKeys(ctx context.Context, userID string) ([]KeyInfo, error)
	// KeyInfo finds one by its id, of whomever, or ErrNoRow.
	KeyInfo(ctx context.Context, id string) (KeyInfo, error)
}

// KeyWrites changes access keys.
type KeyWrites interface {
	InsertKey(ctx context.Context, k identity.SealedKey) error
	// SetKeyActive switches one on or off.
	SetKeyActive(ctx context.Context, id string, active bool) error
	DeleteKey(ctx context.Context, id string) error
	// RecordKeyUse notes when, where and for what a key was last used, never going back.
	RecordKeyUse(ctx context.Context, id string, u Use) error
}

// ProviderQueries reads OIDC providers, without their tags.
type ProviderQueries interface {
	// Provider finds one by its ARN, or ErrNoRow.
	Provider(ctx context.Context, arn string) (Provider, error)
	// Providers lists all, in order of ARN.
	Providers(ctx context.Context) ([]Provider, error)
}

// ProviderWrites changes OIDC providers.
type ProviderWrites interface {
	// InsertProvider adds one, or answers ErrConflict.
	InsertProvider(ctx context.Context, p Provider) error
	// UpdateProvider stores client ids and thumbprints.
	UpdateProvider(ctx context.Context, p Provider) error
	// DeleteProvider removes one with its tags.
	DeleteProvider(ctx context.Context, arn string) error
}

// TagQueries reads tags. Their owner is a principal's unique id, or the ARN of a managed policy or OIDC provider.
type TagQueries interface {
	// Tags lists in order of key.
	Tags(ctx context.Context, owner string) ([]Tag, error)
}

// TagWrites changes tags.
type TagWrites interface {
	// SetTags replaces an owner's tags.
	SetTags(ctx context.Context, owner string, tags []Tag) error
}
