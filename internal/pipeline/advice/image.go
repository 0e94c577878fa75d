package advice

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

// runtime looks at how the image runs: the last USER and HEALTHCHECK of the stages that it has, and what its configuration says.
func (r *reader) runtime() {
	user, at, health := "", r.file.Stages[len(r.file.Stages)-1].Location, false
	for i, s := range r.file.Stages { // a stage comes after those that it begins from
		if !r.final[i] {
			continue
		}
		if image, _ := r.file.Base(i); strings.Contains(image, "nonroot") || strings.Contains(image, "rootless") {
			user = "(the base image's)"
		}
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				user, at = c.User, c.Location()
			case *instructions.HealthCheckCommand:
				health = true
			}
		}
	}
	if r.Image != nil && r.Image.Config != nil {
		user, health = r.Image.Config.User, health || len(r.Image.Config.Healthcheck) > 0
	}
	r.user(user, at)
	if !health {
		r.add("no-healthcheck", Note, nil, "there is no HEALTHCHECK", "docker and docker compose cannot tell an app that hangs from one that works; Kubernetes and ECS have checks of their own",
			`HEALTHCHECK CMD ["/app", "healthy"], with whatever the app has`)
	}
}

func (r *reader) user(user string, at []parser.Range) {
	name, _, _ := strings.Cut(user, ":")
	if name != "" && name != "root" && name != "0" {
		return
	}
	what := "the app runs as root, since nothing says otherwise"
	if name != "" {
		what = "the app runs as " + name
	}
	r.add("root", Warning, at, what, "whoever breaks out of the app owns the container, and with a hole in the runtime the machine",
		"make a user and switch to it last: USER 65532, or take a base image that is not root's")
}

// ignore looks whether something keeps files from the builder.
func (r *reader) ignore() {
	if r.Ignored {
		return
	}
	level, what := Note, "there is no .dockerignore"
	if r.copied {
		level, what = Warning, "there is no .dockerignore, and everything is copied"
	}
	r.add("no-dockerignore", level, nil, what, "the builder is sent all files, .git and local secrets among them; any change to any of them makes the cache useless, and what is copied is in the image",
		"write a .dockerignore beside the build context's root, with .git, .env and what builds leave")
}

const (
	most    = 5  // layers to name
	atLeast = 10 // per cent of the image
)

// size says which layers make the image large.
func (r *reader) size() {
	if r.Image == nil || r.Image.Size == 0 {
		return
	}
	layers := slices.Clone(r.Image.Layers)
	slices.SortStableFunc(layers, func(a, b images.Layer) int { return cmp.Compare(b.Size, a.Size) })
	for _, l := range layers[:min(most, len(layers))] {
		share := l.Size * 100 / r.Image.Size
		if share < atLeast {
			break
		}
		by := l.CreatedBy
		if by == "" {
			by = "an instruction that the image does not tell"
		}
		at, own := r.line(by)
		fix := "a smaller base image, such as a slim, alpine or distroless one, or scratch for a static program"
		if own {
			fix = "copy and install less, clean up in the same RUN, or build in a stage of its own"
		}
		r.found = append(r.found, Finding{
			"large-layer", Note, at, fmt.Sprintf("%d%% of the image's %d bytes are a layer of %d, made by: %s", share, r.Image.Size, l.Size, by),
			"every machine that runs the app pulls it", fix,
		})
	}
}

// line finds the instruction of the Dockerfile that a layer's history names. What is not found is the base image's.
func (r *reader) line(createdBy string) (line int, own bool) {
	want := squeeze(createdBy)
	for i, s := range r.file.Stages {
		if !r.final[i] {
			continue
		}
		for _, c := range s.Commands {
			text := ""
			if run, ok := c.(*instructions.RunCommand); ok {
				text = "RUN " + command(run)
			} else if said, ok := c.(fmt.Stringer); ok {
				text = said.String()
			}
			if text != "" && squeeze(text) == want && len(c.Location()) > 0 {
				return c.Location()[0].Start.Line, true
			}
		}
	}
	return 0, false
}

// squeeze leaves out what builders write one way or another.
func squeeze(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\\\n", " ")), " ")
}
