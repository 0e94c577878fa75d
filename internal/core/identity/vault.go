package identity

import (
	"context"
	"errors"
)

// ErrChanged is what a [Vault] answers when what is to be replaced is not what was there any more.
var ErrChanged = errors.New("changed meanwhile")

// SealedRow is a row of any table that rests sealed under the master key.
type SealedRow struct {
	Name   string // that it is sealed as
	Sealed []byte
}

// Resealing replaces what a row holds, if that is Old still.
type Resealing struct {
	Name     string
	Old, New []byte
}

// Vault is where everything rests that is sealed under the master key, of whatever kind.
type Vault interface {
	// FindSecret returns the sealed secret of that name, or ErrNotFound.
	FindSecret(ctx context.Context, name string) ([]byte, error)
	// ReplaceSecret stores a secret durably in the place of old, where nil stands for none, or answers ErrChanged.
	ReplaceSecret(ctx context.Context, name string, old, sealed []byte) error
	// SealedOtherwise lists, in order of name, the rows after a name that do not begin with header; at most limit.
	SealedOtherwise(ctx context.Context, header []byte, after string, limit int) ([]SealedRow, error)
	// Reseal replaces rows in one transaction, all that are still what they were, and tells how many. It does nothing
	// and answers ErrChanged when the secret of the name [MasterKeySecret] is not marker.
	Reseal(ctx context.Context, marker []byte, rows []Resealing) (int, error)
	// SealHeaders counts all sealed rows by the header of that many bytes which they begin with.
	SealHeaders(ctx context.Context, size int) (map[string]int, error)
}

// MasterKeySecret is the name of the secret that says by which key it is sealed which key is to seal: all replicas
// seal under that one. It is there from the first rotation on.
const MasterKeySecret = "master-key"
