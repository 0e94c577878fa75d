package oidc

import "github.com/hoopstat-haus/berth/internal/remote/guard"

// Refuse replaces what counts as a private address: no test has a public one.
func (v *Verifier) Refuse(private guard.Refusal) { v.private = private }

// Decimal is tested by itself.
var Decimal = decimal

// The times that the documentation promises.
const (
	FreshFor   = freshFor
	KeptFor    = keptFor
	MissPause  = missPause
	FailPause  = failPause
	EmptyPause = emptyPause
	MaxKeys    = maxKeys
)
