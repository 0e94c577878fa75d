package distribution_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "012345678901"
	repo    = "hoopstat-haus/prod"
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", Root: true}

// gate is an authenticator for tests: the password says what happens.
type gate struct{}

// Basic knows the passwords good, scanner, other, expired and revoked.
func (gate) Basic(r *http.Request) (identity.Caller, error) {
	_, password, ok := r.BasicAuth()
	switch {
	case r.Header.Get("Authorization") == "":
		return identity.Caller{}, fault.New(fault.CredentialsMissing, "no credentials")
	case !ok:
		return identity.Caller{}, fault.New(fault.CredentialsMalformed, "the Authorization header is not Basic")
	}
	switch password {
	case "good":
		return root, nil
	case "scanner": // a role's session; until policies join, only root may do anything
		return identity.Caller{Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/scanner/run", Root: true}, nil
	case "other":
		return identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/mallory"}, nil
	case "expired":
		return identity.Caller{}, fault.New(fault.TokenExpired, "Your authorization token has expired. Reauthenticate and try again.")
	}
	return identity.Caller{}, fault.New(fault.TokenInvalid, "the authorization token is not one of this registry's")
}

// Bearer takes Basic's passwords as tokens.
func (g gate) Bearer(r *http.Request) (identity.Caller, error) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	basic := r.Clone(r.Context())
	basic.SetBasicAuth("AWS", token)
	return g.Basic(basic)
}

// Exchange gives the password back.
func (g gate) Exchange(r *http.Request) (authn.BearerToken, error) {
	_, err := g.Basic(r)
	_, password, _ := r.BasicAuth()
	return authn.BearerToken{Token: password, Lasts: time.Minute}, err
}

// VerifyLink takes the signature good.
func (gate) VerifyLink(r *http.Request) error {
	switch r.URL.Query().Get("X-Berth-Signature") {
	case "good":
		return nil
	case "expired":
		return fault.New(fault.SignatureExpired, "The link has expired")
	}
	return fault.New(fault.SignatureMismatch, "The link was changed")
}

// blobs is a real store that fails, or hands out links, when told to.
type blobs struct {
	blob.Store
	mu   sync.Mutex
	fail error
	link string
	// cutTo, where it is set, is all that is left of each object.
	cutTo int64
	// reading, where it is set, gets a value when an Append, which then has taken the upload, first reads.
	reading chan struct{}
}

func (b *blobs) failWith(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

func (b *blobs) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fail
}

// Append adds to an upload.
func (b *blobs) Append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	if err := b.failure(); err != nil {
		return u, err
	}
	if b.reading != nil {
		first := sync.OnceFunc(func() { b.reading <- struct{}{} })
		from := r
		r = readFunc(func(p []byte) (int, error) { first(); return from.Read(p) })
	}
	return b.Store.Append(ctx, u, r)
}

// readFunc is a function as a reader.
type readFunc func([]byte) (int, error)

// Read calls it.
func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Open opens an object.
func (b *blobs) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	if err := b.failure(); err != nil {
		return nil, err
	}
	rc, err := b.Store.Open(ctx, key, offset, length)
	if err == nil && b.cutTo > 0 {
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(rc, b.cutTo), rc}, nil
	}
	return rc, err
}

// PresignGet makes a link, or none.
func (b *blobs) PresignGet(context.Context, blob.Key, time.Duration) (string, error) {
	return b.link, nil
}

// server is the API over a registry with real storage.
type server struct {
	*httptest.Server
	registry *registry.Registry
	blobs    *blobs
	log      *lockedBuffer
	disk     *diskblob.Store
	finished chan string // the X-Test-Done of each request that has one, when its handler has returned
}

// newServer starts one with an empty repository.
func newServer(tb testing.TB, adjust ...func(*distribution.Config)) *server {
	tb.Helper()
	s := serverOn(tb, metadbtest.New(tb), tb.TempDir(), adjust...)
	s.createRepository(tb, repo)
	return s
}

// serverOn starts one on a database and a directory that may have been another's.
func serverOn(tb testing.TB, db *metadb.DB, dir string, adjust ...func(*distribution.Config)) *server {
	tb.Helper()
	store, err := diskblob.Open(filepath.Join(dir, "blobs"))
	if err != nil {
		tb.Fatalf("diskblob.Open: %v", err)
	}
	s := &server{disk: store, blobs: &blobs{Store: store}, log: &lockedBuffer{}, finished: make(chan string, 10)}
	s.registry = registry.New(registry.Config{
		Store: db, Blobs: s.blobs, Account: account, Region: "us-east-1", Now: time.Now, TrashWindow: time.Hour,
	})
	c := distribution.Config{
		Registry: s.registry, Auth: gate{}, LinkCaller: root, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
	for _, a := range adjust {
		a(&c)
	}
	face := middleware.New(middleware.Config{Next: distribution.New(c), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		face.ServeHTTP(w, r)
		if done := r.Header.Get("X-Test-Done"); done != "" {
			s.finished <- done
		}
	}))
	tb.Cleanup(s.Close)
	return s
}

func (s *server) createRepository(tb testing.TB, name string) {
	tb.Helper()
	if _, err := s.registry.CreateRepository(tb.Context(), root, registry.NewRepository{Name: name}); err != nil {
		tb.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

// host is the server's address, as image references have it.
func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

// response is an answer that was read whole.
type response struct {
	status int
	header http.Header
	body   []byte
}

// call sends one request as root; headers are pairs of name and value.
func (s *server) call(tb testing.TB, method, path string, body []byte, headers ...string) response {
	tb.Helper()
	return s.send(tb, s.request(tb, method, path, bytes.NewReader(body), headers...))
}

func (s *server) request(tb testing.TB, method, path string, body io.Reader, headers ...string) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, s.URL+path, body)
	if err != nil {
		tb.Fatalf("NewRequest %s %s: %v", method, path, err)
	}
	req.SetBasicAuth("AWS", "good")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

func (s *server) send(tb testing.TB, req *http.Request) response {
	tb.Helper()
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		tb.Fatalf("%s %s: reading the body: %v", req.Method, req.URL, err)
	}
	return response{status: res.StatusCode, header: res.Header, body: body}
}

// pushBlob stores bytes in one request and gives their digest.
func (s *server) pushBlob(tb testing.TB, name string, b []byte) oci.Digest {
	tb.Helper()
	d := oci.FromBytes(b)
	res := s.call(tb, http.MethodPost, "/v2/"+name+"/blobs/uploads/?digest="+d.String(), b)
	wantStatus(tb, res, http.StatusCreated)
	return d
}

// pushImage stores a small image under a tag and gives manifest and digest.
func (s *server) pushImage(tb testing.TB, name, tag, content string) ([]byte, oci.Digest) {
	tb.Helper()
	manifest := s.makeManifest(tb, name, content, "")
	wantStatus(tb, s.call(tb, http.MethodPut, "/v2/"+name+"/manifests/"+tag, manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	return manifest, oci.FromBytes(manifest)
}

// makeManifest pushes config and layer and gives a manifest of them, with more members if there are.
func (s *server) makeManifest(tb testing.TB, name, content, more string) []byte {
	tb.Helper()
	config, layer := []byte("{}"), []byte(content)
	return []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIManifest + `",` +
		`"config":` + descriptor("application/vnd.oci.image.config.v1+json", s.pushBlob(tb, name, config), len(config)) + `,` +
		`"layers":[` + descriptor("application/vnd.oci.image.layer.v1.tar", s.pushBlob(tb, name, layer), len(layer)) + `]` + more + "}")
}

func wantStatus(tb testing.TB, res response, want int) {
	tb.Helper()
	if res.status != want {
		tb.Fatalf("status is %d, want %d; header %v, body %s", res.status, want, res.header, res.body)
	}
}

func wantHeader(tb testing.TB, res response, name, want string) {
	tb.Helper()
	if got := res.header.Get(name); got != want {
		tb.Errorf("header %s is %q, want %q", name, got, want)
	}
}

// lockedBuffer is a log that handlers write and tests read.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String gives what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func descriptor(mediaType string, d oci.Digest, size int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, size)
}
