package app

import (
	"context"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// explained puts what a refusal rests on into the access log, where the operator reads it, and seals it for the client.
type explained struct{ awswire.Denials }

// Encode implements the faces' Denials.
func (e explained) Encode(ctx context.Context, r policy.Refusal) string {
	middleware.NoteDenial(ctx, strings.Join(r.Explanation, " "))
	return e.Denials.Encode(ctx, r)
}
