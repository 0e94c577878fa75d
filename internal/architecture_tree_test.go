package internal_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// pkg is a folder's Go files. Test files have a say only in the package comment and in file sizes.
type pkg struct {
	path       string // below the module
	testsOnly  bool
	documented bool
	imports    []imported
	mentions   []mention
	files      []sized
	functions  []sized
	interfaces []sized
}

type imported struct {
	where, name string
	ours        bool // name is below the module
}

// mention is a use of a name of the standard library, a call or not.
type mention struct{ where, pkg, name string }

type sized struct {
	where, name string
	size        int
}

// readTree reads the Go files of a module: those for every operating system, which is why this does not
// ask go list. As a test that opens the files itself, go test also knows when its cached result is stale.
func readTree(tree fs.FS) ([]pkg, error) {
	var all []pkg
	err := fs.WalkDir(tree, ".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if dir != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
			return fs.SkipDir
		}
		if _, err := fs.Stat(tree, path.Join(dir, "go.mod")); err == nil && dir != "." {
			return fs.SkipDir // another module
		}
		p, found, err := readPackage(tree, dir)
		if found {
			all = append(all, p)
		}
		return err
	})
	return all, err
}

func readPackage(tree fs.FS, dir string) (p pkg, found bool, err error) {
	p = pkg{path: dir, testsOnly: true}
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return p, false, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".go") {
			continue
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return p, false, err
		}
		found = true
		if err := p.add(name, text); err != nil {
			return p, false, err
		}
	}
	return p, found, nil
}

// add reads one file.
func (p *pkg) add(name string, text []byte) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("reading the architecture: %w", err)
	}
	isTest := strings.HasSuffix(name, "_test.go")
	if file.Doc != nil && !isTest || file.Doc != nil && p.testsOnly {
		p.documented = true
	}
	if ast.IsGenerated(file) {
		return nil
	}
	p.files = append(p.files, sized{name, path.Base(name), bytes.Count(text, []byte("\n"))})
	if isTest {
		return nil
	}
	if p.testsOnly {
		p.testsOnly, p.documented = false, file.Doc != nil // a test file's comment does not stand in
	}
	where := func(n ast.Node) string { return fmt.Sprintf("%s:%d", name, files.Position(n.Pos()).Line) }
	names := p.addImports(file, where)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			lines := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1
			p.functions = append(p.functions, sized{where(f), f.Name.Name, lines})
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if i, ok := n.Type.(*ast.InterfaceType); ok {
				p.interfaces = append(p.interfaces, sized{where(n), n.Name.Name, ownMethods(i)})
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && names[x.Name] != "" {
				p.mentions = append(p.mentions, mention{where(n), names[x.Name], n.Sel.Name})
			}
		}
		return true
	})
	return nil
}

// addImports notes a file's imports and gives what each is called in it. The name of an import without
// one is taken from its path, which holds for the standard library.
func (p *pkg) addImports(file *ast.File, where func(ast.Node) string) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has checked it
		}
		name, ours := strings.CutPrefix(full, module+"/")
		p.imports = append(p.imports, imported{where(spec), name, ours})
		called := path.Base(full)
		if spec.Name != nil {
			called = spec.Name.Name
		}
		names[called] = full
	}
	return names
}

// ownMethods counts the methods that an interface lists itself: one made of others is no larger for it.
func ownMethods(i *ast.InterfaceType) int {
	n := 0
	for _, m := range i.Methods.List {
		if _, ok := m.Type.(*ast.FuncType); ok {
			n += len(m.Names)
		}
	}
	return n
}
