package formats

import (
	"context"
	"io"
	"io/fs"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

func wantsAPK(name string, _ fs.FileMode, _ int64) bool {
	return name == "lib/apk/db/installed" || name == "usr/lib/apk/db/installed" || name == "var/lib/apk/db/installed"
}

// readAPK reads apk's database of installed packages (https://wiki.alpinelinux.org/wiki/Apk_spec): lines of a letter, a colon and a
// value; an empty one ends a package. The directories and files that it has installed are in it.
func readAPK(ctx context.Context, f layer.Input, found *found) error {
	found.Fact = true
	record, dir := inventory.Package{Type: inventory.APK}, ""
	none := record
	err := eachLine(ctx, io.NewSectionReader(f.Content, 0, f.Size), func(line []byte) bool {
		if len(line) == 0 {
			more := found.add(record)
			record, dir = none, ""
			return more
		}
		if len(line) < 2 || line[1] != ':' {
			return true
		}
		value := string(line[2:])
		switch line[0] {
		case 'P':
			record.Name = value
		case 'V':
			record.Version = value
		case 'A':
			record.Arch = value
		case 'o':
			record.Source = value
		case 'F':
			dir = value
		case 'R':
			return found.own(dir + "/" + value)
		}
		return true
	})
	found.add(record)
	return err
}
