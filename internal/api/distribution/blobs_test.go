package distribution_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestBlob(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := []byte(strings.Repeat("0123456789", 1000))
	d := s.pushBlob(t, repo, content)
	path := "/v2/" + repo + "/blobs/" + d.String()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		res := s.call(t, method, path, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Content-Type", "application/octet-stream")
		wantHeader(t, res, "Content-Length", "10000")
		wantHeader(t, res, "Docker-Content-Digest", d.String())
		wantHeader(t, res, "Etag", `"`+d.String()+`"`)
		wantHeader(t, res, "Accept-Ranges", "bytes")
		wantHeader(t, res, "Cache-Control", "private, max-age=31536000, immutable")
		if want := map[string][]byte{http.MethodGet: content, http.MethodHead: {}}[method]; !bytes.Equal(res.body, want) {
			t.Errorf("%s gives %d bytes, want %d", method, len(res.body), len(want))
		}
	}
}

func TestBlobRanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := []byte("0123456789")
	d := s.pushBlob(t, repo, content)
	empty := s.pushBlob(t, repo, nil)
	tag := `"` + d.String() + `"`
	for _, tt := range []struct {
		method       string
		digest       oci.Digest
		headers      []string
		status       int
		contentRange string
		body         string
	}{
		{"GET", d, []string{"Range", "bytes=0-0"}, 206, "bytes 0-0/10", "0"},
		{"GET", d, []string{"Range", "bytes=2-4"}, 206, "bytes 2-4/10", "234"},
		{"GET", d, []string{"Range", "bytes=7-"}, 206, "bytes 7-9/10", "789"},
		{"GET", d, []string{"Range", "bytes=-2"}, 206, "bytes 8-9/10", "89"},
		{"GET", d, []string{"Range", "bytes=0-99"}, 206, "bytes 0-9/10", "0123456789"},
		{"GET", d, []string{"Range", "bytes=0-1,4-5"}, 200, "", "0123456789"},
		{"GET", d, []string{"Range", "lines=0-1"}, 200, "", "0123456789"},
		{"GET", d, []string{"Range", "bytes=10-"}, 416, "bytes */10", ""},
		{"GET", d, []string{"Range", "bytes=4-2"}, 416, "bytes */10", ""},
		{"GET", empty, []string{"Range", "bytes=0-"}, 200, "", ""},
		{"GET", empty, nil, 200, "", ""},
		{"HEAD", d, []string{"Range", "bytes=2-4"}, 200, "", ""}, // ranges are GET's alone (RFC 9110 §14.2)
		{"GET", d, []string{"Range", "bytes=2-4", "If-Range", tag}, 206, "bytes 2-4/10", "234"},
		{"GET", d, []string{"Range", "bytes=2-4", "If-Range", `"other"`}, 200, "", "0123456789"},
		{"GET", d, []string{"Range", "bytes=2-4", "If-Range", "W/" + tag}, 200, "", "0123456789"}, // weak is not good enough
		{"GET", d, []string{"If-None-Match", tag}, 304, "", ""},
		{"GET", d, []string{"If-None-Match", `"a", W/` + tag}, 304, "", ""},
		{"GET", d, []string{"If-None-Match", "*"}, 304, "", ""},
		{"GET", d, []string{"If-None-Match", `"other"`}, 200, "", "0123456789"},
	} {
		res := s.call(t, tt.method, "/v2/"+repo+"/blobs/"+tt.digest.String(), nil, tt.headers...)
		if res.status != tt.status || res.header.Get("Content-Range") != tt.contentRange {
			t.Errorf("%s with %v answers %d, Content-Range %q; want %d, %q", tt.method, tt.headers, res.status, res.header.Get("Content-Range"), tt.status, tt.contentRange)
		}
		if tt.status < 400 && string(res.body) != tt.body {
			t.Errorf("%s with %v gives %q, want %q", tt.method, tt.headers, res.body, tt.body)
		}
		if length := res.header.Get("Content-Length"); tt.status < 300 && tt.method == "GET" && length != fmt.Sprint(len(tt.body)) {
			t.Errorf("%s with %v has Content-Length %s for %d bytes", tt.method, tt.headers, length, len(tt.body))
		}
	}
}

func TestBlobRedirect(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *distribution.Config) { c.Redirect = true })
	d := s.pushBlob(t, repo, []byte("hello"))
	path := "/v2/" + repo + "/blobs/" + d.String()

	res := s.call(t, http.MethodGet, path, nil)
	wantStatus(t, res, http.StatusOK) // no links where only this server can reach the bytes

	s.blobs.link = "https://bucket.example/key?X-Amz-Signature=x"
	res = s.call(t, http.MethodGet, path, nil, "Range", "bytes=0-1")
	wantStatus(t, res, http.StatusTemporaryRedirect)
	wantHeader(t, res, "Location", s.blobs.link)
	wantHeader(t, res, "Docker-Content-Digest", d.String())
	wantHeader(t, res, "Cache-Control", "")

	res = s.call(t, http.MethodHead, path, nil)
	wantStatus(t, res, http.StatusOK)
	wantHeader(t, res, "Content-Length", "5")

	res = s.call(t, http.MethodGet, "/v2/"+repo+"/blobs/"+someDigest, nil)
	wantStatus(t, res, http.StatusNotFound)

	direct := newServer(t)
	direct.pushBlob(t, repo, []byte("hello"))
	direct.blobs.link = s.blobs.link
	wantStatus(t, direct.call(t, http.MethodGet, path, nil), http.StatusOK) // not asked to redirect
}

func TestDeleteBlob(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "elsewhere")
	d := s.pushBlob(t, repo, []byte("hello"))
	s.pushBlob(t, "elsewhere", []byte("hello"))
	path := "/blobs/" + d.String()
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+path, nil), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+path, nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+path, nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodGet, "/v2/elsewhere"+path, nil), http.StatusOK)
}

// TestBlobIsSentByTheKernel holds the promise that nothing comes between the file and the connection: the
// response writer is asked to read from a limited *os.File.
func TestBlobIsSentByTheKernel(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := bytes.Repeat([]byte("x"), 1<<20)
	d := s.pushBlob(t, repo, content)
	w := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/"+repo+"/blobs/"+d.String(), nil)
	r.SetBasicAuth("AWS", "good")
	s.Config.Handler.ServeHTTP(w, r)
	if !w.fromFile || !bytes.Equal(w.Body.Bytes(), content) {
		t.Errorf("the response read from a file: %v; %d bytes of %d", w.fromFile, w.Body.Len(), len(content))
	}
}

// readerFrom notes what it is asked to read from.
type readerFrom struct {
	*httptest.ResponseRecorder
	fromFile bool
}

// ReadFrom reads r to its end.
func (w *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		_, w.fromFile = l.R.(*os.File)
	}
	return io.Copy(w.ResponseRecorder, r)
}

// TestBlobThatIsShorterThanItsRow: the client must not take half a layer for the whole, and the log tells.
func TestBlobThatIsShorterThanItsRow(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	d := s.pushBlob(t, repo, bytes.Repeat([]byte("x"), 1<<20))
	s.blobs.cutTo = 1000
	req := s.request(t, http.MethodGet, "/v2/"+repo+"/blobs/"+d.String(), nil)
	req.Header.Set("X-Test-Done", "get")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n != 1000 {
		t.Errorf("a layer of which 1000 bytes are left reads %d bytes, error %v; want an error after 1000", n, err)
	}
	<-s.finished
	if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "the store ended after 1000 of 1048576 bytes") {
		t.Errorf("the log says %q", log)
	}
}

func TestMatchesETag(t *testing.T) {
	t.Parallel()
	d := oci.Digest(someDigest)
	for list, want := range map[string]bool{
		"": false, `"x"`: false, someDigest: false, `"` + someDigest + `"`: true, `W/"` + someDigest + `"`: true, `"a" , "` + someDigest + `"`: true, "*": true,
	} {
		if got := distribution.MatchesETag(list, d); got != want {
			t.Errorf("matchesETag(%s) = %v, want %v", list, got, want)
		}
	}
}
