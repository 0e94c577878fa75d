package plan

import (
	"fmt"
	"path"
)

// cargo reads a Cargo.toml: dependencies by a path, its own and the workspace's around it.
func (r *reading) cargo(p *Project, name string) error {
	f, err := r.readTOML(name)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	root, shared := r.cargoWorkspace(dir)
	if root != "" && root != dir {
		r.shares(p, root, "Cargo.toml", "Cargo.lock")
	}
	sections := []map[string]any{f}
	for _, target := range sortedKeys(dig(f, "target")) {
		sections = append(sections, dig(f, "target", target))
	}
	for _, section := range sections {
		for _, kind := range []string{"dependencies", "dev-dependencies", "build-dependencies"} {
			dependencies := dig(section, kind)
			r.pathDependencies(p, name, dependencies)
			r.cargoShared(p, root, shared, dependencies)
		}
	}
	for _, registry := range sortedKeys(dig(f, "patch")) {
		r.pathDependencies(p, name, dig(f, "patch", registry))
	}
	return nil
}

// cargoShared follows dependencies of the form name = {workspace = true}, which the root of the workspace has in full.
func (r *reading) cargoShared(p *Project, root string, shared, dependencies map[string]any) {
	file := path.Join(root, "Cargo.toml")
	for _, dependency := range sortedKeys(dependencies) {
		for _, t := range tables(dependencies[dependency]) {
			at, ok := dig(shared, dependency)["path"].(string)
			if t["workspace"] == true && ok {
				r.needs(p, file, at, fmt.Sprintf("%s is at %s", dependency, at))
			}
		}
	}
}

// cargoWorkspace gives the root of the Cargo workspace around a directory, "" if there is none, and the dependencies
// that it has for its members.
func (r *reading) cargoWorkspace(dir string) (root string, shared map[string]any) {
	for _, at := range above(dir) {
		name := path.Join(at, "Cargo.toml")
		if !r.exists[name] {
			continue
		}
		f, err := r.readTOML(name)
		if err != nil {
			continue // whoever's it is reports it
		}
		if described, ok := f["workspace"].(map[string]any); ok {
			return at, dig(described, "dependencies")
		}
	}
	return "", nil
}
