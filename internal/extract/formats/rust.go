package formats

import (
	"compress/zlib"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// readRust reads what "cargo auditable" has left in a program (https://github.com/rust-secure-code/cargo-auditable): a section with a
// compressed document of its crates. Those that only built it are left out.
func readRust(_ context.Context, f layer.Input, found *found) error {
	program, err := elf.NewFile(f.Content)
	if err != nil {
		return nil //nolint:nilerr // no program of Linux
	}
	section := program.Section(".dep-v0")
	if section == nil {
		return nil
	}
	found.Fact = true
	unpacked, err := zlib.NewReader(section.Open())
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(unpacked, maxDocument+1))
	if err != nil {
		return err
	}
	if len(text) > maxDocument {
		return fmt.Errorf("%w: a list of crates of more than %d bytes", layer.ErrLimit, maxDocument)
	}
	var list struct {
		Packages []struct{ Name, Version, Kind string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, p := range list.Packages {
		if p.Kind != "build" && !found.add(inventory.Package{Type: inventory.Cargo, Name: p.Name, Version: p.Version}) {
			break
		}
	}
	return nil
}
