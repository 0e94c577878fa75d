// Package identity knows who is asking: the account, its principals and their access keys.
//
// A face turns the credentials on a request into a [Caller] and hands it to every core operation.
// Secret access keys must be recoverable, since Signature V4 is an HMAC over them: they are stored sealed
// under the [MasterKey], never in the clear and never hashed.
package identity

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Caller is the principal behind a request, as established by its credentials. The zero Caller is nobody,
// and is allowed what everybody is.
type Caller struct {
	Account     string   // 12 digits
	ARN         string   // arn:aws:iam::<account>:root, …:user/<path><name>, arn:aws:sts::<account>:assumed-role/<role>/<session>
	UserID      string   // what sts:GetCallerIdentity calls UserId: the account, AIDA…, AROA…:<session>
	AccessKeyID string   // the key the credentials go back to
	Root        bool     // the account's root principal, whom no policy limits
	Service     bool     // the server itself at work, whom no policy limits: see Service
	Session     *Session // what a temporary credential carries; nil for one that lasts. It is never changed.
	Origin      Origin
}

// PrincipalID is the unique id of the user or role: AIDA…, AROA…. It is empty for the root principal, the server and
// nobody.
func (c Caller) PrincipalID() string {
	if c.Root || c.Service {
		return ""
	}
	id, _, _ := strings.Cut(c.UserID, ":")
	return id
}

// Anonymous tells whether nobody is asking.
func (c Caller) Anonymous() bool { return c.ARN == "" }

// Origin is where a request came from and how.
type Origin struct {
	Address   string // the client's IP address, without a port; empty within the server
	Secure    bool   // by TLS, to here or to a proxy that is trusted
	UserAgent string
}

// Session is what a temporary credential was given when it was issued.
type Session struct {
	Name           string            `json:"n,omitempty"` // of a role's session
	RoleARN        string            `json:"r,omitempty"` // with its path; empty for a user's session
	IssuedAt       time.Time         `json:"i"`
	Expires        time.Time         `json:"e"`
	Policy         string            `json:"p,omitempty"` // a document that limits the session
	PolicyARNs     []string          `json:"a,omitempty"` // managed policies that do
	Tags           map[string]string `json:"t,omitempty"`
	TransitiveTags []string          `json:"tt,omitempty"` // keys of tags that stay when the session assumes another role
	SourceIdentity string            `json:"s,omitempty"`
	Provider       string            `json:"f,omitempty"`   // the ARN of the OIDC provider whose token was exchanged
	Subject        string            `json:"sub,omitempty"` // of that token
}

// Service is the server itself, at some work of its own. Its name stands where others have an ARN and is
// none, so that nobody can have it: berth:lifecycle.
func Service(account, name string) Caller {
	return Caller{Account: account, ARN: "berth:" + name, UserID: "berth:" + name, Service: true}
}

// AccessKey is a long-lived credential. Secret is in the clear here and sealed wherever it rests.
type AccessKey struct {
	ID        string
	Secret    string
	Principal Caller
	CreatedAt time.Time
	Active    bool
}

// ErrNotFound is what a [Store] answers for a row that is not there.
var ErrNotFound = errors.New("no such identity row")

// SealedKey is an access key as it rests: its secret sealed under the master key.
type SealedKey struct {
	ID           string
	SealedSecret []byte
	PrincipalARN string
	UserID       string
	Root         bool
	CreatedAt    time.Time
	Active       bool
}

// Store is where keys and the registry's own secrets rest.
type Store interface {
	// InsertAccessKey stores a new key, durably.
	InsertAccessKey(ctx context.Context, key SealedKey) error
	// AccessKey finds a key by its id, or answers ErrNotFound. Its PrincipalARN is the user's of now.
	AccessKey(ctx context.Context, id string) (SealedKey, error)
	// RootAccessKeys lists the keys of the account's root principal, oldest first.
	RootAccessKeys(ctx context.Context) ([]SealedKey, error)
	// Secret returns the sealed secret of that name. When there is none it stores fallback durably and
	// returns that, so that replicas that start together agree on one.
	Secret(ctx context.Context, name string, fallback []byte) ([]byte, error)
	// PrincipalARN gives the ARN of the user or role with a unique id, or answers ErrNotFound.
	PrincipalARN(ctx context.Context, id string) (string, error)
}
