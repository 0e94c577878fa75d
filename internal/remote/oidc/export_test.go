package oidc

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

// Refuse replaces what counts as a private address: no test has a public one.
func (v *Verifier) Refuse(private guard.Refusal) { v.private = private }

// Decimal and ParseKeys are tested by themselves.
var (
	Decimal   = decimal
	ParseKeys = parseKeys
)

// The times that the documentation promises.
const (
	FreshFor   = freshFor
	KeptFor    = keptFor
	MissPause  = missPause
	FailPause  = failPause
	EmptyPause = emptyPause
	MaxKeys    = maxKeys
)

// Newer counts the keys that a token gets which was tried with those of a generation.
func (v *Verifier) Newer(ctx context.Context, p Provider, generation int) (int, error) {
	keys, err := v.sourceOf(p).again(ctx, generation)
	return len(keys), err
}
