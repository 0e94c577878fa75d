package plan

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"
)

// goMod reads a go.mod: replacements by a path, and requirements that the go.work around it has in the tree.
func (r *reading) goMod(p *Project, name string) error {
	text, err := r.tree.Read(name)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	mod, err := modfile.Parse(name, text, nil)
	if err != nil {
		return err
	}
	r.goReplaces(p, name, mod.Replace)
	dir := path.Dir(name)
	work, err := r.goWorkOf(dir)
	if err != nil || work == nil || !work.uses[dir] {
		return err
	}
	r.shares(p, work.dir, "go.work", "go.work.sum")
	r.goReplaces(p, work.name, work.replace)
	for _, require := range mod.Require {
		if at, ok := work.modules[require.Mod.Path]; ok && at != dir {
			r.needsDir(p, name, at, "requires "+require.Mod.Path+", which "+work.name+" uses")
		}
	}
	return nil
}

func (r *reading) goReplaces(p *Project, name string, replaces []*modfile.Replace) {
	for _, replace := range replaces {
		if modfile.IsDirectoryPath(replace.New.Path) {
			r.needs(p, name, replace.New.Path, fmt.Sprintf("replaces %s by %s", replace.Old.Path, replace.New.Path))
		}
	}
}

// needsDir notes that a project needs a directory, which is given from the root.
func (r *reading) needsDir(p *Project, file, dir, how string) {
	if owner := r.graph.owner(dir); owner != nil {
		p.depend(owner.Name, file+": "+how)
		return
	}
	p.add(input{at: dir, cause: Input, why: file + ": " + how})
}

// goWork is a go.work file.
type goWork struct {
	name, dir string
	uses      map[string]bool   // directories
	modules   map[string]string // paths of modules, and where they are
	replace   []*modfile.Replace
}

// goWorkOf finds the go.work that is in force in a directory, nil if there is none.
func (r *reading) goWorkOf(dir string) (*goWork, error) {
	for _, at := range above(dir) {
		name := path.Join(at, "go.work")
		if !r.exists[name] {
			continue
		}
		if known, ok := r.modules[name]; ok {
			return known, nil
		}
		text, err := r.tree.Read(name)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the file
		}
		parsed, err := modfile.ParseWork(name, text, nil)
		if err != nil {
			return nil, err
		}
		work := &goWork{name: name, dir: at, uses: map[string]bool{}, modules: map[string]string{}, replace: parsed.Replace}
		for _, use := range parsed.Use {
			used := path.Join(at, strings.ReplaceAll(use.Path, `\`, "/"))
			work.uses[used] = true
			if mod, err := r.tree.Read(path.Join(used, "go.mod")); err == nil {
				work.modules[modfile.ModulePath(mod)] = used
			}
		}
		r.modules[name] = work
		return work, nil
	}
	return nil, nil
}

// goPackages reads the imports of a project that is a part of a module above it.
func (r *reading) goPackages(p *Project) {
	for _, at := range above(path.Dir(p.Dir)) {
		name := path.Join(at, "go.mod")
		if !r.exists[name] {
			continue
		}
		text, err := r.tree.Read(name)
		if err != nil {
			r.unreadable(p, name, err)
			return
		}
		mod, err := modfile.Parse(name, text, nil)
		if err != nil || mod.Module == nil {
			r.unreadable(p, name, fmt.Errorf("no module: %w", err))
			return
		}
		r.shares(p, at, "go.mod", "go.sum")
		modules, err := r.goModules(p, at, mod)
		if err != nil {
			r.unreadable(p, name, err)
			return
		}
		for _, file := range r.below(p.Dir) {
			if strings.HasSuffix(file, ".go") && !strings.Contains(file, "/testdata/") {
				r.goImports(p, file, modules)
			}
		}
		return
	}
}

// goModules gives where the modules are that packages of a module may import from the tree, by their paths: itself,
// those that it replaces by a path, and those of its go.work.
func (r *reading) goModules(p *Project, dir string, mod *modfile.File) (map[string]string, error) {
	modules := map[string]string{}
	work, err := r.goWorkOf(dir)
	if err != nil {
		return nil, err
	}
	if work != nil && work.uses[dir] {
		r.shares(p, work.dir, "go.work", "go.work.sum")
		for _, replace := range work.replace {
			addReplaced(modules, work.dir, replace)
		}
		maps.Copy(modules, work.modules)
	}
	for _, replace := range mod.Replace {
		addReplaced(modules, dir, replace)
	}
	modules[mod.Module.Mod.Path] = dir
	return modules, nil
}

func addReplaced(modules map[string]string, dir string, replace *modfile.Replace) {
	if at := path.Join(dir, replace.New.Path); modfile.IsDirectoryPath(replace.New.Path) && !path.IsAbs(replace.New.Path) && !strings.HasPrefix(at, "..") {
		modules[replace.Old.Path] = at
	}
}

// goImports reads the imports of one file, and follows those of modules in the tree. A file that is no Go is the
// compiler's to refuse, when it comes to it.
func (r *reading) goImports(p *Project, file string, modules map[string]string) {
	text, err := r.tree.Read(file)
	if err != nil {
		return
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		for module := imported; module != "."; module = path.Dir(module) {
			at, ok := modules[module]
			if !ok {
				continue
			}
			if dir := path.Join(at, strings.TrimPrefix(imported, module)); r.graph.owner(dir) != p {
				r.needsDir(p, file, dir, "imports "+imported)
			}
			break
		}
	}
}
