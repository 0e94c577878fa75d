package distribution_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestManifest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	// Bytes that no encoder would write come back as they went in.
	manifest := append([]byte(" \n"), s.makeManifest(t, repo, "hello", `,"annotations":{"<&>":"\u00e9"}`)...)
	d := oci.FromBytes(manifest)
	res := s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v1", manifest, "Content-Type", "Application/vnd.oci.image.manifest.v1+json; charset=utf-8")
	wantStatus(t, res, http.StatusCreated)
	wantHeader(t, res, "Location", "/v2/"+repo+"/manifests/"+d.String())
	wantHeader(t, res, "Docker-Content-Digest", d.String())
	wantHeader(t, res, "Oci-Subject", "")
	for _, accept := range []string{"", "*/*", oci.MediaTypeOCIManifest, oci.MediaTypeDockerManifest, "text/html, application/json;q=0.5"} {
		for _, ref := range []string{"v1", d.String()} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res := s.call(t, method, "/v2/"+repo+"/manifests/"+ref, nil, "Accept", accept)
				wantStatus(t, res, http.StatusOK)
				wantHeader(t, res, "Content-Type", oci.MediaTypeOCIManifest)
				wantHeader(t, res, "Content-Length", strconv.Itoa(len(manifest)))
				wantHeader(t, res, "Docker-Content-Digest", d.String())
				wantHeader(t, res, "Etag", `"`+d.String()+`"`)
				if method == http.MethodGet && !bytes.Equal(res.body, manifest) {
					t.Errorf("GET %s gives %q, want %q", ref, res.body, manifest)
				}
			}
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		res := s.call(t, method, "/v2/"+repo+"/manifests/v1", nil, "If-None-Match", `"`+d.String()+`"`)
		wantStatus(t, res, http.StatusNotModified)
		wantHeader(t, res, "Etag", `"`+d.String()+`"`)
		wantStatus(t, s.call(t, method, "/v2/"+repo+"/manifests/v1", nil, "If-None-Match", `"`+someDigest+`"`), http.StatusOK)
	}
}

// TestPulls: a GET of a manifest is a pull and a HEAD is none.
func TestPulls(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, d := s.pushImage(t, repo, "v1", "hello")
	pulled := func() bool {
		t.Helper()
		if err := s.registry.FlushPulls(t.Context()); err != nil {
			t.Fatal(err)
		}
		img, err := s.registry.StatImage(t.Context(), root, repo, oci.Reference{Digest: d})
		if err != nil {
			t.Fatal(err)
		}
		return !img.LastPulledAt.IsZero()
	}
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/v1", nil), http.StatusOK)
	if pulled() {
		t.Error("a HEAD counts as a pull")
	}
	wantStatus(t, s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/v1", nil), http.StatusOK)
	if !pulled() {
		t.Error("a GET does not count as a pull")
	}
}

func TestPutManifestAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.registry.PutTagMutability(t.Context(), root, repo, registry.Immutable, nil); err != nil {
		t.Fatal(err)
	}
	manifest, d := s.pushImage(t, repo, "v1", "hello")
	// The same again is no news, even where tags are immutable: pushes are retried (ECR's users ask for this).
	for _, ref := range []string{"v1", d.String()} {
		res := s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, manifest, "Content-Type", oci.MediaTypeOCIManifest)
		wantStatus(t, res, http.StatusCreated)
		wantHeader(t, res, "Docker-Content-Digest", d.String())
	}
}

func TestPutManifestWithTags(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest := s.makeManifest(t, repo, "hello", "")
	d := oci.FromBytes(manifest)
	res := s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+d.String()+"?tag=b&tag=a&tag=b", manifest, "Content-Type", oci.MediaTypeOCIManifest)
	wantStatus(t, res, http.StatusCreated)
	if got := res.header.Values("Oci-Tag"); !slices.Equal(got, []string{"b", "a", "b"}) {
		t.Errorf("OCI-Tag is %v", got)
	}
	for _, tag := range []string{"a", "b"} {
		wantHeader(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/"+tag, nil), "Docker-Content-Digest", d.String())
	}
	// One bad tag, and none is set.
	res = s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+d.String()+"?tag=c&tag=-bad", manifest, "Content-Type", oci.MediaTypeOCIManifest)
	wantStatus(t, res, http.StatusBadRequest)
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/c", nil), http.StatusNotFound)
}

func TestPutManifestWithSHA512(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest := s.makeManifest(t, repo, "hello", "")
	h := oci.SHA512.New()
	h.Write(manifest)
	d := oci.FromSum(oci.SHA512, h.Sum(nil))
	res := s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+d.String()+"?tag=v1", manifest, "Content-Type", oci.MediaTypeOCIManifest)
	wantStatus(t, res, http.StatusCreated)
	wantHeader(t, res, "Docker-Content-Digest", d.String())
	wantHeader(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/v1", nil), "Docker-Content-Digest", d.String())
}

func TestManifestOfTheLargestSize(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	plain := s.makeManifest(t, repo, "hello", "")
	manifest := append(plain, bytes.Repeat([]byte(" "), oci.MaxManifestBytes-len(plain))...)
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v1", manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	if res := s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/v1", nil); !bytes.Equal(res.body, manifest) {
		t.Errorf("%d bytes came back of %d", len(res.body), len(manifest))
	}
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v2", append(manifest, ' '), "Content-Type", oci.MediaTypeOCIManifest), http.StatusRequestEntityTooLarge)
}

func TestManifestThatStops(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest := s.makeManifest(t, repo, "hello", "")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.host())
	if err != nil {
		t.Fatal(err)
	}
	head := "PUT /v2/" + repo + "/manifests/v1 HTTP/1.1\r\nHost: x\r\nX-Test-Done: put\r\nAuthorization: " + basic("good") +
		fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", len(manifest)+1)
	if _, err := conn.Write(append([]byte(head), manifest...)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.finished
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/v1", nil), http.StatusNotFound)
	if log := s.log.String(); log != "" {
		t.Errorf("the log says\n%s", log)
	}
}

func TestDeleteManifest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest, d := s.pushImage(t, repo, "v1", "hello")
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/v2", manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	at := func(ref string) string { return "/v2/" + repo + "/manifests/" + ref }

	wantStatus(t, s.call(t, http.MethodDelete, at("v1"), nil), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodHead, at("v1"), nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodDelete, at("v1"), nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodHead, at("v2"), nil), http.StatusOK)

	wantStatus(t, s.call(t, http.MethodDelete, at("v2"), nil), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodHead, at(d.String()), nil), http.StatusOK) // a tag's end is not its image's

	wantStatus(t, s.call(t, http.MethodPut, at("v3"), manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	wantStatus(t, s.call(t, http.MethodDelete, at(d.String()), nil), http.StatusAccepted)
	for _, ref := range []string{"v3", d.String()} {
		wantStatus(t, s.call(t, http.MethodHead, at(ref), nil), http.StatusNotFound)
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	subject, subjectDigest := s.pushImage(t, repo, "v1", "hello")
	put := func(artifactType string, annotation string) string {
		m := s.makeManifest(t, repo, "hello", `,"artifactType":"`+artifactType+`","annotations":{"a":"`+annotation+`"},"subject":`+
			descriptor(oci.MediaTypeOCIManifest, subjectDigest, len(subject)))
		d := oci.FromBytes(m)
		res := s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+d.String(), m, "Content-Type", oci.MediaTypeOCIManifest)
		wantStatus(t, res, http.StatusCreated)
		wantHeader(t, res, "Oci-Subject", subjectDigest.String())
		// The same again tells the subject again.
		res = s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+d.String(), m, "Content-Type", oci.MediaTypeOCIManifest)
		wantHeader(t, res, "Oci-Subject", subjectDigest.String())
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"a":"%s"},"artifactType":%q}`,
			oci.MediaTypeOCIManifest, d, len(m), annotation, artifactType)
	}
	const before, after = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`, `]}`
	sbom, signature := put("application/sbom", "1"), put("application/signature", "2")
	at := "/v2/" + repo + "/referrers/" + subjectDigest.String()
	for _, tt := range []struct{ path, want, filters string }{
		{at, sbom + "," + signature, ""},
		{at + "?artifactType=", sbom + "," + signature, ""},
		{at + "?artifactType=application/sbom", sbom, "artifactType"},
		{at + "?artifactType=application%2Fsignature", signature, "artifactType"},
		{at + "?artifactType=none", "", "artifactType"},
		{"/v2/" + repo + "/referrers/" + someDigest, "", ""},
	} {
		res := s.call(t, http.MethodGet, tt.path, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Content-Type", oci.MediaTypeOCIIndex)
		wantHeader(t, res, "Oci-Filters-Applied", tt.filters)
		wantHeader(t, res, "Link", "")
		if want := before + tt.want + after; string(res.body) != want {
			t.Errorf("GET %s\n gives %s\n want %s", tt.path, res.body, want)
		}
	}

	// Referrers whose annotations are large come in several pages, each of a size that clients read.
	wanted := 6
	for i := range wanted {
		put("application/large", strings.Repeat(strconv.Itoa(i), 1<<20))
	}
	got, pages, next := 0, 0, at+"?artifactType=application/large"
	for next != "" {
		res := s.call(t, http.MethodGet, next, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Oci-Filters-Applied", "artifactType")
		if len(res.body) > oci.MaxManifestBytes {
			t.Errorf("a page has %d bytes", len(res.body))
		}
		got += bytes.Count(res.body, []byte(`"artifactType":"application/large"`))
		pages++
		next = nextLink(t, res)
	}
	if got != wanted || pages < 2 {
		t.Errorf("%d referrers in %d pages, want %d in several", got, pages, wanted)
	}
}

// nextLink gives the path in a Link header, or "".
func nextLink(tb testing.TB, res response) string {
	tb.Helper()
	link := res.header.Get("Link")
	if link == "" {
		return ""
	}
	path, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok || !strings.HasPrefix(link, "</v2/") {
		tb.Fatalf("Link is %s", link)
	}
	return path
}
