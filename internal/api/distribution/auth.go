package distribution

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// authenticate establishes the caller. A signed link counts for reading a layer, and only where no
// Authorization header says otherwise.
func (f *face) authenticate(x *exchange) (identity.Caller, error) {
	reads := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	if x.req.Kind == kindBlob && reads && x.r.Header.Get("Authorization") == "" && authn.HasLink(x.r) {
		return f.linkCaller, f.auth.VerifyLink(x.r)
	}
	switch {
	case x.req.Kind == kindToken:
		return identity.Caller{}, nil // who asks for a token says there who he is
	case authn.NoCredentials(x.r):
		return f.stranger(x, identity.Caller{Origin: authn.Origin(x.r)})
	case authn.IsBearer(x.r):
		caller, err := f.auth.Bearer(x.r)
		if err == nil && caller.Anonymous() && x.req.Kind != kindBase {
			return f.stranger(x, caller)
		}
		return caller, err
	}
	return f.auth.Basic(x.r)
}

// stranger lets nobody in particular go on to read, where there are policies that may let everybody. Whatever it is then
// refused, it is told to come with credentials.
func (f *face) stranger(x *exchange, nobody identity.Caller) (identity.Caller, error) {
	x.stranger = true
	missing := fault.New(fault.CredentialsMissing, "no credentials")
	switch x.req.Kind {
	case kindManifest, kindBlob, kindTags, kindReferrers:
	case kindUnknown, kindBase, kindCatalog, kindUploads, kindUpload, kindToken:
		return nobody, missing
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return nobody, missing
	}
	open, err := f.registry.Open(x.r.Context())
	if err == nil && !open {
		err = missing
	}
	return nobody, err
}

// challenge asks for Basic credentials in ECR's words: docker sends the token that it got as a password with every request.
// Where policies let everybody in, it names the place that gives tokens to everybody: without credentials docker does
// not go on from a Basic challenge.
func (f *face) challenge(x *exchange) {
	quotable := func(r rune) rune {
		if r == '"' || r == '\\' || r <= ' ' || r > '~' {
			return -1
		}
		return r
	}
	realm := strings.Map(quotable, f.baseURL(x.r)) // it comes from the request's Host
	if plain, ok := strings.CutPrefix(realm, "http://"); ok && strings.EqualFold(x.r.Header.Get("X-Forwarded-Proto"), "https") {
		realm = "https://" + plain // clients send credentials there; whoever says this need not be trusted for it
	}
	open, err := f.registry.Open(x.r.Context())
	if err != nil && x.r.Context().Err() == nil {
		f.log.LogAttrs(x.r.Context(), slog.LevelError, "looking for open policies", f.logFields(x, err)...)
	}
	if !open || x.req.Kind == kindToken {
		x.w.Header().Set("Www-Authenticate", `Basic realm="`+realm+`/",service="ecr.amazonaws.com"`)
		return
	}
	words := `Bearer realm="` + realm + `/v2/token",service="ecr.amazonaws.com"`
	if _, err := oci.ParseRepositoryName(x.req.Name); err == nil {
		actions := "pull"
		if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
			actions = "pull,push"
		}
		words += `,scope="repository:` + x.req.Name + ":" + actions + `"`
	}
	if x.stranger && authn.IsBearer(x.r) {
		words += `,error="insufficient_scope"` // so that clients do not fetch another and try again
	}
	x.w.Header().Set("Www-Authenticate", words)
}
