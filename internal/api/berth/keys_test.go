package berth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

func newKeys(t *testing.T, db *metadb.DB, now func() time.Time) *identity.Directory {
	t.Helper()
	master, err := identity.ParseMasterKey(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	d := identity.NewDirectory(identity.Config{Store: db, Vault: db.Vault(), Master: master, Account: account, Now: now})
	if _, _, err := d.EnsureRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, err := s.keys.TokenKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	master, err := identity.ParseMasterKey(strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		operation, who, body string
		status               int
		words                string
	}{
		{"RotateMasterKey", "user", `{}`, http.StatusBadRequest, "berth:RotateMasterKey on resource: *"},
		{"RotateTokenKey", "user", `{}`, http.StatusBadRequest, "berth:RotateTokenKey on resource: *"},
		{"RotateMasterKey", "root", `{"masterKeyId":"01020304"}`, http.StatusBadRequest, `"__type":"InvalidParameterException"`},
		// The root key, the token key, and what says which master key seals.
		{"RotateMasterKey", "root", `{}`, http.StatusOK, `{"inUse":[{"known":true,"masterKeyId":"` + master.ID() + `","secrets":3}],"masterKeyId":"` + master.ID() + `","rewrapped":0}`},
		{"RotateTokenKey", "root", `{}`, http.StatusOK, `{"olderKeyIds":[0],"revokedKeyIds":[],"tokenKeyId":1}`},
		{"RotateTokenKey", "root", `{"revokeNow":true}`, http.StatusOK, `{"olderKeyIds":[],"revokedKeyIds":[1,0],"tokenKeyId":2}`},
	} {
		status, body := s.call(t.Context(), t, c.operation, c.who, c.body)
		if status != c.status || !strings.Contains(body, c.words) {
			t.Errorf("%s(%s) by %s: %d %s\nwant %d with %s", c.operation, c.body, c.who, status, body, c.status, c.words)
		}
	}
}
