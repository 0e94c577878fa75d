package distribution

import (
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// span is a run of bytes: length of them from offset.
type span struct{ offset, length int64 }

// parseRange reads a Range header (RFC 9110 §14.2) against a representation of size bytes. It tells false
// where the header is to be ignored and the whole sent: there is none, it counts in another unit, it asks
// for several ranges (which we may ignore, and which no client of a registry wants as multipart), or
// the representation is empty, of which no part can be sent. What is malformed, or lies beyond the end, is
// not satisfiable.
func parseRange(header string, size int64) (s span, partial bool, err error) {
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(set, ",") || size == 0 {
		return span{0, size}, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return span{}, false, rangeNotSatisfiable(size)
	}
	if first == "" {
		n, ok := parseOffset(last)
		if !ok || n == 0 {
			return span{}, false, rangeNotSatisfiable(size)
		}
		n = min(n, size)
		return span{size - n, n}, true, nil
	}
	from, ok := parseOffset(first)
	to := size - 1
	if ok && last != "" {
		to, ok = parseOffset(last)
		to = min(to, size-1)
	}
	if !ok || from > to {
		return span{}, false, rangeNotSatisfiable(size)
	}
	return span{from, to - from + 1}, true, nil
}

// parseContentRange reads where a chunk of an upload belongs. The distribution spec writes 0-99; clients
// also write the header as RFC 9110 has it for answers (bytes 0-99/1000) or with the sign of requests
// (bytes=0-99).
func parseContentRange(header string) (span, error) {
	s := strings.TrimSpace(header)
	if len(s) > len("bytes") && strings.EqualFold(s[:len("bytes")], "bytes") && (s[len("bytes")] == ' ' || s[len("bytes")] == '=') {
		s = strings.TrimSpace(s[len("bytes")+1:])
	}
	bounds, total, hasTotal := strings.Cut(s, "/")
	first, last, ok := strings.Cut(bounds, "-")
	from, ok1 := parseOffset(first)
	to, ok2 := parseOffset(last)
	if !ok || !ok1 || !ok2 || from > to {
		return span{}, badContentRange()
	}
	if hasTotal && total != "*" {
		if n, ok := parseOffset(total); !ok || n <= to {
			return span{}, badContentRange()
		}
	}
	return span{from, to - from + 1}, nil
}

func badContentRange() error {
	return fault.New(fault.UploadPartSize, "the Content-Range of a chunk must read <first byte>-<last byte>")
}

// parseOffset reads a number of bytes. One that no file has (some clients ask for everything up to byte 2^63-1)
// is cut to one that no sum overflows with.
func parseOffset(s string) (int64, bool) {
	const most = 1 << 60
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > most {
		return most, true
	}
	return n, true
}
