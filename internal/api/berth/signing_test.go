package berth_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

const profile = "arn:aws:signer:us-east-1:000000000042:/signing-profiles/release"

func newSigner(t *testing.T, db *metadb.DB, r *registry.Registry, now func() time.Time) *signing.Signer {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return signing.New(signing.Config{Registry: r, Store: db, Keys: db.Signing(), Work: db.Signing(), Master: master, Host: "registry.test", Now: now})
}

func TestGetSigningPublicKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.signer.PutConfiguration(t.Context(), s.root, signing.Configuration{Rules: []signing.Rule{{Profile: profile}}}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, name := range []string{"release", profile} {
		status, body := s.call(t.Context(), t, "GetSigningPublicKey", "root", `{"signingProfile":"`+name+`"}`)
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got["signingProfileArn"] != profile || len(got) != 2 {
			t.Fatalf("GetSigningPublicKey(%s): %d %s (%v)", name, status, body, err)
		}
		keys = append(keys, got["publicKey"])
	}
	block, _ := pem.Decode([]byte(keys[0]))
	if block == nil || keys[0] != keys[1] {
		t.Fatalf("the keys are %q", keys)
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		t.Error(err)
	} else if k, ok := key.(*ecdsa.PublicKey); !ok || k.Curve.Params().Name != "P-256" {
		t.Errorf("the key is %T", key)
	}
	for _, c := range []struct{ who, body, code, words string }{
		{"root", `{}`, "InvalidParameterException", "'signingProfile'"},
		{"root", `{"signingProfile":"nightly"}`, "InvalidParameterException", "'signingProfile'"},
		{"user", `{"signingProfile":"release"}`, "AccessDeniedException", "ecr:GetSigningConfiguration on resource: *"},
	} {
		status, body := s.call(t.Context(), t, "GetSigningPublicKey", c.who, c.body)
		if status != http.StatusBadRequest || !strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.words) {
			t.Errorf("GetSigningPublicKey(%s) by %s: %d %s\nwant 400 %s about %s", c.body, c.who, status, body, c.code, c.words)
		}
	}
}
