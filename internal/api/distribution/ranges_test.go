package distribution_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header         string
		size           int64
		offset, length int64
		partial        bool
	}{
		{"", 10, 0, 10, false},
		{"bytes=0-9", 10, 0, 10, true},
		{"bytes=0-0", 10, 0, 1, true},
		{"bytes=9-9", 10, 9, 1, true},
		{"bytes=3-5", 10, 3, 3, true},
		{"bytes=3-", 10, 3, 7, true},
		{"bytes=3-99", 10, 3, 7, true},
		{"bytes=0-9223372036854775807", 10, 0, 10, true},
		{"bytes=0-99999999999999999999999", 10, 0, 10, true},
		{"bytes=-3", 10, 7, 3, true},
		{"bytes=-99", 10, 0, 10, true},
		{"Bytes=3-5", 10, 3, 3, true},
		{"bytes= 3-5", 10, 3, 3, true},
		{"bytes=0-1,3-4", 10, 0, 10, false}, // several: the whole
		{"items=0-1", 10, 0, 10, false},     // another unit: the whole
		{"nonsense", 10, 0, 10, false},
		{"bytes=0-", 0, 0, 0, false}, // of nothing, nothing
		{"bytes=-5", 0, 0, 0, false},
	} {
		offset, length, partial, err := distribution.ParseRange(tt.header, tt.size)
		if err != nil || offset != tt.offset || length != tt.length || partial != tt.partial {
			t.Errorf("parseRange(%q, %d) = %d+%d, %v, %v; want %d+%d, %v", tt.header, tt.size, offset, length, partial, err, tt.offset, tt.length, tt.partial)
		}
	}
	for _, header := range []string{
		"bytes=", "bytes=-", "bytes=-0", "bytes=10-", "bytes=10-20", "bytes=5-4", "bytes=a-b", "bytes=1-b", "bytes=--1", "bytes=-1-", "bytes=1--2",
		"bytes=+1-2", "bytes=1_0-20", "bytes=0x1-2", "bytes=99999999999999999999-", "bytes=5", "bytes=1 - 2",
	} {
		if offset, length, partial, err := distribution.ParseRange(header, 10); err == nil {
			t.Errorf("parseRange(%q, 10) = %d+%d, %v; want it not satisfiable", header, offset, length, partial)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][2]int64{
		"0-0":                   {0, 1},
		"0-9":                   {0, 10},
		"10-19":                 {10, 10},
		" 10-19 ":               {10, 10},
		"bytes 0-9":             {0, 10},
		"bytes 0-9/10":          {0, 10},
		"bytes 0-9/*":           {0, 10},
		"bytes=0-9":             {0, 10},
		"bytes=0-9/100":         {0, 10},
		"Bytes 5-9":             {5, 5},
		"0-9/*":                 {0, 10},
		"5000000000-5999999999": {5_000_000_000, 1_000_000_000},
	} {
		offset, length, err := distribution.ParseContentRange(header)
		if err != nil || offset != want[0] || length != want[1] {
			t.Errorf("parseContentRange(%q) = %d+%d, %v; want %d+%d", header, offset, length, err, want[0], want[1])
		}
	}
	for _, header := range []string{
		"", "-", "0-", "-9", "9-0", "a-b", "0-b", "bytes", "bytes ", "bytes */10", "bytes 0-9/9", "bytes 0-9/x", "0-9/", "0--9", "0-9-10", "+0-9", "0-9 10-19",
		"bytes:0-9", "0,9", "0 - 9",
	} {
		if offset, length, err := distribution.ParseContentRange(header); !errors.Is(err, fault.UploadPartSize) {
			t.Errorf("parseContentRange(%q) = %d+%d, %v; want fault.UploadPartSize", header, offset, length, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-9", "bytes 0-9/10", "bytes=0-9/*", "10-9", "0-99999999999999999999", "bytes */5", "-", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		offset, length, err := distribution.ParseContentRange(header)
		if err != nil {
			if !errors.Is(err, fault.UploadPartSize) {
				t.Fatalf("parseContentRange(%q): %v", header, err)
			}
			return
		}
		if offset < 0 || length < 1 || offset > math.MaxInt64-length {
			t.Fatalf("parseContentRange(%q) = %d+%d", header, offset, length)
		}
		o, l, err := distribution.ParseContentRange(fmt.Sprintf("%d-%d", offset, offset+length-1))
		if err != nil || o != offset || l != length {
			t.Fatalf("%d+%d, written plainly, reads %d+%d, %v", offset, length, o, l, err)
		}
	})
}

// FuzzRange holds parseRange against net/http's own reading, where the two mean to agree.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-9", "bytes=5-", "bytes=-5", "bytes=9-5", "bytes=0-1,2-3", "bytes=-0", "bytes=99-", "items=1-2", "bytes=0-99999999999999999999"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		size = max(0, min(size, 1000))
		offset, length, partial, err := distribution.ParseRange(header, size)
		if err != nil {
			// Of the last 0 bytes net/http sends none, where RFC 9110 §14.1.2 calls the range not satisfiable.
			lastNone := strings.Trim(header, "bytesBYTES=0 \t-") == "" && strings.Contains(header, "-0")
			if !lastNone && serveContent(t, header, size).Code == http.StatusPartialContent {
				t.Fatalf("parseRange(%q, %d): %v; net/http satisfies it", header, size, err)
			}
			return
		}
		if offset < 0 || length < 0 || offset+length > size || (partial && length == 0) || (!partial && length != size) {
			t.Fatalf("parseRange(%q, %d) = %d+%d, %v", header, size, offset, length, partial)
		}
		if partial && strings.HasPrefix(header, "bytes=") && !strings.Contains(header, "99999999") {
			want := fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, size)
			if w := serveContent(t, header, size); w.Code == http.StatusPartialContent && w.Header().Get("Content-Range") != want {
				t.Fatalf("parseRange(%q, %d) is %s; net/http says %s", header, size, want, w.Header().Get("Content-Range"))
			}
		}
	})
}

func serveContent(t *testing.T, header string, size int64) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Range", header)
	w := httptest.NewRecorder()
	http.ServeContent(w, r, "x.bin", time.Time{}, strings.NewReader(strings.Repeat("x", int(size))))
	return w
}
