package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// client speaks the distribution API in plain requests, to send what no well-behaved client sends and to
// see exactly what comes back.
type client struct {
	base string // http://host:port
	auth string // the Authorization header
	http *http.Client
}

// reply is an answer, read whole.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
}

func (r reply) String() string {
	body := r.Body
	if len(body) > 500 {
		body = append(body[:500:500], "…"...)
	}
	return fmt.Sprintf("%d %s", r.Status, body)
}

// codes gives the codes of the protocol's error envelope.
func (r reply) codes() []string {
	var envelope struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.Body, &envelope) != nil {
		return nil
	}
	var codes []string
	for _, e := range envelope.Errors {
		codes = append(codes, e.Code)
	}
	return codes
}

func newClient(t *testing.T, s *berthproc.Server) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		base: s.URL,
		auth: "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+s.Password())),
		http: &http.Client{
			Transport: transport, Timeout: 2 * time.Minute,
			// A pre-signed URL says it all: a second credential on the same request is an error to S3.
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				req.Header.Del("Authorization")
				if len(via) > 3 {
					return http.ErrUseLastResponse
				}
				return nil
			},
		},
	}
}

// send makes one request. The target is a path, or what a Location said. A body of unknown length is sent
// in chunks.
func (c *client) send(ctx context.Context, method, target string, body io.Reader, headers ...string) (reply, error) {
	if strings.HasPrefix(target, "/") {
		target = c.base + target
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", c.auth)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: b}, err
}

// must makes a request that has to be answered with the status.
func (c *client) must(t *testing.T, want int, method, target string, body []byte, headers ...string) reply {
	t.Helper()
	r, err := c.send(t.Context(), method, target, bytes.NewReader(body), headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	if r.Status != want {
		t.Fatalf("%s %s answered %v, want %d", method, target, r, want)
	}
	return r
}

// answered gives an error unless there is an answer with the status.
func answered(r reply, err error, want int) error {
	if err == nil && r.Status != want {
		return fmt.Errorf("answered %v, want %d", r, want)
	}
	return err
}

// join adds a query parameter to a Location.
func join(location, query string) string {
	if strings.Contains(location, "?") {
		return location + "&" + query
	}
	return location + "?" + query
}

// noise is n bytes that nothing compresses and that the seed alone decides.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // it never fails
	return b
}

// pushBlob pushes a blob in one request.
func (c *client) pushBlob(t *testing.T, repo string, content []byte) oci.Descriptor {
	t.Helper()
	d := oci.FromBytes(content)
	c.must(t, http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+string(d), content,
		"Content-Type", "application/octet-stream")
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

// imageOf is the manifest of an image whose blobs are in the repository.
func imageOf(config oci.Descriptor, layers ...oci.Descriptor) []byte {
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	if layers == nil {
		layers = []oci.Descriptor{}
	}
	b, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": layers,
	})
	if err != nil {
		panic(err) // a map of plain values always marshals
	}
	return b
}

// pushImage pushes a small image whose bytes follow from the seed, and gives its manifest.
func (c *client) pushImage(t *testing.T, repo, ref string, seed uint64) []byte {
	t.Helper()
	config := c.pushBlob(t, repo, fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","seed":%d}`, seed))
	m := imageOf(config, c.pushBlob(t, repo, noise(seed, 2000)))
	c.must(t, http.StatusCreated, http.MethodPut, "/v2/"+repo+"/manifests/"+ref, m, "Content-Type", oci.MediaTypeOCIManifest)
	return m
}

// verifyImage pulls an image with everything below it and checks every digest.
func (c *client) verifyImage(ctx context.Context, repo string, d oci.Digest) error {
	r, err := c.send(ctx, http.MethodGet, "/v2/"+repo+"/manifests/"+string(d), nil, "Accept", "*/*")
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK || oci.FromBytes(r.Body) != d {
		return fmt.Errorf("manifest %s of %s: got %v", d, repo, r)
	}
	m, err := oci.ParseManifest("", r.Body)
	if err != nil {
		return fmt.Errorf("manifest %s of %s: %w", d, repo, err)
	}
	for _, b := range m.Blobs() {
		if err := c.verifyBlob(ctx, repo, b.Digest); err != nil {
			return fmt.Errorf("image %s: %w", d, err)
		}
	}
	for _, child := range m.Children {
		if err := c.verifyImage(ctx, repo, child.Digest); err != nil {
			return fmt.Errorf("index %s: %w", d, err)
		}
	}
	return nil
}

// verifyBlob pulls a blob and checks its digest.
func (c *client) verifyBlob(ctx context.Context, repo string, d oci.Digest) error {
	r, err := c.send(ctx, http.MethodGet, "/v2/"+repo+"/blobs/"+string(d), nil)
	if err != nil {
		return err
	}
	if r.Status != http.StatusOK {
		return fmt.Errorf("blob %s of %s: got %v", d, repo, r)
	}
	if got := oci.FromBytes(r.Body); got != d {
		return fmt.Errorf("blob %s of %s: %d bytes of digest %s came", d, repo, len(r.Body), got)
	}
	return nil
}

// tags lists a repository's tags, page by page.
func (c *client) tags(ctx context.Context, repo string) ([]string, error) {
	var all []string
	next := "/v2/" + repo + "/tags/list?n=100"
	for next != "" {
		r, err := c.send(ctx, http.MethodGet, next, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(r.Body, &page); err != nil || r.Status != http.StatusOK {
			return nil, fmt.Errorf("GET %s answered %v", next, r)
		}
		all = append(all, page.Tags...)
		next = nextPage(r.Header.Get("Link"))
	}
	return all, nil
}

// nextPage reads `<url>; rel="next"`.
func nextPage(link string) string {
	url, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(rest, "next") {
		return ""
	}
	return url
}
