package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

const badRepo = "bad/input"

// TestBadInput sends a running server what nobody should. Every answer is a precise error of the protocol
// that the request came by, none is a 500, and afterwards the server is well and its listings are as before.
func TestBadInput(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, storage berthproc.Storage) {
		s := berthproc.Start(t, berthproc.Config{Storage: storage})
		s.CreateRepositories(badRepo, "bad/empty")
		c := newClient(t, s)
		h := &hostile{s: s, c: c, image: c.pushImage(t, badRepo, "good", 1)}
		h.index = c.pushIndexOf(t, badRepo, "index", h.image)
		before := h.listing(t)

		// Every kind by itself and one after another, so that a change in the listings has one suspect.
		for _, part := range []struct {
			name string
			run  func(*testing.T)
		}{
			{"manifests", h.manifests},
			{"blobs", h.blobs},
			{"uploads", h.uploads},
			{"paths", h.paths},
			{"listings", h.listings},
			{"credentials", h.credentials},
			{"connections", h.connections},
			{"aws-protocol", h.awsProtocol},
			{"aws-parameters", h.awsParameters},
			{"aws-bodies", h.awsBodies},
		} {
			t.Run(part.name, func(t *testing.T) {
				part.run(t)
				if diff := cmp.Diff(before, h.listing(t)); diff != "" {
					t.Errorf("the listings changed (-before +after):\n%s", diff)
				}
				if err := s.Healthy(); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
		for _, d := range []oci.Digest{oci.FromBytes(h.image), oci.FromBytes(h.index)} {
			if err := c.verifyImage(t.Context(), badRepo, d); err != nil {
				t.Error(err)
			}
		}
		const most = 512 << 20
		if peak := s.MemoryPeak(); peak > most {
			t.Errorf("the server took %d MiB of memory at its peak, want at most %d", peak>>20, most>>20)
		} else {
			t.Logf("memory at its peak: %d MiB", peak>>20)
		}
	})
}

// hostile holds what the parts of TestBadInput share.
type hostile struct {
	s     *berthproc.Server
	c     *client
	image []byte // a manifest that is there
	index []byte // an index of it
}

// pushIndexOf pushes an index of one image.
func (c *client) pushIndexOf(t *testing.T, repo, tag string, image []byte) []byte {
	t.Helper()
	index := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		oci.MediaTypeOCIIndex, oci.MediaTypeOCIManifest, oci.FromBytes(image), len(image))
	c.must(t, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, index, "Content-Type", oci.MediaTypeOCIIndex)
	return index
}

// listing is everything that a client can list.
func (h *hostile) listing(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range []string{
		"/v2/_catalog", "/v2/" + badRepo + "/tags/list", "/v2/bad/empty/tags/list",
		"/v2/" + badRepo + "/referrers/" + string(oci.FromBytes(h.image)),
	} {
		all[path] = string(h.c.must(t, http.StatusOK, http.MethodGet, path, nil).Body)
	}
	out := h.aws(t, "DescribeImages", []byte(`{"repositoryName":"`+badRepo+`"}`))
	if out.Status != http.StatusOK {
		t.Fatalf("DescribeImages answered %v", out)
	}
	// Pulls move the last pull time, as they should.
	for part := range strings.SplitSeq(string(out.Body), ",") {
		if !strings.Contains(part, "lastRecordedPullTime") {
			all["images"] += part + ","
		}
	}
	return all
}

// bad is one request to the distribution API and the answer it should get.
type bad struct {
	name    string
	method  string
	path    string
	body    []byte
	headers []string
	status  int
	code    string // one of the envelope's codes; empty where the protocol has no body (HEAD)
	says    string // a part of the message
}

// try sends each and checks the answer.
func (h *hostile) try(t *testing.T, cases []bad) {
	t.Helper()
	for _, b := range cases {
		t.Run(b.name, func(t *testing.T) {
			r, err := h.c.send(t.Context(), b.method, b.path, bytes.NewReader(b.body), b.headers...)
			if err != nil {
				t.Fatalf("%s %s: %v, want an answer", b.method, b.path, err)
			}
			if r.Status != b.status || (b.code != "" && !slices.Contains(r.codes(), b.code)) || !strings.Contains(string(r.Body), b.says) {
				t.Errorf("%s %s answered %v, want %d %s saying %q", b.method, clip(b.path, 200), r, b.status, b.code, b.says)
			}
		})
	}
}

func (h *hostile) manifests(t *testing.T) {
	manifests := "/v2/" + badRepo + "/manifests/"
	ociType := []string{"Content-Type", oci.MediaTypeOCIManifest}
	put := func(name, ref string, body []byte, status int, code, says string, headers ...string) bad {
		if headers == nil {
			headers = ociType
		}
		return bad{name, http.MethodPut, manifests + ref, body, headers, status, code, says}
	}
	config := oci.Descriptor{Digest: oci.FromBytes([]byte("not there")), Size: 9}
	other := string(oci.FromBytes([]byte("other")))
	huge := append(bytes.TrimSuffix(bytes.Clone(h.image), []byte("}")), fmt.Appendf(nil, `,"annotations":{"a":%q}}`, strings.Repeat("a", 10<<20))...)
	h.try(t, []bad{
		put("broken JSON", "x", []byte(`{"schemaVersion":2,`), 400, "MANIFEST_INVALID", "JSON"),
		put("no JSON", "x", []byte("\x00\xff\xfe"), 400, "MANIFEST_INVALID", "JSON"),
		put("empty", "x", nil, 400, "MANIFEST_INVALID", ""),
		put("null", "x", []byte("null"), 400, "MANIFEST_INVALID", ""),
		put("an array", "x", []byte("[]"), 400, "MANIFEST_INVALID", ""),
		put("wrong kinds of members", "x", []byte(`{"schemaVersion":"two","layers":{}}`), 400, "MANIFEST_INVALID", ""),
		put("schema version", "x", bytes.Replace(h.image, []byte(`"schemaVersion":2`), []byte(`"schemaVersion":3`), 1), 400, "MANIFEST_INVALID", "schemaVersion"),
		put("member twice", "x", append([]byte(`{"config":{},`), h.image[1:]...), 400, "MANIFEST_INVALID", "twice"),
		put("trailing bytes", "x", append(bytes.Clone(h.image), []byte(`{}`)...), 400, "MANIFEST_INVALID", ""),
		put("10 MiB", "x", huge, 413, "MANIFEST_INVALID", ""),
		put("deep JSON", "x", []byte(`{"schemaVersion":2,"annotations":`+strings.Repeat("[", 1_000_000)), 400, "MANIFEST_INVALID", ""),
		put("deep JSON that closes", "x", []byte(`{"schemaVersion":2,"x":`+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)+`}`), 400, "MANIFEST_INVALID", ""),
		put("unknown media type", "x", bytes.ReplaceAll(h.image, []byte(oci.MediaTypeOCIManifest), []byte("application/x-nothing")), 400, "MANIFEST_INVALID", "application/x-nothing", "Content-Type", "application/x-nothing"),
		put("another media type than announced", "x", h.image, 400, "MANIFEST_INVALID", "", "Content-Type", oci.MediaTypeDockerManifest),
		put("missing config and layers", "x", imageOf(config), 400, "MANIFEST_BLOB_UNKNOWN", string(config.Digest)),
		put("negative size", "x", []byte(`{"schemaVersion":2,"mediaType":"`+oci.MediaTypeOCIManifest+`","config":{"mediaType":"a/b","digest":"`+other+`","size":-1},"layers":[]}`), 400, "MANIFEST_INVALID", "size"),
		put("wrong size of a layer that is there", "x", bytes.Replace(h.image, []byte(`"size":2000`), []byte(`"size":2001`), 1), 400, "MANIFEST_INVALID", ""),
		put("malformed digest inside", "x", []byte(`{"schemaVersion":2,"mediaType":"`+oci.MediaTypeOCIManifest+`","config":{"mediaType":"a/b","digest":"sha256:xyz","size":1},"layers":[]}`), 400, "MANIFEST_INVALID", ""),
		put("missing child", "x", []byte(`{"schemaVersion":2,"mediaType":"`+oci.MediaTypeOCIIndex+`","manifests":[{"mediaType":"`+oci.MediaTypeOCIManifest+`","digest":"`+other+`","size":1}]}`), 400, "MANIFEST_BLOB_UNKNOWN", other, "Content-Type", oci.MediaTypeOCIIndex),
		put("another digest", other, h.image, 400, "DIGEST_INVALID", ""),
		put("malformed digest", "sha256:abc", h.image, 400, "DIGEST_INVALID", ""),
		put("unknown algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e", h.image, 400, "DIGEST_INVALID", ""),
		put("upper-case digest", strings.ToUpper(other), h.image, 400, "", ""),
		put("tag of 301 characters", strings.Repeat("t", 301), h.image, 400, "", ""),
		put("tag with a space", "a%20b", h.image, 400, "", ""),
		put("tag that starts with a dot", ".hidden", h.image, 400, "", ""),
		put("tag with a NUL", "a%00b", h.image, 400, "", ""),
		{"repository that is not there", http.MethodPut, "/v2/none/at-all/manifests/x", h.image, ociType, 404, "NAME_UNKNOWN", "does not exist"},
		{"index that holds it", http.MethodDelete, manifests + string(oci.FromBytes(h.image)), nil, nil, 405, "UNSUPPORTED", "referenced by manifest list"},
		{"delete of none", http.MethodDelete, manifests + "none", nil, nil, 404, "MANIFEST_UNKNOWN", ""},
		{"get of none", http.MethodGet, manifests + other, nil, nil, 404, "MANIFEST_UNKNOWN", "Requested image not found"},
		{"head of none", http.MethodHead, manifests + other, nil, nil, 404, "", ""},
		{"POST", http.MethodPost, manifests + "x", h.image, ociType, 405, "UNSUPPORTED", ""},
		{"method of nobody's", "BREW", manifests + "x", nil, nil, 405, "UNSUPPORTED", ""},
	})
}

func (h *hostile) blobs(t *testing.T) {
	blobs, uploads := "/v2/"+badRepo+"/blobs/", "/v2/"+badRepo+"/blobs/uploads/"
	m, err := oci.ParseManifest("", h.image)
	if err != nil {
		t.Fatal(err)
	}
	layer, other := string(m.Layers[0].Digest), string(oci.FromBytes([]byte("other")))
	h.try(t, []bad{
		{"wrong digest in one request", http.MethodPost, uploads + "?digest=" + other, []byte("not other"), nil, 400, "DIGEST_INVALID", ""},
		{"malformed digest", http.MethodPost, uploads + "?digest=sha256:zz", []byte("x"), nil, 400, "DIGEST_INVALID", ""},
		{"two digests", http.MethodPost, uploads + "?digest=" + other + "&digest=" + layer, []byte("neither"), nil, 400, "DIGEST_INVALID", ""},
		{"empty digest", http.MethodPost, uploads + "?digest=", []byte("x"), nil, 400, "DIGEST_INVALID", ""},
		{"unknown algorithm", http.MethodPost, uploads + "?digest-algorithm=crc32", nil, nil, 400, "DIGEST_INVALID", ""},
		{"mount of rubbish", http.MethodPost, uploads + "?mount=rubbish&from=bad/empty", nil, nil, 400, "DIGEST_INVALID", ""},
		{"bad query escape", http.MethodPost, uploads + "?digest=%zz", []byte("x"), nil, 400, "", ""},
		{"repository not there", http.MethodPost, "/v2/none/at-all/blobs/uploads/", nil, nil, 404, "NAME_UNKNOWN", "does not exist"},
		{"get of none", http.MethodGet, blobs + other, nil, nil, 404, "BLOB_UNKNOWN", ""},
		{"get of a malformed digest", http.MethodGet, blobs + "sha256:..", nil, nil, 400, "DIGEST_INVALID", ""},
		{"layer of another repository", http.MethodGet, "/v2/bad/empty/blobs/" + layer, nil, nil, 404, "BLOB_UNKNOWN", ""},
		{"delete of a layer in use", http.MethodDelete, blobs + layer, nil, nil, 405, "UNSUPPORTED", ""},
		{"range beyond the end", http.MethodGet, blobs + layer, nil, []string{"Range", "bytes=5000-"}, 416, "", ""},
		{"PUT of a blob", http.MethodPut, blobs + layer, []byte("x"), nil, 405, "UNSUPPORTED", ""},
	})
	for _, odd := range []string{"bytes=-0", "bytes=9-3", "bytes=a-b", "bytes=0-0,5-9", "lines=1-2", "bytes=99999999999999999999-", "bytes=--5"} {
		r, err := h.c.send(t.Context(), http.MethodGet, blobs+layer, nil, "Range", odd)
		if err != nil || (r.Status != http.StatusOK && r.Status != http.StatusPartialContent && r.Status != http.StatusRequestedRangeNotSatisfiable) {
			t.Errorf("GET of a layer with Range %q answered %v (%v), want 200, 206 or 416", odd, r.Status, err)
		}
	}
}

func (h *hostile) uploads(t *testing.T) {
	uploads := "/v2/" + badRepo + "/blobs/uploads/"
	content := []byte("0123456789")
	d := string(oci.FromBytes(content))
	location := h.c.must(t, http.StatusAccepted, http.MethodPost, uploads, nil).Header.Get("Location")
	h.c.must(t, http.StatusAccepted, http.MethodPatch, location, content[:4], "Content-Range", "0-3")
	id := location[strings.LastIndex(location, "/")+1:]
	h.try(t, []bad{
		{"gap", http.MethodPatch, location, content[6:], []string{"Content-Range", "6-9"}, 416, "", ""},
		{"overlap", http.MethodPatch, location, content[2:], []string{"Content-Range", "2-9"}, 416, "", ""},
		{"range longer than the body", http.MethodPatch, location, content[4:], []string{"Content-Range", "4-90"}, 400, "SIZE_INVALID", ""},
		{"range backwards", http.MethodPatch, location, content[4:], []string{"Content-Range", "9-4"}, 400, "SIZE_INVALID", ""},
		{"range of words", http.MethodPatch, location, content[4:], []string{"Content-Range", "all of it"}, 400, "SIZE_INVALID", ""},
		{"range over the largest number", http.MethodPatch, location, content[4:], []string{"Content-Range", "4-99999999999999999999"}, 400, "", ""},
		{"finish without a digest", http.MethodPut, location, nil, nil, 400, "DIGEST_INVALID", ""},
		{"another repository", http.MethodPatch, "/v2/bad/empty/blobs/uploads/" + id, content, nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
		{"no such upload", http.MethodPatch, uploads + "00000000-0000-0000-0000-000000000000", content, nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
		{"odd id", http.MethodGet, uploads + "..%5c..%5cberth.db", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
		{"long id", http.MethodGet, uploads + strings.Repeat("a", 4000), nil, nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
		{"cancel of none", http.MethodDelete, uploads + "00000000-0000-0000-0000-000000000000", nil, nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
	})

	r := h.c.must(t, http.StatusNoContent, http.MethodGet, location, nil)
	if got := r.Header.Get("Range"); got != "0-3" {
		t.Errorf("after all that the upload has Range %q, want 0-3", got)
	}
	h.c.must(t, http.StatusAccepted, http.MethodPatch, location, content[4:], "Content-Range", "4-9")
	h.c.must(t, http.StatusCreated, http.MethodPut, join(location, "digest="+d), nil)

	location = h.c.must(t, http.StatusAccepted, http.MethodPost, uploads, nil).Header.Get("Location")
	h.c.must(t, http.StatusAccepted, http.MethodPatch, location, content[:4])
	other := "digest=" + string(oci.FromBytes([]byte("other")))
	h.try(t, []bad{
		{"finish under a wrong digest", http.MethodPut, join(location, other), nil, nil, 400, "DIGEST_INVALID", ""},
		{"finish with more bytes under a wrong digest", http.MethodPut, join(location, other), content[4:], nil, 404, "BLOB_UPLOAD_UNKNOWN", ""},
	})
	h.vanish(t)
}

// vanish leaves in the middle of a push, again and again.
func (h *hostile) vanish(t *testing.T) {
	t.Helper()
	content := noise(9, 3<<20)
	d := oci.FromBytes(content)
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		body := io.MultiReader(bytes.NewReader(content[:2<<20]), endless(cancel))
		_, err := h.c.send(ctx, http.MethodPost, "/v2/"+badRepo+"/blobs/uploads/?digest="+string(d), body)
		cancel()
		if err == nil {
			t.Error("a push whose client vanished was answered")
		}
	}
	h.c.must(t, http.StatusNotFound, http.MethodHead, "/v2/"+badRepo+"/blobs/"+string(d), nil)
}

// endless is a reader that calls leave when it is first read, and delivers nothing.
type endless func()

// Read implements io.Reader.
func (leave endless) Read([]byte) (int, error) {
	leave()
	return 0, io.ErrUnexpectedEOF
}

func (h *hostile) listings(t *testing.T) {
	tags := "/v2/" + badRepo + "/tags/list"
	referrers := "/v2/" + badRepo + "/referrers/"
	h.try(t, []bad{
		{"n of words", http.MethodGet, tags + "?n=many", nil, nil, 400, "UNSUPPORTED", ""},
		{"negative n", http.MethodGet, tags + "?n=-1", nil, nil, 400, "UNSUPPORTED", ""},
		{"last with a NUL", http.MethodGet, tags + "?last=%00", nil, nil, 400, "UNSUPPORTED", ""},
		{"tags of none", http.MethodGet, "/v2/none/at-all/tags/list", nil, nil, 404, "NAME_UNKNOWN", "does not exist"},
		{"referrers of rubbish", http.MethodGet, referrers + "rubbish", nil, nil, 400, "DIGEST_INVALID", ""},
		{"referrers in none", http.MethodGet, "/v2/none/at-all/referrers/" + string(oci.FromBytes(h.image)), nil, nil, 404, "NAME_UNKNOWN", ""},
	})
	// What has a sensible meaning gets it: a page size is capped, and last need not be a tag that exists.
	for _, path := range []string{tags + "?n=10000000", tags + "?last=zzzz", tags + "?n=1&n=2", "/v2/_catalog?n=99999"} {
		h.c.must(t, http.StatusOK, http.MethodGet, path, nil)
	}
}
