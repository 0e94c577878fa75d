package rootfstest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The application's packages, by name as their metadata has it. Of most of them there are advisories.
var (
	Python = map[string]string{"Django": "3.2.4", "Pillow": "8.1.0", "urllib3": "1.26.4", "PyYAML": "5.3", "zope.interface": "5.4.0"}
	Node   = map[string]string{
		"axios": "0.21.0", "lodash": "4.17.15", "marked": "2.0.0", RemovedNodePackage: "2.29.1", "next": "12.0.0",
		"@babel/runtime": "7.16.0", "react": "17.0.2",
	}
)

// Where the application is.
const (
	GoProgram  = "usr/local/bin/shop"
	pythonRoot = "opt/shop/lib/python3.11/site-packages/"
	nodeRoot   = "opt/shop/node_modules/"
)

// goModules are modules of ours, with the packages of them that the program has.
var goModules = map[string]string{
	"golang.org/x/text": "golang.org/x/text/language", "golang.org/x/mod": "golang.org/x/mod/semver",
	"github.com/klauspost/compress": "github.com/klauspost/compress/zstd",
}

// appLayer gives the layer App, one for each toolchain.
func appLayer(cache string) (_ Layer, err error) {
	dir := filepath.Join(cache, version+"-app-"+runtime.Version())
	if _, err := os.Stat(filepath.Join(dir, layersFile)); err == nil {
		layers, err := readLayers(dir)
		return layers[App], err
	}
	work, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return Layer{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	program, err := buildProgram(work)
	if err != nil {
		return Layer{}, fmt.Errorf("build a Go program: %w", err)
	}
	done := filepath.Join(work, "done")
	if err := os.Mkdir(done, 0o755); err != nil {
		return Layer{}, err
	}
	layer, err := writeLayer(done, App, func(w *layerWriter) error { return writeApp(w, program) })
	if err != nil {
		return Layer{}, err
	}
	if err := writeLayers(done, layer); err != nil {
		return Layer{}, err
	}
	layer.File = filepath.Join(dir, App+".tar.gz")
	return layer, os.Rename(done, dir)
}

func writeApp(w *layerWriter, program []byte) error {
	for _, name := range slices.Sorted(maps.Keys(Python)) {
		at := pythonRoot + strings.ReplaceAll(name, "-", "_") + "-" + Python[name] + ".dist-info/METADATA"
		text := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: a package\n\nName: of the text\n", name, Python[name])
		if err := w.file(at, 0o644, []byte(text)); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(Node)) {
		text := fmt.Sprintf("{\"name\": %q, \"version\": %q, \"main\": \"index.js\"}\n", name, Node[name])
		if err := w.file(nodeRoot+name+"/package.json", 0o644, []byte(text)); err != nil {
			return err
		}
	}
	if err := w.file("opt/shop/package.json", 0o644, []byte(`{"name": "shop", "version": "1.0.0"}`)); err != nil {
		return err
	}
	return w.file(GoProgram, 0o755, program)
}

// buildProgram builds a program of a module of its own, with the versions that this module has of goModules.
func buildProgram(work string) ([]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all").Output() //nolint:noctx // it is quick
	if err != nil {
		return nil, err
	}
	mod, source := "module example.com/shop\n\ngo 1.26\n", "package main\n\nimport (\n"
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " ")
		if pkg, ok := goModules[name]; ok {
			mod += "\nrequire " + line
			source += fmt.Sprintf("\t_ %q\n", pkg)
		}
	}
	env, err := exec.Command("go", "env", "GOMOD").Output() //nolint:noctx // it is quick
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(filepath.Join(filepath.Dir(strings.TrimSpace(string(env))), "go.sum"))
	if err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"go.mod": mod, "go.sum": string(sums), "main.go": source + ")\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", "shop", ".") //nolint:noctx // the test's deadline
	build.Dir = work
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(work, "shop"))
}
