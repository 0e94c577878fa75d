package formats

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// Where dpkg keeps its database (dpkg(1), FILES), and images without dpkg have theirs: a file for each package, and one with the
// sums of what it has installed.
const (
	dpkgStatus  = "var/lib/dpkg/status"
	dpkgStatusD = "var/lib/dpkg/status.d"
	dpkgInfo    = "var/lib/dpkg/info"
)

func wantsDpkg(name string, _ fs.FileMode, _ int64) bool {
	dir, base := path.Split(name)
	switch path.Clean(dir) {
	case dpkgInfo:
		return strings.HasSuffix(base, ".list")
	case dpkgStatusD:
		return true
	}
	return name == dpkgStatus
}

func readDpkg(ctx context.Context, f layer.Input, found *found) error {
	content := io.NewSectionReader(f.Content, 0, f.Size)
	switch {
	case strings.HasPrefix(f.Path, dpkgInfo+"/"):
		return eachLine(ctx, content, func(line []byte) bool { return found.own(string(line)) })
	case strings.HasSuffix(f.Path, ".md5sums"):
		return eachLine(ctx, content, func(line []byte) bool {
			_, name, ok := bytes.Cut(line, []byte("  "))
			return !ok || found.own(string(name))
		})
	}
	found.Fact = true
	paragraph := dpkgParagraph{installed: f.Path != dpkgStatus}
	none := paragraph
	err := eachLine(ctx, content, func(line []byte) bool {
		if len(line) == 0 {
			more := paragraph.end(found)
			paragraph = none
			return more
		}
		paragraph.take(field(line))
		return true
	})
	paragraph.end(found)
	return err
}

// dpkgParagraph is what is read of a package's paragraph in dpkg's status file (deb-control(5), dpkg(1)).
type dpkgParagraph struct {
	inventory.Package

	installed bool
}

func (p *dpkgParagraph) take(name, value string) {
	switch name {
	case "package":
		p.Name = value
	case "version":
		p.Version = value
	case "architecture":
		p.Arch = value
	case "status":
		p.installed = dpkgInstalled(value)
	case "source":
		// "name", or "name (version)" where the source package's version is another, as after a rebuild.
		p.Source, p.SourceVersion = value, ""
		if source, version, ok := strings.Cut(value, "("); ok {
			version, _, _ = strings.Cut(version, ")")
			p.Source, p.SourceVersion = strings.TrimSpace(source), strings.TrimSpace(version)
		}
	}
}

func (p *dpkgParagraph) end(found *found) bool {
	if !p.installed {
		return true
	}
	p.Type = inventory.Deb
	return found.add(p.Package)
}

// dpkgInstalled reads a Status field: what is wanted, a flag, how it is. A package that is unpacked has its files in place whether or
// not it is configured; of one whose configuration alone is left there is nothing that could be vulnerable.
func dpkgInstalled(status string) bool {
	words := strings.Fields(status)
	if len(words) != 3 {
		return false
	}
	switch words[2] {
	case "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}
