package plan

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// packageFile is what of a package.json matters here.
type packageFile struct {
	Name                 string            `json:"name"`
	Dependencies         map[string]string `json:"dependencies"`
	DevDependencies      map[string]string `json:"devDependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	PeerDependencies     map[string]string `json:"peerDependencies"`
	Workspaces           json.RawMessage   `json:"workspaces"`
}

func (r *reading) readPackage(name string) (f packageFile, err error) {
	text, err := r.tree.Read(name)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	return f, err
}

// packageJSON reads a package.json: dependencies by a path, and those that the workspace around it has in the tree.
func (r *reading) packageJSON(p *Project, name string) error {
	f, err := r.readPackage(name)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	root, err := r.nodeRootOf(dir)
	if err != nil {
		return err
	}
	if root != nil && root.dir != dir {
		r.shares(p, root.dir, "package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc", ".yarnrc.yml")
	}
	for _, dependencies := range []map[string]string{f.Dependencies, f.DevDependencies, f.OptionalDependencies, f.PeerDependencies} {
		for _, dependency := range sortedKeys(dependencies) {
			r.nodeDependency(p, name, root, dependency, dependencies[dependency])
		}
	}
	return nil
}

// nodeDependency follows one dependency. What npm finds in the workspace it takes from there, if the version fits;
// the version is not compared here, since a package that is taken from elsewhere is a rare thing in its own workspace.
func (r *reading) nodeDependency(p *Project, name string, root *nodeRoot, dependency, version string) {
	how := fmt.Sprintf("%s is %s", dependency, version)
	protocol, target, _ := strings.Cut(version, ":")
	switch {
	case protocol == "file" || protocol == "link" || protocol == "portal" || protocol == "workspace" && strings.HasPrefix(target, "."):
		r.needs(p, name, strings.TrimPrefix(target, "//"), how)
		return
	case strings.HasPrefix(version, "./") || strings.HasPrefix(version, "../"):
		r.needs(p, name, version, how)
		return
	case root == nil:
		return
	}
	if protocol == "workspace" || protocol == "npm" { // workspace:other@^1, under another name
		if i := strings.LastIndex(target, "@"); i > 0 {
			dependency = target[:i]
		}
	}
	if at, ok := root.packages[dependency]; ok && at != path.Dir(name) {
		if protocol != "workspace" {
			how += ", which the workspace has"
		}
		r.needsDir(p, name, at, how)
	}
}

// nodeRoot is a workspace of npm, yarn or pnpm.
type nodeRoot struct {
	dir      string
	packages map[string]string // names, and where they are
	members  map[string]bool   // directories
}

// nodeRootOf finds the workspace that a directory belongs to, nil if it belongs to none.
func (r *reading) nodeRootOf(dir string) (*nodeRoot, error) {
	for _, at := range above(dir) {
		root, known := r.packages[at]
		if !known {
			var err error
			if root, err = r.readNodeRoot(at); err != nil {
				return nil, err
			}
			r.packages[at] = root
		}
		if root != nil && (at == dir || root.members[dir]) {
			return root, nil
		}
	}
	return nil, nil
}

// readNodeRoot reads the workspace that begins in a directory, nil if none does.
func (r *reading) readNodeRoot(dir string) (*nodeRoot, error) {
	globs, err := r.nodeGlobs(dir)
	if err != nil || len(globs) == 0 {
		return nil, err
	}
	root := &nodeRoot{dir: dir, packages: map[string]string{}, members: map[string]bool{}}
	files := r.files
	if dir != "." {
		files = r.below(dir)
	}
	for _, name := range files {
		if path.Base(name) != "package.json" || strings.Contains(name, "node_modules/") {
			continue
		}
		at := path.Dir(name)
		inside := strings.TrimPrefix(at, dir+"/")
		if at == dir || !matchesGlobs(globs, inside) {
			continue
		}
		root.members[at] = true
		if f, err := r.readPackage(name); err == nil && f.Name != "" { // its own reading reports what is wrong with it
			root.packages[f.Name] = at
		}
	}
	return root, nil
}

// nodeGlobs gives the patterns of a workspace's directories.
func (r *reading) nodeGlobs(dir string) ([]string, error) {
	if name := path.Join(dir, "pnpm-workspace.yaml"); r.exists[name] {
		text, err := r.tree.Read(name)
		if err != nil {
			return nil, err //nolint:wrapcheck // names the file
		}
		var f struct {
			Packages []string `yaml:"packages"`
		}
		if err := yaml.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return f.Packages, nil
	}
	name := path.Join(dir, "package.json")
	if !r.exists[name] {
		return nil, nil
	}
	f, err := r.readPackage(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var list []string
	var object struct {
		Packages []string `json:"packages"`
	}
	switch {
	case len(f.Workspaces) == 0:
	case f.Workspaces[0] == '{':
		err = json.Unmarshal(f.Workspaces, &object)
		list = object.Packages
	default:
		err = json.Unmarshal(f.Workspaces, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: workspaces: %w", name, err)
	}
	return list, nil
}

// matchesGlobs tells whether a directory is one that patterns stand for: the last that does decides, and ! takes out.
func matchesGlobs(globs []string, dir string) bool {
	in := false
	for _, g := range globs {
		plain, out := strings.CutPrefix(g, "!")
		plain = strings.TrimSuffix(strings.TrimPrefix(plain, "./"), "/")
		if strings.ContainsAny(plain, "{(") { // more than is read here: too much rather than too little
			plain = "**"
		}
		if workspace.Glob(plain).Match(dir) {
			in = !out
		}
	}
	return in
}
