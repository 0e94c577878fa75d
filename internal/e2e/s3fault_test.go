package e2e_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// faultProxy stands between Berth and its object store and lets it fail.
type faultProxy struct {
	url    string
	mode   atomic.Pointer[faultMode]
	failed atomic.Int64 // requests that were made to fail
}

// faultMode answers a request itself and tells true, or lets it pass.
type faultMode func(w http.ResponseWriter, r *http.Request) bool

func newFaultProxy(t *testing.T, endpoint string) *faultProxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{}
	forward := &httputil.ReverseProxy{
		// The Host that came stays, since it is signed.
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host },
		// A store that was told to hang up is no news.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mode := p.mode.Load(); mode != nil && (*mode)(w, r) {
			p.failed.Add(1)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *faultProxy) fail(mode faultMode) { p.mode.Store(&mode) }
func (p *faultProxy) heal()               { p.mode.Store(nil) }

// internalError is S3's own 500, after reading the request as S3 does.
func internalError(w http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code>`+
		`<Message>We encountered an internal error. Please try again.</Message></Error>`)
	return true
}

// writesFail lets only what changes the bucket fail.
func writesFail(w http.ResponseWriter, r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && internalError(w, r)
}

// hangUp cuts the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	return true
}

// lostAnswer lets the store do what was asked, and cuts the connection instead of answering: the worst kind,
// since the client cannot know.
func (p *faultProxy) lostAnswer(endpoint string) faultMode {
	client := &http.Client{Timeout: 30 * time.Second}
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return false
		}
		out := r.Clone(r.Context())
		target, err := url.Parse(endpoint)
		if err != nil {
			return false
		}
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", target.Scheme, target.Host
		if resp, err := client.Do(out); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return hangUp(w, r)
	}
}

// TestObjectStoreFails lets the object store answer 500, hang up and lose its answers under a running server:
// pushes are refused in clear words, nothing acknowledged is lost, and all works again when it does.
func TestObjectStoreFails(t *testing.T) {
	t.Parallel()
	berthproc.Gate(t)
	for name, mode := range map[string]func(p *faultProxy, endpoint string) faultMode{
		"every request answers 500":  func(*faultProxy, string) faultMode { return internalError },
		"writes answer 500":          func(*faultProxy, string) faultMode { return writesFail },
		"connections are cut":        func(*faultProxy, string) faultMode { return hangUp },
		"answers to writes get lost": (*faultProxy).lostAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := bucketStorage(t)
			proxy := newFaultProxy(t, storage.Endpoint)
			s := berthproc.Start(t, berthproc.Config{Storage: storage.Through(proxy.url), Args: []string{"--blob-delivery", "proxy"}})
			s.CreateRepositories("s3/fails")
			o := &outage{t: t, c: newClient(t, s), proxy: proxy}
			o.push(1)
			o.during(mode(proxy, storage.Endpoint))
			s.Kill()
			s.Restart()
			o.stillThere()
		})
	}
}

// bucketStorage opens the pair that has a bucket.
func bucketStorage(t *testing.T) berthproc.Storage {
	t.Helper()
	for _, kind := range berthproc.Kinds() {
		if kind.Bucket {
			return kind.Open(t)
		}
	}
	t.Fatal("no kind of storage has a bucket")
	return berthproc.Storage{}
}

type outage struct {
	t      *testing.T
	c      *client
	proxy  *faultProxy
	seed   uint64
	images []oci.Digest
}

func (o *outage) push(n int) {
	o.t.Helper()
	for range n {
		o.seed++
		o.images = append(o.images, oci.FromBytes(o.c.pushImage(o.t, "s3/fails", "latest", o.seed)))
	}
}

// during breaks the store, tries to push in every way, and mends it again.
func (o *outage) during(mode faultMode) {
	o.t.Helper()
	const uploads = "/v2/s3/fails/blobs/uploads/"
	ctx := o.t.Context()
	o.seed++
	small, large := noise(o.seed, 10_000), noise(o.seed+1000, 12<<20)

	// An upload that has acknowledged bytes when the trouble begins.
	begun := o.c.must(o.t, http.StatusAccepted, http.MethodPost, uploads, nil)
	begun = o.c.must(o.t, http.StatusAccepted, http.MethodPatch, begun.Header.Get("Location"), large[:7<<20], "Content-Range", "0-7340031")

	before := o.proxy.failed.Load()
	o.proxy.fail(mode)
	var clients sync.WaitGroup
	for _, content := range [][]byte{small, large} {
		clients.Go(func() {
			r, err := o.c.send(ctx, http.MethodPost, uploads+"?digest="+string(oci.FromBytes(content)), bytes.NewReader(content))
			o.isRefused("pushing a layer", r, err)
		})
	}
	clients.Go(func() {
		r, err := o.c.send(ctx, http.MethodPatch, begun.Header.Get("Location"), bytes.NewReader(large[7<<20:]), "Content-Range", "7340032-12582911")
		o.isRefused("adding to an upload", r, err)
	})
	clients.Wait()
	if o.proxy.failed.Load() == before {
		o.t.Fatal("no request to the object store was made to fail: the test shows nothing")
	}
	o.proxy.heal()

	for _, content := range [][]byte{small, large} {
		d := oci.FromBytes(content)
		o.c.must(o.t, http.StatusNotFound, http.MethodHead, "/v2/s3/fails/blobs/"+string(d), nil)
		o.c.pushBlob(o.t, "s3/fails", content)
	}
	o.finish(begun.Header.Get("Location"), large)
	o.push(1)
	o.stillThere()
}

// finish takes an upload up again where the server says it stands.
func (o *outage) finish(location string, content []byte) {
	o.t.Helper()
	r := o.c.must(o.t, http.StatusNoContent, http.MethodGet, location, nil)
	have, err := rangeEnd(r.Header.Get("Range"), 1)
	if err != nil || have < 7<<20 {
		o.t.Fatalf("after the outage the upload has %d bytes (%v), want at least the 7 MiB that were acknowledged", have, err)
	}
	if have < len(content) {
		o.c.must(o.t, http.StatusAccepted, http.MethodPatch, location, content[have:])
	}
	o.c.must(o.t, http.StatusCreated, http.MethodPut, join(location, "digest="+string(oci.FromBytes(content))), nil)
}

func (o *outage) isRefused(what string, r reply, err error) {
	o.t.Helper()
	if err != nil {
		o.t.Errorf("%s during the outage: %v, want an answer", what, err)
		return
	}
	if r.Status != http.StatusServiceUnavailable || len(r.codes()) != 1 {
		o.t.Errorf("%s during the outage answered %v, want 503 in the protocol's envelope", what, r)
	}
}

// stillThere pulls everything that was acknowledged.
func (o *outage) stillThere() {
	o.t.Helper()
	for _, d := range o.images {
		if err := o.c.verifyImage(o.t.Context(), "s3/fails", d); err != nil {
			o.t.Errorf("after the outage: %v", err)
		}
	}
}
