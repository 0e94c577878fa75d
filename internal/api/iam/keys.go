package iam

import "github.com/hoopstat-haus/berth/internal/api/awswire"

// keyOperations names what is done with access keys.
func (f face) keyOperations() map[string]awswire.Operation { return nil }
