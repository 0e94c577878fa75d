package formats

import (
	"context"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// wantsGem wants the specifications of installed gems, which RubyGems keeps beside the gems. What a gem has in itself says the same
// again, or is a program.
func wantsGem(name string, _ fs.FileMode, _ int64) bool {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "default/")
	return strings.HasSuffix(base, ".gemspec") && strings.HasSuffix(dir, "/specifications/")
}

var (
	gemBegin   = regexp.MustCompile(`^\s*Gem::Specification\.new`)
	gemName    = regexp.MustCompile(`^\s*\w+\.name\s*=\s*["']([^"']+)["']`)
	gemVersion = regexp.MustCompile(`^\s*\w+\.version\s*=\s*(?:Gem::Version\.new\s*\(?\s*)?["']([^"']+)["']`)
)

// readGem reads a specification as RubyGems writes it when it installs a gem: Ruby, but of assignments alone.
func readGem(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	p, begun := inventory.Package{Type: inventory.Gem}, false
	err := eachLine(ctx, io.NewSectionReader(f.Content, 0, f.Size), func(line []byte) bool {
		if !begun {
			begun = gemBegin.Match(line)
			return true
		}
		if m := gemName.FindSubmatch(line); m != nil && p.Name == "" {
			p.Name = string(m[1])
		}
		if m := gemVersion.FindSubmatch(line); m != nil && p.Version == "" {
			p.Version = string(m[1])
		}
		return p.Name == "" || p.Version == ""
	})
	found.add(p)
	return err
}
