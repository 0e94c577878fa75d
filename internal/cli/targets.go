package cli

import (
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// targets are the kinds of places that images are deployed to, by the type that berth.yaml gives. The root is the workspace's, from which
// files in a target's options are named.
func (p *program) targets(root string) map[string]deploy.Opener {
	_ = root
	return map[string]deploy.Opener{}
}
