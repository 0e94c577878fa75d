package distribution_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// startUpload begins one and gives its path.
func (s *server) startUpload(tb testing.TB, query string) string {
	tb.Helper()
	res := s.call(tb, http.MethodPost, "/v2/"+repo+"/blobs/uploads/"+query, nil)
	wantStatus(tb, res, http.StatusAccepted)
	wantUpload(tb, res, "0-0")
	return res.header.Get("Location")
}

// wantUpload checks the headers that tell where an upload stands.
func wantUpload(tb testing.TB, res response, stands string) {
	tb.Helper()
	id := res.header.Get("Docker-Upload-Uuid")
	if !uuid.MatchString(id) {
		tb.Errorf("Docker-Upload-UUID is %q", id)
	}
	wantHeader(tb, res, "Location", "/v2/"+repo+"/blobs/uploads/"+id)
	wantHeader(tb, res, "Range", stands)
}

func wantCreated(tb testing.TB, res response, d oci.Digest) {
	tb.Helper()
	wantStatus(tb, res, http.StatusCreated)
	wantHeader(tb, res, "Location", "/v2/"+repo+"/blobs/"+d.String())
	wantHeader(tb, res, "Docker-Content-Digest", d.String())
	wantHeader(tb, res, "Content-Length", "0")
}

// wantBlob pulls a layer and compares.
func (s *server) wantBlob(tb testing.TB, d oci.Digest, want []byte) {
	tb.Helper()
	res := s.call(tb, http.MethodGet, "/v2/"+repo+"/blobs/"+d.String(), nil)
	wantStatus(tb, res, http.StatusOK)
	if !bytes.Equal(res.body, want) {
		tb.Errorf("the layer %s has %d bytes, not the %d that were pushed", d, len(res.body), len(want))
	}
}

func TestUploadInChunks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := []byte("hello, world")
	d := oci.FromBytes(content)
	for name, ranges := range map[string][]string{
		"as the spec has it":  {"0-4", "5-9"},
		"as RFC 9110 has it":  {"bytes 0-4/*", "bytes 5-9/12"},
		"as requests have it": {"bytes=0-4", "bytes=5-9"},
		"at the end":          {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upload := s.startUpload(t, "")
			for i, r := range ranges {
				res := s.call(t, http.MethodPatch, upload, content[5*i:5*i+5], "Content-Range", r, "Content-Type", "application/octet-stream")
				wantStatus(t, res, http.StatusAccepted)
				wantUpload(t, res, []string{"0-4", "0-9"}[i])
			}
			res := s.call(t, http.MethodGet, upload, nil)
			wantStatus(t, res, http.StatusNoContent)
			wantUpload(t, res, "0-9")
			wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), content[10:]), d)
			s.wantBlob(t, d, content)
			wantStatus(t, s.call(t, http.MethodGet, upload, nil), http.StatusNotFound)
		})
	}
}

func TestWaysToUpload(t *testing.T) { //nolint:tparallel // each way ends with the layer removed, for the next to push it
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "elsewhere")
	content := []byte("hello, world")
	d := oci.FromBytes(content)
	h := oci.SHA512.New()
	h.Write(content)
	d512 := oci.FromSum(oci.SHA512, h.Sum(nil))
	remove := func(t *testing.T, d oci.Digest) {
		t.Helper()
		s.wantBlob(t, d, content)
		wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/blobs/"+d.String(), nil), http.StatusAccepted)
	}
	t.Run("POST alone", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), content), d)
		remove(t, d)
	})
	t.Run("POST alone, of unknown length", func(t *testing.T) {
		req := s.request(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), iotest.OneByteReader(bytes.NewReader(content)))
		wantCreated(t, s.send(t, req), d)
		remove(t, d)
	})
	t.Run("POST alone, sha512", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d512.String(), content), d512)
		remove(t, d512)
	})
	t.Run("POST and PUT", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPut, s.startUpload(t, "")+"?digest="+d.String(), content), d)
		remove(t, d)
	})
	t.Run("POST and PUT, of unknown length", func(t *testing.T) {
		req := s.request(t, http.MethodPut, s.startUpload(t, "")+"?digest="+d.String(), iotest.OneByteReader(bytes.NewReader(content)))
		wantCreated(t, s.send(t, req), d)
		remove(t, d)
	})
	t.Run("PUT with the last range", func(t *testing.T) {
		upload := s.startUpload(t, "")
		wantStatus(t, s.call(t, http.MethodPatch, upload, content[:5]), http.StatusAccepted)
		wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), content[5:], "Content-Range", "5-11"), d)
		remove(t, d)
	})
	t.Run("PUT without a body", func(t *testing.T) {
		upload := s.startUpload(t, "")
		req := s.request(t, http.MethodPatch, upload, iotest.OneByteReader(bytes.NewReader(content))) // streamed, as docker does
		wantStatus(t, s.send(t, req), http.StatusAccepted)
		wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), nil), d)
		remove(t, d)
	})
	t.Run("announced sha512", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPut, s.startUpload(t, "?digest-algorithm=sha512")+"?digest="+d512.String(), content), d512)
		remove(t, d512)
	})
	t.Run("announced nothing, completed as sha512", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPut, s.startUpload(t, "")+"?digest="+d512.String(), content), d512)
		remove(t, d512)
	})
	t.Run("nothing at all", func(t *testing.T) {
		wantCreated(t, s.call(t, http.MethodPut, s.startUpload(t, "")+"?digest="+someDigest, nil), someDigest)
		s.wantBlob(t, someDigest, nil)
	})
	t.Run("mounts", func(t *testing.T) {
		mount := "/v2/" + repo + "/blobs/uploads/?mount=" + d.String()
		wantStatus(t, s.call(t, http.MethodPost, mount, nil), http.StatusAccepted) // nobody has it yet
		s.pushBlob(t, "elsewhere", content)
		for _, from := range []string{"&from=elsewhere", ""} {
			wantCreated(t, s.call(t, http.MethodPost, mount+from, nil), d)
			remove(t, d)
		}
		for _, from := range []string{"&from=no/such", "&from=../Bad%00", "&from=" + repo} {
			res := s.call(t, http.MethodPost, mount+from, nil)
			wantStatus(t, res, http.StatusAccepted)
			wantUpload(t, res, "0-0")
		}
	})
}

func TestUploadOutOfOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	content := []byte("hello, world")
	d := oci.FromBytes(content)
	upload := s.startUpload(t, "")
	wantStatus(t, s.call(t, http.MethodPatch, upload, content[:5]), http.StatusAccepted)
	for _, tt := range []struct{ method, query, contentRange, body string }{
		{http.MethodPatch, "", "6-7", "wo"}, // a hole
		{http.MethodPatch, "", "0-4", "hello"},
		{http.MethodPut, "?digest=" + d.String(), "7-11", "world"},
	} {
		res := s.call(t, tt.method, upload+tt.query, []byte(tt.body), "Content-Range", tt.contentRange)
		wantStatus(t, res, http.StatusRequestedRangeNotSatisfiable)
		wantUpload(t, res, "0-4")
		if !strings.Contains(string(res.body), `"BLOB_UPLOAD_INVALID"`) {
			t.Errorf("416 with the body %s", res.body)
		}
	}
	// All that was refused left the upload as it was.
	wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), content[5:]), d)
	s.wantBlob(t, d, content)
}

func TestUploadOfOtherSizes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	upload := s.startUpload(t, "")
	for _, tt := range []struct{ method, query, contentRange string }{
		{http.MethodPatch, "", "0-3"},
		{http.MethodPatch, "", "0-5"},
		{http.MethodPatch, "", "nonsense"},
		{http.MethodPatch, "", "bytes */5"},
		{http.MethodPut, "?digest=" + someDigest, "0-9"},
	} {
		res := s.call(t, tt.method, upload+tt.query, []byte("hello"), "Content-Range", tt.contentRange)
		wantStatus(t, res, http.StatusBadRequest)
		if !strings.Contains(string(res.body), `"SIZE_INVALID"`) {
			t.Errorf("400 with the body %s", res.body)
		}
		// Without a Content-Length the bytes themselves are counted.
		req := s.request(t, tt.method, upload+tt.query, iotest.OneByteReader(strings.NewReader("hello")), "Content-Range", tt.contentRange)
		wantStatus(t, s.send(t, req), http.StatusBadRequest)
	}
	res := s.call(t, http.MethodGet, upload, nil)
	wantUpload(t, res, "0-0")
	d := oci.FromBytes([]byte("hello"))
	wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), []byte("hello")), d)
}

func TestUploadOfAnotherDigest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, query := range []string{"", "?digest=", "?digest=sha256:short", "?digest=md5:x"} {
		upload := s.startUpload(t, "")
		res := s.call(t, http.MethodPut, upload+query, []byte("hello"))
		wantStatus(t, res, http.StatusBadRequest)
		if !strings.Contains(string(res.body), `"DIGEST_INVALID"`) {
			t.Errorf("PUT %s answers %s", query, res.body)
		}
		wantStatus(t, s.call(t, http.MethodGet, upload, nil), http.StatusNoContent) // and can go on
	}
	upload := s.startUpload(t, "")
	wantStatus(t, s.call(t, http.MethodPut, upload+"?digest="+someDigest, []byte("hello")), http.StatusBadRequest)
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/blobs/"+someDigest, nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodGet, upload, nil), http.StatusNotFound)
}

func TestCancelUpload(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	upload := s.startUpload(t, "")
	wantStatus(t, s.call(t, http.MethodPatch, upload, []byte("hello")), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodDelete, upload, nil), http.StatusNoContent)
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch} {
		wantStatus(t, s.call(t, method, upload, nil), http.StatusNotFound)
	}
	wantStatus(t, s.call(t, http.MethodPut, upload+"?digest="+someDigest, nil), http.StatusNotFound)
}

// TestVanishedClient: what a client sent before it vanished is kept, it may go on from there, and nobody
// is woken up.
func TestVanishedClient(t *testing.T) { //nolint:tparallel // the second pushes the layer that the first removed
	t.Parallel()
	s := newServer(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	d := oci.FromBytes(content)
	for name, framing := range map[string]string{"announced": "Content-Length: 1048576\r\n\r\n", "streamed": "Transfer-Encoding: chunked\r\n\r\n80000\r\n"} {
		t.Run(name, func(t *testing.T) {
			upload := s.startUpload(t, "")
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.host())
			if err != nil {
				t.Fatal(err)
			}
			half := len(content) / 2
			head := "PATCH " + upload + " HTTP/1.1\r\nHost: x\r\nX-Test-Done: " + name + "\r\nAuthorization: " + basic("good") + "\r\n" + framing
			if _, err := conn.Write(append([]byte(head), content[:half]...)); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if done := <-s.finished; done != name {
				t.Fatalf("finished %s, want %s", done, name)
			}
			res := s.call(t, http.MethodGet, upload, nil)
			wantStatus(t, res, http.StatusNoContent)
			wantUpload(t, res, "0-"+strconv.Itoa(half-1))
			wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), content[half:], "Content-Range", fmt.Sprintf("%d-%d", half, len(content)-1)), d)
			s.wantBlob(t, d, content)
			wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/blobs/"+d.String(), nil), http.StatusAccepted)
		})
	}
	if log := s.log.String(); log != "" {
		t.Errorf("the log says\n%s", log)
	}
}

// TestResumeAfterRestart: an upload goes on in another process, over the same database and directory.
func TestResumeAfterRestart(t *testing.T) {
	t.Parallel()
	dir, content := t.TempDir(), []byte("hello, world")
	d := oci.FromBytes(content)
	run := func(use func(s *server)) {
		db, err := metadb.OpenSQLite(t.Context(), filepath.Join(dir, "meta.db"))
		if err != nil {
			t.Fatal(err)
		}
		s := serverOn(t, db, dir)
		use(s)
		s.Close()
		if err := errors.Join(s.disk.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	upload := ""
	run(func(s *server) {
		s.createRepository(t, repo)
		upload = s.startUpload(t, "")
		wantStatus(t, s.call(t, http.MethodPatch, upload, content[:5]), http.StatusAccepted)
	})
	run(func(s *server) {
		res := s.call(t, http.MethodGet, upload, nil)
		wantStatus(t, res, http.StatusNoContent)
		wantUpload(t, res, "0-4")
		wantStatus(t, s.call(t, http.MethodPatch, upload, content[5:7], "Content-Range", "5-6"), http.StatusAccepted)
	})
	run(func(s *server) {
		wantCreated(t, s.call(t, http.MethodPut, upload+"?digest="+d.String(), content[7:], "Content-Range", "7-11"), d)
	})
	run(func(s *server) { s.wantBlob(t, d, content) })
}

// TestUploadWhileAnother: of two requests that add to one upload at once the second is told so.
func TestUploadWhileAnother(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.blobs.reading = make(chan struct{}, 1)
	upload := s.startUpload(t, "")
	body, end := io.Pipe()
	first := make(chan response)
	go func() {
		first <- s.send(t, s.request(t, http.MethodPatch, upload, io.MultiReader(strings.NewReader("hello"), body)))
	}()
	<-s.blobs.reading
	second := s.call(t, http.MethodPatch, upload, []byte("other"))
	wantStatus(t, second, http.StatusConflict)
	if !strings.Contains(string(second.body), `"BLOB_UPLOAD_INVALID"`) {
		t.Errorf("409 with the body %s", second.body)
	}
	if err := end.Close(); err != nil {
		t.Fatal(err)
	}
	res := <-first
	wantStatus(t, res, http.StatusAccepted)
	wantUpload(t, res, "0-4")
}
