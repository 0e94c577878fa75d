// Package oidcprovider_test has a whole OpenID provider sign somebody in, and Berth verify the token: an implementation
// that shares neither authors nor code with the ones that the other tests use.
//
// It is a module of its own, so that Berth's does not require what the provider does. Run it here: go test .
package oidcprovider_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

const callback = "http://localhost:9999/auth/callback"

func TestProvider(t *testing.T) {
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	issuer := server.URL
	storage.RegisterClients(storage.WebClient("web", "secret"))
	handler = exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), nil, false, op.WithAllowInsecure())

	token := signIn(t, issuer)
	now := time.Now()
	v, err := oidc.New(oidc.Config{Now: func() time.Time { return now }, AllowPrivate: func(i string) bool { return i == issuer }})
	if err != nil {
		t.Fatal(err)
	}
	if iss, err := oidc.Issuer(token); err != nil || iss != issuer {
		t.Errorf("Issuer = %q, %v", iss, err)
	}
	trusted := oidc.Provider{Issuer: issuer, ClientIDs: []string{"web"}}
	claims, err := v.Verify(t.Context(), trusted, token)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "id2" || claims.Audience != "web" || claims.Issuer != issuer || !claims.Expires.After(now) {
		t.Errorf("the claims are %+v", claims)
	}

	other := oidc.Provider{Issuer: issuer, ClientIDs: []string{"api"}}
	if _, err := v.Verify(t.Context(), other, token); !errors.Is(err, fault.IdentityTokenInvalid) {
		t.Errorf("for another client: %v", err)
	}
	parts := strings.Split(token, ".")
	changed := parts[0] + "." + strings.ToUpper(parts[1][:4]) + parts[1][4:] + "." + parts[2]
	if _, err := v.Verify(t.Context(), trusted, changed); !errors.Is(err, fault.IdentityTokenInvalid) {
		t.Errorf("changed: %v", err)
	}
	now = claims.Expires
	if _, err := v.Verify(t.Context(), trusted, token); !errors.Is(err, fault.IdentityTokenExpired) {
		t.Errorf("at its end: %v", err)
	}
}

// signIn goes through the provider's page and gives the ID token.
func signIn(t *testing.T, issuer string) string {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	var at struct {
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	res, err := client.Get(issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(res.Body).Decode(&at); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	res, err = client.Get(at.Authorize + "?" + url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {callback}, "state": {"x"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	form := url.Values{"id": {res.Request.URL.Query().Get("authRequestID")}, "username": {"test-user2"}, "password": {"verysecure"}}
	if res, err = client.PostForm(issuer+"/login/username", form); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	back, err := res.Location()
	if err != nil {
		t.Fatalf("signing in ended at %s: %v", res.Request.URL, err)
	}
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.Token, strings.NewReader(exchange.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("web", "secret")
	if res, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.IDToken == "" {
		t.Fatalf("the provider answered %s: %v", res.Status, err)
	}
	return answer.IDToken
}
