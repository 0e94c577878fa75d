package formats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// The layout of RPM's own database (rpm's lib/backend/ndb/rpmpkg.c): pages of slots, of which the first two are its header; each slot
// says where a package's blob begins, which begins with its length. All numbers have four bytes.
const (
	ndbPage  = 4096
	ndbEntry = 16
	ndbPages = 2048 // more than go-rpmdb reads
	ndbMagic = "RpmP"
)

// checkNDB finds blobs that are longer than the file: go-rpmdb would make room for them. A file that is no such database passes.
func checkNDB(f layer.Input) error {
	var header [32]byte
	if _, err := f.Content.ReadAt(header[:], 0); err != nil || string(header[:4]) != ndbMagic {
		return nil //nolint:nilerr // too short to be one
	}
	pages := binary.LittleEndian.Uint32(header[12:])
	if pages > ndbPages {
		return errors.New("an RPM database of too many pages")
	}
	slots := make([]byte, int(pages)*ndbPage)
	n, err := f.Content.ReadAt(slots, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var all int64
	for slots = slots[min(n, 2*ndbEntry):n]; len(slots) >= ndbEntry; slots = slots[ndbEntry:] {
		if binary.LittleEndian.Uint32(slots[4:]) == 0 {
			continue // nobody's
		}
		var blob [ndbEntry]byte
		at := int64(binary.LittleEndian.Uint32(slots[8:])) * ndbEntry
		if _, err := f.Content.ReadAt(blob[:], at); err != nil {
			return fmt.Errorf("a broken RPM database: a package at %d: %w", at, err)
		}
		if all += int64(binary.LittleEndian.Uint32(blob[12:])); all > f.Size {
			return fmt.Errorf("a broken RPM database: its packages are larger than its %d bytes", f.Size)
		}
	}
	return nil
}
