package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// policyOperations names what is done with policies and where they hang.
func (f face) policyOperations() map[string]awswire.Operation { return nil }
