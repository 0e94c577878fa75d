package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// roleOperations names what is done with roles.
func (f face) roleOperations() map[string]awswire.Operation { return nil }
