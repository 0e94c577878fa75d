package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Pinned is a Dockerfile as a builder is to get it.
type Pinned struct {
	Text    []byte
	Base    string   // the image that the target is made from, "" if it is made from nothing
	Epoch   bool     // it has an ARG SOURCE_DATE_EPOCH
	Stages  []Stage  // up to the target
	Globals []Step   // each ARG before the first FROM
	Unnamed []string // of the images that are to be replaced, those that it does not name
}

// Stage is a stage of a Dockerfile.
type Stage struct {
	Name  string
	From  string // the image that it is made from, "" if that is another stage, or nothing
	Steps []Step // FROM first
}

// Step is an instruction of a Dockerfile.
type Step struct {
	Line int
	Text string // its first word
}

// NoStageError is that a Dockerfile has no stage of the target's name or number.
type NoStageError struct{ Target string }

// Error says so.
func (e *NoStageError) Error() string { return fmt.Sprintf("there is no stage %q in it", e.Target) }

// Pin replaces names of images in a Dockerfile, each as it is when the ARGs in it are put in, by others: in FROM, COPY
// --from and RUN --mount=from=. All else stays as it is, and on its line.
func Pin(text []byte, args map[string]workspace.ArgValue, target string, bases map[string]string) (Pinned, error) {
	b, err := parseDockerfile(text, args)
	if err != nil {
		return Pinned{}, err
	}
	last, err := b.target(target)
	if err != nil {
		return Pinned{}, err
	}
	p := pinning{built: b, bases: bases, used: map[string]bool{}, lines: strings.SplitAfter(string(text), "\n")}
	r := Pinned{}
	for i := range b.stages {
		steps, err := p.stage(i)
		if err != nil {
			return Pinned{}, err
		}
		if i <= last {
			stage := Stage{Name: b.stages[i].Name, Steps: steps}
			if name := p.expand(b.stages[i].BaseName, p.args); name != "scratch" && !p.isStage(name, i) {
				stage.From = p.taken(name)
			}
			r.Stages = append(r.Stages, stage)
		}
	}
	for _, a := range b.globals {
		r.Globals = append(r.Globals, step(a.Location(), "ARG"))
	}
	r.Epoch = p.epoch
	r.Base = p.base(last)
	r.Text = []byte(strings.Join(p.lines, ""))
	for _, name := range sortedKeys(bases) {
		if !p.used[name] {
			r.Unnamed = append(r.Unnamed, name)
		}
	}
	return r, nil
}

func step(at []parser.Range, text string) Step {
	s := Step{Text: text}
	if len(at) > 0 {
		s.Line = at[0].Start.Line
	}
	return s
}

type pinning struct {
	*built
	bases map[string]string
	used  map[string]bool
	lines []string
	epoch bool
}

// stage replaces names in a stage, and gives its instructions.
func (p *pinning) stage(i int) ([]Step, error) {
	s := p.stages[i]
	steps := []Step{step(s.Location, "FROM")}
	if to, ok := p.pinned(p.expand(s.BaseName, p.args), i); ok {
		if err := p.replace(s.Location, s.BaseName, to); err != nil {
			return nil, err
		}
	}
	env := map[string]string{}
	for _, c := range s.Commands {
		located, _ := c.(interface{ Location() []parser.Range })
		at := located.Location()
		steps = append(steps, step(at, strings.ToUpper(c.Name())))
		switch c := c.(type) {
		case *instructions.ArgCommand:
			p.declare(env, p.args, *c)
			p.epoch = p.epoch || slices.ContainsFunc(c.Args, func(a instructions.KeyValuePairOptional) bool { return a.Key == "SOURCE_DATE_EPOCH" })
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				env[kv.Key] = p.expand(kv.Value, env)
			}
		case *instructions.CopyCommand:
			if to, ok := p.pinned(p.expand(c.From, env), i); ok {
				if err := p.replace(at, "--from="+c.From, "--from="+to); err != nil {
					return nil, err
				}
			}
		case *instructions.RunCommand:
			if err := p.mounted(c, at, env, i); err != nil {
				return nil, err
			}
		}
	}
	return steps, nil
}

// mounted replaces names in the mounts of a RUN.
func (p *pinning) mounted(c *instructions.RunCommand, at []parser.Range, env map[string]string, i int) error {
	if err := c.Expand(func(word string) (string, error) { return word, nil }); err != nil {
		return nil //nolint:nilerr // the builder says what is wrong with it
	}
	for _, m := range instructions.GetMounts(c) {
		if to, ok := p.pinned(p.expand(m.From, env), i); ok {
			if err := p.replace(at, "from="+m.From, "from="+to); err != nil {
				return err
			}
		}
	}
	return nil
}

// pinned gives what an image is replaced by. A stage of that name goes before an image.
func (p *pinning) pinned(name string, i int) (string, bool) {
	if name == "" {
		return "", false
	}
	if p.isStage(name, i) {
		return "", false
	}
	to, ok := p.bases[name]
	p.used[name] = p.used[name] || ok
	return to, ok
}

// replace puts one word for another in an instruction. A mount's from=… is between commas.
func (p *pinning) replace(at []parser.Range, from, to string) error {
	first, end := 0, 0
	for i, r := range at {
		if i == 0 {
			first = r.Start.Line
		}
		end = max(end, r.End.Line)
	}
	for n := max(first, 1); n <= end && n <= len(p.lines); n++ {
		line := p.lines[n-1]
		if n > first && strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		skip := 0
		if n == first { // the instruction's own name may be an image's too
			skip = len(line) - len(strings.TrimLeft(line, " \t"))
			skip += len(firstWord(line[skip:]))
		}
		if i := findWord(line[skip:], from); i >= 0 {
			i += skip
			p.lines[n-1] = line[:i] + to + line[i+len(from):]
			return nil
		}
	}
	return fmt.Errorf("line %d: %q is not there in one piece, and so cannot be replaced by %s", first, from, to)
}

func firstWord(text string) string {
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		return text[:i]
	}
	return text
}

// findWord finds a word that has blanks, or a mount's commas, quotes or = around it.
func findWord(line, word string) int {
	for from := 0; ; {
		i := strings.Index(line[from:], word)
		if i < 0 {
			return -1
		}
		i += from
		end := i + len(word)
		if (i == 0 || strings.IndexByte(" \t,\"=", line[i-1]) >= 0) && (end == len(line) || strings.IndexByte(" \t\r\n,\"\\", line[end]) >= 0) {
			return i
		}
		from = i + 1
	}
}

// base gives the image that a stage is made from, over the stages that it is made from.
func (p *pinning) base(i int) string {
	for {
		name := p.expand(p.stages[i].BaseName, p.args)
		if j, ok := instructions.HasStage(p.stages[:i], name); ok {
			i = j
			continue
		}
		if name == "scratch" {
			return ""
		}
		return p.taken(name)
	}
}

// taken is what is taken for an image.
func (p *pinning) taken(name string) string {
	if to, ok := p.bases[name]; ok {
		return to
	}
	return name
}

// isStage tells whether a name is of a stage before stage i.
func (p *pinning) isStage(name string, i int) bool {
	_, ok := instructions.HasStage(p.stages[:i], name)
	return ok
}
