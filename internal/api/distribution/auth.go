package distribution

import (
	"net/http"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// authenticate establishes the caller. A signed link counts for reading a layer, and only where no
// Authorization header says otherwise.
func (f *face) authenticate(x *exchange) (identity.Caller, error) {
	reads := x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
	if x.req.Kind == kindBlob && reads && x.r.Header.Get("Authorization") == "" && authn.HasLink(x.r) {
		return f.linkCaller, f.auth.VerifyLink(x.r)
	}
	return f.auth.Basic(x.r)
}

// challenge asks for Basic credentials in ECR's words. There is no token endpoint: docker sends the token
// that it got as a password with every request.
func (f *face) challenge(x *exchange) {
	quotable := func(r rune) rune {
		if r == '"' || r == '\\' || r <= ' ' || r > '~' {
			return -1
		}
		return r
	}
	realm := strings.Map(quotable, f.baseURL(x.r)) // it comes from the request's Host
	x.w.Header().Set("Www-Authenticate", `Basic realm="`+realm+`/",service="ecr.amazonaws.com"`)
}
