package layer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// buffered is how much is read at a time.
const buffered = 64 << 10

// source counts the bytes of the layer as it is stored, and remembers when it is the reader that fails, or the context that ends:
// neither is the layer's fault.
type source struct {
	ctx context.Context //nolint:containedctx // it goes with the reader
	r   io.Reader
	n   int64
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil && s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF as it is
}

// unpack tells by the first bytes how a layer is packed, and gives the tar in it. The media type only helps to say what is wrong.
func unpack(src *source, mediaType string, window uint64) (io.Reader, func(), error) {
	none := func() {}
	in := bufio.NewReaderSize(src, buffered)
	head, err := in.Peek(block)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, none, fmt.Errorf("reading its first bytes: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, none, fmt.Errorf("unpacking: %w", err)
		}
		return z, none, nil
	case isZstd(head):
		// One block at a time: what runs ahead costs memory. The window is what a frame may ask for, whatever there is in it.
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderMaxMemory(window))
		if err != nil {
			return nil, none, fmt.Errorf("unpacking: %w", err)
		}
		return z, z.Close, nil
	case len(head) == 0 || isTar(head):
		return in, none, nil
	}
	return nil, none, fmt.Errorf("it is no tar, gzip or zstd stream (media type %s)", quoted(mediaType))
}

// isZstd knows a frame, and a frame to be skipped, such as zstd:chunked has (RFC 8878, 3.1).
func isZstd(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18})
}

// block is a tar's unit.
const block = 512

// isTar tells whether a block may be a tar's first: by its word, or by its checksum, which the oldest kind has alone. A tar without
// entries is zeros.
func isTar(head []byte) bool {
	const (
		word, checksum, width = 257, 148, 8
		zeros                 = int64(' ') * width // the sum of zeros, with blanks for the checksum
	)
	if len(head) < block {
		return false
	}
	if bytes.HasPrefix(head[word:], []byte("ustar")) {
		return true
	}
	var sum, said int64
	for i, b := range head {
		if i >= checksum && i < checksum+width {
			b = ' '
		}
		sum += int64(b)
	}
	if sum == zeros && bytes.Count(head, []byte{0}) == block {
		return true
	}
	digits := bytes.Trim(head[checksum:checksum+width], " \x00")
	for _, d := range digits {
		if d < '0' || d > '7' {
			return false
		}
		said = said<<3 | int64(d-'0')
	}
	return len(digits) > 0 && said == sum
}

// unpacked hashes the tar that comes out, and ends it where it grows too large.
type unpacked struct {
	r      io.Reader
	src    *source
	hash   hash.Hash
	limits Limits
	n      int64
	err    error // that ended it; not io.EOF
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p)
	u.hash.Write(p[:n])
	u.n += int64(n)
	switch {
	case u.n > u.limits.Unpacked:
		u.err = Limit("it unpacks to more than " + size(u.limits.Unpacked))
	case u.n > u.limits.RatioFree && u.n/u.limits.Ratio > u.src.n:
		u.err = Limit(fmt.Sprintf("it unpacks to more than %d times its size", u.limits.Ratio))
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded): // the latter of frames in one piece
		u.err = Limit("zstd asks for a window of more than " + size(int64(u.limits.Window))) //nolint:gosec // set by us
	case err != nil && !errors.Is(err, io.EOF):
		u.err = fmt.Errorf("unpacking: %w", err)
	default:
		return n, err //nolint:wrapcheck // io.EOF as it is
	}
	return n, u.err
}

// size writes a number of bytes.
func size(n int64) string {
	for _, unit := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if one := int64(1) << unit.shift; n >= one && n%one == 0 {
			return fmt.Sprintf("%d %s", n/one, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
