package distribution

import (
	"net/http"
	"strconv"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// maxTokenForm bounds the form of a request for a token, in bytes.
const maxTokenForm = 16 << 10

// token answers with a bearer token for Basic credentials, or for none, as docker's token specification has it. What scope
// is asked for does not matter: the registry asks for the permission with each request. Clients that begin with OAuth's
// form ("grant_type=password") may.
func (f *face) token(x *exchange) error {
	r := x.r
	if r.Method == http.MethodPost && r.Header.Get("Authorization") == "" {
		var err error
		if r, err = fromForm(x); err != nil {
			return err
		}
	}
	t, err := f.auth.Exchange(r)
	if err != nil {
		return err
	}
	if !t.Caller.Anonymous() {
		x.caller = t.Caller
		middleware.Note(x.r.Context()).Caller = t.Caller
	}
	b := append([]byte(nil), `{"token":`...)
	b = appendJSONString(b, t.Token)
	b = append(b, `,"access_token":`...)
	b = appendJSONString(b, t.Token)
	b = append(b, `,"token_type":"Bearer","expires_in":`...)
	b = strconv.AppendInt(b, int64(t.Lasts.Seconds()), 10)
	b = append(b, `,"issued_at":`...)
	b = appendJSONString(b, t.Issued.Format(time.RFC3339))
	x.w.Header().Set("Cache-Control", "no-store")
	x.send(http.StatusOK, "application/json", append(b, "}\n"...))
	return nil
}

// fromForm is the request with the form's user and password as Basic credentials.
func fromForm(x *exchange) (*http.Request, error) {
	r := x.r
	r.Body = http.MaxBytesReader(x.w, r.Body, maxTokenForm)
	if err := r.ParseForm(); err != nil {
		return nil, fault.Wrap(fault.RequestMalformed, err, "the form cannot be read")
	}
	switch grant := r.PostForm.Get("grant_type"); grant {
	case "":
		return r, nil
	case "password":
		filled := r.WithContext(r.Context())
		filled.Header = r.Header.Clone()
		filled.SetBasicAuth(r.PostForm.Get("username"), r.PostForm.Get("password"))
		return filled, nil
	default:
		return nil, fault.New(fault.RequestMalformed, "the registry knows no grant type %q, but password", clip(grant))
	}
}
