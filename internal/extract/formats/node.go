package formats

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// wantsNode wants the package.json in the root of an installed package: node_modules/NAME or node_modules/@SCOPE/NAME, at any depth,
// and Debian's usr/share/nodejs. One deeper in a package says what its directory is, one above is the application's own.
func wantsNode(name string, _ fs.FileMode, _ int64) bool {
	name, ok := strings.CutSuffix(name, "/package.json")
	if !ok {
		return false
	}
	if i := strings.LastIndex("/"+name, "/node_modules/"); i >= 0 {
		name = name[i+len("node_modules/"):]
	} else if name, ok = strings.CutPrefix(name, "usr/share/nodejs/"); !ok {
		return false
	}
	slashes := strings.Count(name, "/")
	return slashes == 0 || slashes == 1 && strings.HasPrefix(name, "@")
}

// readNode reads name and version alone (https://docs.npmjs.com/files/package.json): other members that are not what npm would have
// there do not keep Node from loading the package.
func readNode(_ context.Context, f layer.Input, found *found) error {
	found.Fact = true
	var manifest struct{ Name, Version any }
	if err := readJSON(f, &manifest); err != nil {
		return err
	}
	name, _ := manifest.Name.(string)
	version, _ := manifest.Version.(string)
	found.add(inventory.Package{Type: inventory.NPM, Name: name, Version: version})
	return nil
}

// readJSON decodes a whole file.
func readJSON(f layer.Input, into any) error {
	if f.Size > maxDocument {
		return fmt.Errorf("%w: a document of more than %d bytes", layer.ErrLimit, maxDocument)
	}
	text, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size))
	if err != nil {
		return err
	}
	return json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), into)
}
