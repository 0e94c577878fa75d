package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// userOperations names what is done with users, groups and access keys.
func (f face) userOperations() map[string]awswire.Operation { return nil }
