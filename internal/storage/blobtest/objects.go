package blobtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// testOpenRanges reads pieces of objects.
func testOpenRanges(t *testing.T, open Opener) {
	s := open(t)
	all := Bytes(1, 9*mib)
	n := int64(len(all))
	key := put(t, s, all)
	empty := put(t, s, nil)
	for _, test := range []struct {
		key            blob.Key
		offset, length int64
		want           []byte
	}{
		{key, 0, -1, all},
		{key, 0, n, all},
		{key, 0, 1, all[:1]},
		{key, 1, 5, all[1:6]},
		{key, n - 1, 1, all[n-1:]},
		{key, n - 7, -1, all[n-7:]},
		{key, 8*mib - 3, 9, all[8*mib-3 : 8*mib+6]},
		{key, 100, 0, nil},
		{key, n - 2, 100, all[n-2:]}, // more than there is
		{key, n, -1, nil},
		{key, n + 10, 3, nil},
		{empty, 0, -1, nil},
		{empty, 0, 0, nil},
	} {
		got, err := read(t.Context(), s, test.key, test.offset, test.length)
		if err != nil || !bytes.Equal(got, test.want) {
			t.Errorf("Open at %d, length %d: got %d bytes, %v, want %d", test.offset, test.length, len(got), err, len(test.want))
		}
	}
	if rc, err := s.Open(t.Context(), key, -1, 1); err == nil {
		t.Errorf("Open at -1: got no error (closing: %v)", rc.Close())
	}
}

// testUnknown asks for an object that is not there.
func testUnknown(t *testing.T, open Opener) {
	s := open(t)
	key := NewKey()
	for _, length := range []int64{-1, 0, 10} {
		rc, err := s.Open(t.Context(), key, 0, length)
		if err == nil {
			t.Errorf("closing: %v", rc.Close())
		}
		wantError(t, fmt.Sprintf("Open of an unknown key, length %d", length), err, blob.ErrNotFound)
	}
	_, err := s.Size(t.Context(), key)
	wantError(t, "Size of an unknown key", err, blob.ErrNotFound)
	if err := s.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete of an unknown key: %v", err)
	}
	if err := s.Abort(t.Context(), blob.Upload{Key: key}); err != nil {
		t.Errorf("Abort of an unknown key: %v", err)
	}
}

// testDelete removes objects, and reads on in one that is open where the store can.
func testDelete(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{0, 10, 9 * mib} {
		key := put(t, s, Bytes(1, n))
		for range 2 {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatalf("Delete of %d bytes: %v", n, err)
			}
			_, err := s.Size(t.Context(), key)
			wantError(t, "Size of a deleted object", err, blob.ErrNotFound)
		}
	}
}

// testKeysRefused tries keys that are none, with every method.
func testKeysRefused(t *testing.T, open Opener) {
	s := open(t)
	good := string(NewKey())
	for _, bad := range []string{
		"", "a", good[1:], good + "0", strings.ToUpper("abcdefabcdefabcdefabcdefabcdefab"),
		"../" + good[3:], "..", "/etc/passwd", good[:31] + "/", good[:30] + "..", good[:31] + "\x00", good[:31] + "g",
		"../../../../../../../../../../ab", good[:2] + "/" + good[3:],
	} {
		key := blob.Key(bad)
		u := blob.Upload{Key: key}
		calls := map[string]func() error{
			"Append": func() error {
				_, err := s.Append(t.Context(), u, strings.NewReader("bytes"))
				return err
			},
			"Complete": func() error { return s.Complete(t.Context(), u) },
			"Abort":    func() error { return s.Abort(t.Context(), u) },
			"Delete":   func() error { return s.Delete(t.Context(), key) },
			"Open":     func() error { _, err := s.Open(t.Context(), key, 0, -1); return err },
			"Size":     func() error { _, err := s.Size(t.Context(), key); return err },
		}
		if p, ok := s.(blob.Presigner); ok {
			calls["PresignGet"] = func() error { _, err := p.PresignGet(t.Context(), key, time.Minute); return err }
		}
		for method, call := range calls {
			if call() == nil {
				t.Errorf("%s with key %q: got no error", method, bad)
			}
		}
	}
}

// testPresign fetches objects by their URLs, as a client without credentials does.
func testPresign(t *testing.T, open Opener) {
	s := open(t)
	p, ok := s.(blob.Presigner)
	if !ok {
		t.Skip("this store does not sign URLs")
	}
	want := Bytes(1, 100*kib)
	key := put(t, s, want)
	good, err := p.PresignGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatalf("PresignGet: %v", err)
	}
	other := string(put(t, s, want))
	for _, test := range []struct {
		name, url, byteRange string
		status               int
		want                 []byte
	}{
		{"whole", good, "", http.StatusOK, want},
		{"range", good, "bytes=10-19", http.StatusPartialContent, want[10:20]},
		{"end", good, "bytes=-5", http.StatusPartialContent, want[len(want)-5:]},
		{"other key", strings.Replace(good, string(key), other, 1), "", http.StatusForbidden, nil},
		{"longer life", strings.Replace(good, "X-Amz-Expires=60", "X-Amz-Expires=600", 1), "", http.StatusForbidden, nil},
		{"other signature", flipLast(good), "", http.StatusForbidden, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := get(t, test.url, test.byteRange)
			if status != test.status {
				t.Errorf("GET %s: got status %d, want %d", test.url, status, test.status)
			}
			if test.want != nil && !bytes.Equal(body, test.want) {
				t.Errorf("GET %s: got %d bytes, want %d", test.url, len(body), len(test.want))
			}
		})
	}
	for _, ttl := range []time.Duration{-time.Minute, 0, 8 * 24 * time.Hour} {
		if url, err := p.PresignGet(t.Context(), key, ttl); err == nil {
			t.Errorf("PresignGet for %v: got %s, want an error", ttl, url)
		}
	}
	wantExpiry(t, p, key)
}

// wantExpiry asks for a URL that lives one second until it is refused.
func wantExpiry(t *testing.T, p blob.Presigner, key blob.Key) {
	t.Helper()
	url, err := p.PresignGet(t.Context(), key, time.Second)
	if err != nil {
		t.Fatalf("PresignGet for a second: %v", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if status, _ := get(t, url, ""); status == http.StatusForbidden {
			return
		}
		<-tick.C
	}
	t.Errorf("GET %s: never refused, though it was signed for a second", url)
}

// flipLast changes the last digit of a URL's signature.
func flipLast(url string) string {
	const mark = "X-Amz-Signature="
	i := strings.Index(url, mark) + len(mark) + 63
	digit := "0"
	if url[i] == '0' {
		digit = "1"
	}
	return url[:i] + digit + url[i+1:]
}

func get(t *testing.T, url, byteRange string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatalf("making a request for %s: %v", url, err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: reading the body: %v", url, err)
	}
	return resp.StatusCode, body
}
