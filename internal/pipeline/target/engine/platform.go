package engine

import (
	"context"
	"strings"

	"github.com/moby/moby/client"
)

// Platform is what the engine runs, such as linux/arm64.
func (e *Engine) Platform(ctx context.Context) (string, error) {
	v, err := e.API.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", e.Failed("asking the engine what it is", err)
	}
	if v.Os == "" || v.Arch == "" {
		return "", nil
	}
	return strings.ToLower(v.Os + "/" + v.Arch), nil
}
