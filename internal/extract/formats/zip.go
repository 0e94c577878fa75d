package formats

import (
	"archive/zip"
	"fmt"
	"io"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// maxDirectory is how much of a ZIP archive is read to list it: a hundred thousand entries with long names. An entry takes 46 bytes
// there and five times that in memory, however many the archive says it has.
const maxDirectory = 16 << 20

// openZip lists an archive.
func openZip(content io.ReaderAt, size int64) (*zip.Reader, error) {
	meter := &meteredReader{ReaderAt: content, left: maxDirectory}
	archive, err := zip.NewReader(meter, size)
	if meter.left < 0 {
		return nil, fmt.Errorf("%w: an archive whose directory is larger than %d bytes", layer.ErrLimit, maxDirectory)
	}
	meter.open = true
	return archive, err
}

// meteredReader fails when more than left bytes have been asked of it, until it is open.
type meteredReader struct {
	io.ReaderAt

	left int64
	open bool
}

func (m *meteredReader) ReadAt(p []byte, off int64) (int, error) {
	if !m.open {
		m.left -= int64(len(p))
		if m.left < 0 {
			return 0, io.ErrUnexpectedEOF
		}
	}
	return m.ReaderAt.ReadAt(p, off)
}
