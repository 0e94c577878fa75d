package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// providerOperations names what is done with OIDC providers.
func (f face) providerOperations() map[string]awswire.Operation { return nil }
