// Package distribution is the OCI distribution API (v1.1) under /v2/, as Amazon ECR and the spec have it.
//
// It translates and decides nothing: [parse] turns a path into a typed request, the table routes finds its
// handler, the handler puts the protocol's words into calls of core/registry, and one function writes
// whatever error comes back, from one table.
//
// Mount it before any http.ServeMux: a mux cleans paths by redirecting, and a path here is either right or
// refused. The server around it must not put a fixed deadline on reading bodies or writing answers, since
// layers take as long as they take, and a ResponseWriter that wraps the server's must pass on io.ReaderFrom,
// or the kernel no longer sends layers from disk by itself.
package distribution

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Authenticator turns the credentials on a request into a caller. What it refuses it refuses with a fault.
type Authenticator interface {
	// Basic reads the Authorization header: "Basic", with AWS as the user and a token as the password. It
	// answers fault.CredentialsMissing where there is none, and TokenExpired, TokenInvalid, AccessKeyUnknown
	// or CredentialsMalformed for one that does not hold.
	Basic(r *http.Request) (identity.Caller, error)
	// Bearer is Basic for a bearer token. The caller of an anonymous one is nobody.
	Bearer(r *http.Request) (identity.Caller, error)
	// Exchange gives a bearer token for Basic credentials, or for none.
	Exchange(r *http.Request) (authn.BearerToken, error)
	// VerifyLink checks a path that this registry signed, for whoever has it to fetch what is there.
	VerifyLink(r *http.Request) error
}

// Pulls is what clients pull by, and push by what they pulled: the registry itself, or a cache of others in front
// of it.
type Pulls interface {
	PutImage(ctx context.Context, caller identity.Caller, p registry.Push) (registry.Pushed, error)
	Image(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (registry.Image, error)
	StatImage(ctx context.Context, caller identity.Caller, repository string, ref oci.Reference) (registry.Image, error)
	Layer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Content, error)
	StatLayer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Layer, error)
	Referrers(ctx context.Context, caller identity.Caller, repository string, subject oci.Digest, filter registry.ReferrerFilter, limit int, token string) (registry.Page[registry.Image], error)
}

// Config is what the API needs. Registry, Auth and Logger must be set.
type Config struct {
	Registry *registry.Registry
	// Pulls answers pulls; nil means the registry.
	Pulls  Pulls
	Auth   Authenticator
	Logger *slog.Logger
	// LinkCaller reads the layers that are fetched by signed links. Such a link stands for nobody: whoever had it
	// made was asked for the permission then. The zero Caller lets links open nothing.
	LinkCaller identity.Caller
	// Redirect sends clients that GET a layer to the blob store itself, where that hands out links.
	Redirect bool
	// BaseURL gives scheme and host by which the client reaches the registry, with no slash at the end. Nil
	// means as the request came in.
	BaseURL func(*http.Request) string
	// Denials makes of a refusal the sealed text that goes into the header X-Berth-Authorization-Message, for
	// sts:DecodeAuthorizationMessage. Nil: there is no such header.
	Denials Denials
}

// Denials seals refusals. What it cannot seal is empty.
type Denials interface {
	Encode(ctx context.Context, r policy.Refusal) string
}

// New makes the handler of everything under /v2/.
func New(c Config) http.Handler {
	f := &face{
		registry: c.Registry, pulls: c.Pulls, auth: c.Auth, log: c.Logger,
		linkCaller: c.LinkCaller, redirect: c.Redirect, baseURL: c.BaseURL, denials: c.Denials,
	}
	if f.pulls == nil {
		f.pulls = c.Registry
	}
	if f.baseURL == nil {
		f.baseURL = asServed
	}
	return f
}

func asServed(r *http.Request) string {
	if r.TLS != nil || r.URL.Scheme == "https" { // here, or at a proxy that is trusted
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

type face struct {
	registry   *registry.Registry
	pulls      Pulls
	auth       Authenticator
	log        *slog.Logger
	linkCaller identity.Caller
	redirect   bool
	baseURL    func(*http.Request) string
	denials    Denials // may be nil
}

// exchange is one request and its answer.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	req    request
	caller identity.Caller
	// stranger is set where the request came without credentials, or with a token for nobody.
	stranger bool
}

// route is what a method does to what a path names.
type route struct {
	kind   kind
	method string
	handle func(*face, *exchange) error
}

// routes is the whole API. A HEAD stands by itself where it asks for another permission than GET, or for less
// work; elsewhere it is a GET without the body.
var routes = [...]route{
	{kindManifest, http.MethodHead, (*face).headManifest},
	{kindManifest, http.MethodGet, (*face).getManifest},
	{kindManifest, http.MethodPut, (*face).putManifest},
	{kindManifest, http.MethodDelete, (*face).deleteManifest},
	{kindBlob, http.MethodHead, (*face).headBlob},
	{kindBlob, http.MethodGet, (*face).getBlob},
	{kindBlob, http.MethodDelete, (*face).deleteBlob},
	{kindUploads, http.MethodPost, (*face).startUpload},
	{kindUpload, http.MethodPatch, (*face).appendUpload},
	{kindUpload, http.MethodPut, (*face).completeUpload},
	{kindUpload, http.MethodGet, (*face).uploadStatus},
	{kindUpload, http.MethodHead, (*face).uploadStatus},
	{kindUpload, http.MethodDelete, (*face).cancelUpload},
	{kindBase, http.MethodGet, (*face).base},
	{kindBase, http.MethodHead, (*face).base},
	{kindToken, http.MethodGet, (*face).token},
	{kindToken, http.MethodPost, (*face).token},
	{kindTags, http.MethodGet, (*face).listTags},
	{kindTags, http.MethodHead, (*face).listTags},
	{kindReferrers, http.MethodGet, (*face).listReferrers},
	{kindReferrers, http.MethodHead, (*face).listReferrers},
	{kindCatalog, http.MethodGet, (*face).listRepositories},
	{kindCatalog, http.MethodHead, (*face).listRepositories},
}

// ServeHTTP answers one request.
func (f *face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	x := &exchange{w: w, r: r}
	middleware.Label(r.Context(), Face, "")
	if err := f.serve(x); err != nil {
		if x.stranger && errors.Is(err, fault.AccessDenied) {
			// Credentials may help. Nothing is said of what is there.
			err = fault.Wrap(fault.CredentialsMissing, err, "no credentials")
		}
		f.refuse(x, err)
	}
}

// serve asks for credentials before anything else, so that strangers learn nothing but that.
func (f *face) serve(x *exchange) error {
	req, parseErr := parse(x.r.URL)
	x.req = req
	var err error
	x.caller, err = f.authenticate(x)
	x.note()
	if err != nil {
		return err
	}
	middleware.NotePrincipal(x.r.Context(), x.caller.ARN)
	if req.Kind == kindUnknown {
		return parseErr
	}
	for i, route := range routes {
		if route.kind == req.Kind && route.method == x.r.Method {
			middleware.Label(x.r.Context(), Face, operations[i])
			if parseErr != nil {
				return parseErr
			}
			// url.Values drops what it cannot read, and with it perhaps the digest that was meant.
			if _, err := url.ParseQuery(x.r.URL.RawQuery); err != nil {
				return fault.Wrap(fault.InvalidParameter, err, "the query cannot be read: %v", err)
			}
			return route.handle(f, x)
		}
	}
	return methodNotAllowed(x.r.Method)
}

// base answers that this is a registry, and that the credentials are good.
func (f *face) base(x *exchange) error {
	x.send(http.StatusOK, "application/json", []byte("{}"))
	return nil
}

// send answers with a body that is whole in memory.
func (x *exchange) send(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // to a client that has gone there is nothing more to say
	}
}

// done answers without a body.
func (x *exchange) done(status int) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		x.w.Header().Set("Content-Length", "0")
	}
	x.w.WriteHeader(status)
}
