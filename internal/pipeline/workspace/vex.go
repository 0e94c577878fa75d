package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

// DefaultVEX is where OpenVEX documents are if berth.yaml does not say.
const DefaultVEX = ".vex/*.json"

// maxDocuments bounds how many documents a workspace may have.
const maxDocuments = 1000

// VEXPatterns are the paths of OpenVEX documents, from the root.
func (g Gate) VEXPatterns() []Glob {
	if len(g.VEX) == 0 {
		return []Glob{DefaultVEX}
	}
	return g.VEX
}

// ReadVEX reads the OpenVEX documents that the gate names, of files whose names, from the root, are given. It reports all that is wrong
// with them as Problems.
func (f *File) ReadVEX(names []string, read func(name string) ([]byte, error)) error {
	var wrong Problems
	f.Gate.Statements = nil
	var documents []string
	for _, name := range names {
		if slices.ContainsFunc(f.Gate.VEXPatterns(), func(g Glob) bool { return g.Match(name) }) {
			documents = append(documents, name)
		}
	}
	if len(documents) > maxDocuments {
		return Problems{{File: f.source.name, Message: "gate.vex stands for more than a thousand files"}}
	}
	slices.Sort(documents)
	for _, name := range documents {
		text, err := read(name)
		if err != nil {
			return err
		}
		d, err := vex.Parse(text)
		if err != nil {
			wrong = append(wrong, Problem{File: name, Message: err.Error()})
			continue
		}
		for _, s := range d.Exceptions() {
			if len(s.Products) == 0 {
				wrong = append(wrong, Problem{File: name, Message: "what is said of " + s.Vulnerability + ` is about no product: add "products": [{"@id": "pkg:oci/NAME?repository_url=HOST/REPOSITORY"}] for all images of a repository`})
				continue
			}
			f.Gate.Statements = append(f.Gate.Statements, s)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// ReadVEXIn is ReadVEX for files of a directory, the root of the workspace.
func (f *File) ReadVEXIn(root string) error {
	in, err := os.OpenRoot(root)
	if err != nil {
		return err //nolint:wrapcheck // names the directory
	}
	defer in.Close() //nolint:errcheck // it was only read
	var names []string
	for _, g := range f.Gate.VEXPatterns() {
		more, err := underPattern(in.FS(), string(g))
		if err != nil {
			return err
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	return f.ReadVEX(slices.Compact(names), func(name string) ([]byte, error) {
		return in.ReadFile(filepath.FromSlash(name))
	})
}

// underPattern lists the files in the directory that a pattern begins with, and below it as far as the pattern goes.
func underPattern(in fs.FS, pattern string) ([]string, error) {
	base := strings.TrimSuffix(pattern, "/")
	for strings.ContainsAny(base, "*?[") {
		base = path.Dir(base)
	}
	deep := strings.Count(pattern, "/")
	var names []string
	err := fs.WalkDir(in, base, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && name != base && (d.Name() == ".git" || d.Name() == "node_modules" || !strings.Contains(pattern, "**") && strings.Count(name, "/")+1 > deep):
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	})
	return names, err
}
