package cli

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/command"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/compose"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/docker"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/ecs"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/kubernetes"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/lambda"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// targets are the kinds of places that images are deployed to, by the type that berth.yaml gives. The root is the workspace's, from which
// files in a target's options are named.
func (p *program) targets(root string) map[string]deploy.Opener {
	environ := config.Environ()
	return map[string]deploy.Opener{
		"command": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return command.Open(ctx, command.Config{Options: o, Dir: root, Environ: environ})
		},
		"compose": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return compose.Open(ctx, compose.Config{Options: o, Dir: root, Environ: environ, Now: p.now})
		},
		"docker": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return docker.Open(ctx, docker.Config{Options: o, Dir: root, Environ: environ, Now: p.now})
		},
		"ecs": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return ecs.Open(ctx, ecs.Config{Options: o})
		},
		"kubernetes": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return kubernetes.Open(ctx, kubernetes.Config{Options: o, Dir: root, Environ: environ})
		},
		"lambda": func(ctx context.Context, o workspace.Options) (deploy.Target, error) {
			return lambda.Open(ctx, lambda.Config{Options: o})
		},
	}
}
