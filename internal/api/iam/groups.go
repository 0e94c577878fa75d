package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// groupOperations names what is done with groups.
func (f face) groupOperations() map[string]awswire.Operation { return nil }
