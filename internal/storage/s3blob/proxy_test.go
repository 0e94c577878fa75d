package s3blob_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
)

// fault is something that happens to a request instead of an ordinary answer.
type fault string

const (
	none        fault = ""
	status500   fault = "status 500"
	status503   fault = "status 503"
	full        fault = "status 507"
	minioFull   fault = "XMinioStorageFull"
	cutRequest  fault = "request cut"      // the server never sees it
	cutAnswer   fault = "answer cut"       // the server does what was asked, and nobody hears of it
	cutBody     fault = "body cut"         // half of the answer's body arrives
	unsupported fault = "NotImplemented"   // as from a store without conditional writes, for requests that have one
	forbidden   fault = "403 AccessDenied" //
	opaque      fault = "opaque ETag"      // as from a store whose ETags are no MD5s
	heedless    fault = "condition ignored"
	hang        fault = "no answer"  // nor is the body read
	hangBody    fault = "body stops" // after the first half
)

// proxy stands between a store and its server, counts requests, and makes things go wrong.
type proxy struct {
	mu       sync.Mutex
	requests []string
	choose   func(n int, r *http.Request) fault
	forward  *httputil.ReverseProxy
	unhang   chan struct{} // closed when the test ends
}

// through puts a proxy before the bucket's server. choose gets each request with its number, from 0.
func through(t *testing.T, c s3blob.Config) (s3blob.Config, *proxy) {
	t.Helper()
	target, err := url.Parse(c.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{unhang: make(chan struct{}), forward: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		// A connection that the server closes while it is idle would be a fault that nobody asked for.
		Transport: &http.Transport{DisableKeepAlives: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway)
		},
	}}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.unhang)
		server.Close()
	})
	c.Endpoint = server.URL
	return c, p
}

// set starts counting anew, with new faults.
func (p *proxy) set(choose func(n int, r *http.Request) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests, p.choose = nil, choose
}

// seen lists the requests since set.
func (p *proxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch f := p.next(r); f {
	case status500:
		answerError(w, r, http.StatusInternalServerError, "InternalError")
	case status503:
		answerError(w, r, http.StatusServiceUnavailable, "SlowDown")
	case full:
		answerError(w, r, http.StatusInsufficientStorage, "Other")
	case minioFull:
		answerError(w, r, http.StatusInternalServerError, "XMinioStorageFull")
	case forbidden:
		answerError(w, r, http.StatusForbidden, "AccessDenied")
	case unsupported:
		answerError(w, r, http.StatusNotImplemented, "NotImplemented")
	case cutRequest:
		panic(http.ErrAbortHandler)
	case cutAnswer:
		p.forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case cutBody:
		p.halfAnswer(w, r)
		panic(http.ErrAbortHandler)
	case opaque:
		answer := httptest.NewRecorder()
		p.forward.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("ETag", `"00000000000000000000000000000000"`)
		w.WriteHeader(answer.Code)
	case heedless:
		w.WriteHeader(http.StatusOK)
	case hang:
		<-p.unhang
		panic(http.ErrAbortHandler)
	case hangBody:
		p.halfAnswer(w, r)
		_ = http.NewResponseController(w).Flush()
		<-p.unhang
		panic(http.ErrAbortHandler)
	case none:
		p.forward.ServeHTTP(w, r)
	}
}

func (p *proxy) next(r *http.Request) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.requests)
	p.requests = append(p.requests, operation(r))
	if p.choose == nil {
		return none
	}
	return p.choose(n, r)
}

func (p *proxy) halfAnswer(w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	p.forward.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
}

func answerError(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>made up</Message></Error>`, code)
	}
}

// operation names what a request does.
func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "create multipart"
	case r.Method == http.MethodPost:
		return "complete multipart"
	case r.Method == http.MethodPut && q.Has("partNumber"):
		return "part " + q.Get("partNumber")
	case strings.Contains(r.URL.Path, ".tail."):
		return strings.ToLower(r.Method) + " tail"
	case q.Has("list-type") || q.Has("uploads"):
		return "list"
	default:
		return strings.ToLower(r.Method)
	}
}
