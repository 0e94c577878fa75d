// Package identity knows who is asking: the account, its principals and their access keys.
//
// A face turns the credentials on a request into a [Caller] and hands it to every core operation.
// Secret access keys must be recoverable, since Signature V4 is an HMAC over them: they are stored sealed
// under the [MasterKey], never in the clear and never hashed.
package identity

import (
	"context"
	"errors"
	"time"
)

// Caller is the principal behind a request, as established by its credentials. The zero Caller is nobody,
// and is allowed nothing.
type Caller struct {
	Account     string // 12 digits
	ARN         string // arn:aws:iam::<account>:root
	UserID      string // what sts:GetCallerIdentity calls UserId
	AccessKeyID string // the key the credentials go back to
	Root        bool   // the account's root principal, whom no policy limits
	Service     bool   // the server itself at work, whom no policy limits: see Service
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
	// AccessKey finds a key by its id, or answers ErrNotFound.
	AccessKey(ctx context.Context, id string) (SealedKey, error)
	// RootAccessKeys lists the keys of the account's root principal, oldest first.
	RootAccessKeys(ctx context.Context) ([]SealedKey, error)
	// Secret returns the sealed secret of that name. When there is none it stores fallback durably and
	// returns that, so that replicas that start together agree on one.
	Secret(ctx context.Context, name string, fallback []byte) ([]byte, error)
}
