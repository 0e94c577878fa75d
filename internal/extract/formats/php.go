package formats

import (
	"context"
	"encoding/json"
	"io/fs"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// wantsPHP wants Composer's list of what it has installed. Its lock file is what it would install.
func wantsPHP(name string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix("/"+name, "/composer/installed.json")
}

// readPHP reads both forms: Composer 2 has the list in an object, 1 had nothing around it.
func readPHP(_ context.Context, f layer.Input, found *found) error {
	found.Fact = true
	var document json.RawMessage
	if err := readJSON(f, &document); err != nil {
		return err
	}
	type list []struct{ Name, Version string }
	var packages list
	if err := json.Unmarshal(document, &packages); err != nil {
		var object struct{ Packages list }
		if err := json.Unmarshal(document, &object); err != nil {
			return err
		}
		packages = object.Packages
	}
	for _, p := range packages {
		if !found.add(inventory.Package{Type: inventory.Composer, Name: p.Name, Version: p.Version}) {
			break
		}
	}
	return nil
}
