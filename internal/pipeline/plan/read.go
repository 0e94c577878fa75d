package plan

import (
	"strconv"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// Recipe is a Dockerfile for whoever looks at its instructions rather than at what they take.
type Recipe struct {
	Stages []instructions.Stage
	Global []instructions.ArgCommand // before the first stage
	built  *built
}

// ReadDockerfile reads one.
func ReadDockerfile(text []byte) (*Recipe, error) {
	b, err := parseDockerfile(text, nil)
	if err != nil {
		return nil, err
	}
	return &Recipe{Stages: b.stages, Global: b.globals, built: b}, nil
}

// Base is what a stage begins from: an image, with the defaults of arguments in its name, or else another stage.
func (d *Recipe) Base(stage int) (image string, from int) {
	name := d.built.expand(d.Stages[stage].BaseName, d.built.args)
	if j, ok := instructions.HasStage(d.Stages[:stage], name); ok {
		return "", j
	}
	if j, err := strconv.Atoi(name); err == nil && j >= 0 && j < stage {
		return "", j
	}
	return name, -1
}

// Needed tells which stages a builder runs for the last one.
func (d *Recipe) Needed() map[int]bool {
	w := newWalk(d.built)
	w.stage(len(d.Stages) - 1)
	needed := map[int]bool{}
	for i := range w.done {
		needed[i] = true
	}
	return needed
}
