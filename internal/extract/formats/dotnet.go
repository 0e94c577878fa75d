package formats

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// wantsDotnet wants what .NET writes beside a program: what it is to be run with
// (https://github.com/dotnet/sdk/blob/main/documentation/specs/runtime-configuration-file.md).
func wantsDotnet(name string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(name, ".deps.json")
}

// readDotnet leaves out the program's own projects, which are not NuGet's. A runtime that comes with a program stands there as
// runtimepack.NAME, where NAME is the package's.
func readDotnet(_ context.Context, f layer.Input, found *found) error {
	found.Fact = true
	var document struct {
		Libraries map[string]struct{ Type string }
	}
	err := readJSON(f, &document)
	if other := (*json.UnmarshalTypeError)(nil); errors.As(err, &other) {
		return nil // others call their files so too
	}
	if err != nil {
		return err
	}
	for _, library := range slices.Sorted(maps.Keys(document.Libraries)) {
		name, version, ok := strings.Cut(library, "/")
		if !ok || document.Libraries[library].Type == "project" {
			continue
		}
		if !found.add(inventory.Package{Type: inventory.NuGet, Name: strings.TrimPrefix(name, "runtimepack."), Version: version}) {
			break
		}
	}
	return nil
}
