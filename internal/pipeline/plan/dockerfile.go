package plan

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// dockerfile reads what a project's Dockerfile takes from its context and from other images.
func (r *reading) dockerfile(p *Project) error {
	name, context := p.Image.Dockerfile, p.Image.Context
	p.add(input{at: name, cause: Dockerfile})
	ignoreFile := path.Join(context, ".dockerignore")
	if own := name + ".dockerignore"; r.exists[own] { // BuildKit goes by this one alone then
		ignoreFile = own
	}
	p.add(input{at: name + ".dockerignore", cause: Dockerignore})
	if ignoreFile != name+".dockerignore" {
		p.add(input{at: ignoreFile, cause: Dockerignore})
	}
	var err error
	if p.ignore, err = r.ignore(context, ignoreFile); err != nil {
		return err
	}
	text, err := r.tree.Read(name)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	build, err := parseDockerfile(text, p.Image.Args)
	if err != nil {
		return err
	}
	from, err := build.reach(p.Image.Target)
	if err != nil {
		return err
	}
	p.images = from.images
	for _, image := range from.images {
		if app := r.appOf(image); app != "" && app != p.Name {
			p.Dependencies = append(p.Dependencies, Dependency{app, name + ": FROM " + image})
			p.bases = append(p.bases, app)
			p.references = append(p.references, image)
		}
	}
	for _, source := range from.sources {
		r.copies(p, source)
	}
	if r.triggered(p) {
		r.copies(p, ".")
	}
	if len(from.sources) == 0 { // what it is made from may have ONBUILD COPY
		p.made = slices.ContainsFunc(from.bases, func(image string) bool { return r.appOf(image) == "" })
	}
	return nil
}

var trigger = regexp.MustCompile(`(?im)^\s*ONBUILD\s`)

// triggered tells whether a project is made from an app that has instructions for whatever is made from it.
func (r *reading) triggered(p *Project) bool {
	return slices.ContainsFunc(p.bases, func(base string) bool {
		text, err := r.tree.Read(r.graph.byName[base].Image.Dockerfile)
		return err == nil && trigger.Match(text) // else its own reading reports it
	})
}

// copies notes that the image takes a path of the context.
func (r *reading) copies(p *Project, source string) {
	shown := source
	clean := path.Join("/", source)[1:] // what is above the context is the context
	name := path.Join(p.Image.Context, clean)
	in := copyInput(name, p.Image.Dockerfile+": copies "+shown)
	p.add(in)
	p.copied = append(p.copied, in)
	p.made = p.made || !r.any(in)
	if in.match == nil {
		if owner := r.graph.owner(name); owner != nil {
			p.depend(owner.Name, in.why)
			return
		}
	}
	if in.at == "." { // a whole monorepo: that is no statement of what is needed
		return
	}
	for _, lib := range r.graph.projects {
		if lib.Kind == workspace.Lib && within(lib.Dir, in.at) && r.takes(p, lib, in) {
			p.depend(lib.Name, in.why)
		}
	}
}

// takes tells whether something of a library is copied, and .dockerignore lets it get to the builder.
func (r *reading) takes(p, lib *Project, in input) bool {
	return slices.ContainsFunc(r.below(lib.Dir), func(name string) bool { return in.covers(name) && !p.ignore.out(name) })
}

// built is a Dockerfile.
type built struct {
	stages  []instructions.Stage
	globals []instructions.ArgCommand // before the first stage
	args    map[string]string         // what those are, and those that are given
	given   map[string]string
	escape  rune
}

func parseDockerfile(text []byte, args map[string]workspace.ArgValue) (b *built, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no Dockerfile that can be read: %v", r)
		}
	}()
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	b = &built{given: map[string]string{}, escape: parsed.EscapeToken}
	for k, v := range args {
		b.given[k] = string(v)
	}
	if b.stages, b.globals, err = instructions.Parse(parsed.AST, nil); err != nil {
		return nil, err
	}
	if len(b.stages) == 0 {
		return nil, fmt.Errorf("there is no FROM in it")
	}
	b.args = automatic()
	for _, a := range b.globals {
		b.declare(b.args, nil, a)
	}
	return b, nil
}

// automatic are the arguments that builders set by themselves. What they are is not known here, so they stand for
// anything, as patterns.
func automatic() map[string]string {
	args := map[string]string{}
	for _, side := range []string{"TARGET", "BUILD"} {
		args[side+"PLATFORM"] = "*/*"
		for _, part := range []string{"OS", "ARCH", "VARIANT"} {
			args[side+part] = "*"
		}
	}
	return args
}

// declare is an ARG: a value that is given counts before the default, and outside a stage before inside without one.
func (b *built) declare(env, outside map[string]string, arg instructions.ArgCommand) {
	for _, a := range arg.Args {
		given, isGiven := b.given[a.Key]
		global, isGlobal := outside[a.Key]
		switch {
		case isGiven:
			env[a.Key] = given
		case a.Value != nil:
			env[a.Key] = b.expand(*a.Value, env)
		case isGlobal:
			env[a.Key] = global
		}
	}
}

type environment map[string]string

// Get gives a variable.
func (e environment) Get(key string) (string, bool) { v, ok := e[key]; return v, ok }

// Keys gives all names.
func (e environment) Keys() []string { return sortedKeys(e) }

// expand replaces variables, as a builder would; what cannot be is left.
func (b *built) expand(word string, env map[string]string) string {
	expanded, _, err := shell.NewLex(b.escape).ProcessWord(word, environment(env))
	if err != nil {
		return word
	}
	return expanded
}

// taken is what the stages that are needed take from outside.
type taken struct {
	sources []string // paths in the context, and patterns
	images  []string
	bases   []string // those of the images that a stage is made from
}

// reach walks the stages that a target needs, the last one if it is "". Builders leave the others out.
func (b *built) reach(target string) (taken, error) {
	last, err := b.target(target)
	if err != nil {
		return taken{}, err
	}
	w := newWalk(b)
	w.stage(last)
	return w.taken, nil
}

// target finds a stage by name or number, the last one if it is "".
func (b *built) target(target string) (int, error) {
	last := len(b.stages) - 1
	if target == "" {
		return last, nil
	}
	if i, ok := instructions.HasStage(b.stages, target); ok {
		return i, nil
	}
	n, err := strconv.Atoi(target)
	if err != nil || n < 0 || n > last {
		return 0, &NoStageError{target}
	}
	return n, nil
}

type walk struct {
	*built
	taken
	done     map[int]map[string]string // stages, with their environment at the end
	outside  map[int]bool              // stages on an image, whose environment is not known
	triggers map[int]bool              // stages with ONBUILD
}

func newWalk(b *built) *walk {
	return &walk{built: b, done: map[int]map[string]string{}, outside: map[int]bool{}, triggers: map[int]bool{}}
}

// stage walks a stage and what it needs, and gives its environment.
func (w *walk) stage(i int) map[string]string {
	if env, ok := w.done[i]; ok {
		return env
	}
	s := w.stages[i]
	env := map[string]string{}
	base := w.expand(s.BaseName, w.args)
	maps.Copy(env, w.from(base, i))
	j, isStage := w.before(base, i)
	if w.outside[i] = isStage && w.outside[j] || !isStage && base != "scratch"; !isStage && w.outside[i] {
		w.bases = append(w.bases, base)
	}
	if isStage && w.triggers[j] {
		w.sources = append(w.sources, ".")
	}
	w.done[i] = env
	for _, c := range s.Commands {
		switch c := c.(type) {
		case *instructions.ArgCommand:
			w.declare(env, w.args, *c)
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				env[kv.Key] = w.expand(kv.Value, env)
			}
		case *instructions.CopyCommand:
			if c.From != "" {
				w.from(w.expand(c.From, env), i)
				continue
			}
			w.take(c.SourcePaths, env, i)
		case *instructions.AddCommand:
			w.take(c.SourcePaths, env, i)
		case *instructions.OnbuildCommand:
			w.triggers[i] = true
		case *instructions.RunCommand:
			w.mounts(c, env, i)
		}
	}
	return env
}

// before is a stage before stage i, by name or number.
func (w *walk) before(name string, i int) (int, bool) {
	if j, ok := instructions.HasStage(w.stages[:i], name); ok {
		return j, true
	}
	j, err := strconv.Atoi(name)
	return j, err == nil && j >= 0 && j < i
}

// from is a stage before stage i, or else an image. It gives the stage's environment.
func (w *walk) from(name string, i int) map[string]string {
	if j, ok := w.before(name, i); ok {
		return w.stage(j)
	}
	if name != "" && name != "scratch" {
		w.images = append(w.images, name)
	}
	return nil
}

var remote = regexp.MustCompile(`^(https?://|git://|ssh://|git@)`)

func (w *walk) take(paths []string, env map[string]string, i int) {
	for _, source := range paths {
		expanded, unknown, err := shell.NewLex(w.escape).ProcessWord(source, environment(env))
		switch {
		case err != nil:
			expanded = source
		case len(unknown) > 0 && w.outside[i]:
			expanded = "." // the image that it is made from may say what
		}
		if !remote.MatchString(expanded) {
			w.sources = append(w.sources, expanded)
		}
	}
}

// mounts is what a RUN mounts, by --mount=type=bind,source=PATH.
func (w *walk) mounts(c *instructions.RunCommand, env map[string]string, i int) {
	// Without this the mounts are not there. That a variable in one cannot be expanded leaves it as it is written.
	if err := c.Expand(func(word string) (string, error) { return w.expand(word, env), nil }); err != nil {
		w.sources = append(w.sources, ".")
		return
	}
	for _, m := range instructions.GetMounts(c) {
		switch {
		case m.From != "":
			w.from(m.From, i)
		case m.Type == instructions.MountTypeBind:
			w.sources = append(w.sources, m.Source)
		}
	}
}

// ignore is a .dockerignore file with what it says of paths that were asked about.
type ignore struct {
	context string
	matcher *patternmatcher.PatternMatcher
	known   map[string]bool
}

// ignore reads a .dockerignore file once for all who go by it.
func (r *reading) ignore(context, name string) (*ignore, error) {
	key := context + "\x00" + name
	if known, ok := r.ignores[key]; ok {
		return known, nil
	}
	ig := &ignore{context: context, known: map[string]bool{}}
	if r.exists[name] {
		text, err := r.tree.Read(name)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the file
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if ig.matcher, err = patternmatcher.New(patterns); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	r.ignores[key] = ig
	return ig, nil
}

// concerns tells whether it may keep out something of a path.
func (ig *ignore) concerns(at string) bool {
	return ig != nil && ig.matcher != nil && (ig.context == "." || at == "." || within(at, ig.context) || within(ig.context, at))
}

// inContext gives a path as the builder knows it.
func (ig *ignore) inContext(name string) (string, bool) {
	if ig.context == "." {
		return name, true
	}
	return strings.CutPrefix(name, ig.context+"/")
}

// out tells whether a path of the context does not get to the builder.
func (ig *ignore) out(name string) bool {
	if ig == nil || ig.matcher == nil {
		return false
	}
	if known, ok := ig.known[name]; ok {
		return known
	}
	inside, ok := ig.inContext(name)
	ignored := false
	if ok {
		matched, err := ig.matcher.MatchesOrParentMatches(inside)
		ignored = matched && err == nil
	}
	ig.known[name] = ignored
	return ignored
}
