package metadb_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		key := func(id string, root bool, age time.Duration) identity.SealedKey {
			return identity.SealedKey{
				ID: id, SealedSecret: []byte("sealed \x00\xff " + id), PrincipalARN: "arn:" + id, UserID: "user " + id,
				Root: root, CreatedAt: noon().Add(-age), Active: id != "AKIAOLD",
			}
		}
		newer, older, users := key("AKIANEW", true, 0), key("AKIAOLD", true, time.Hour), key("AKIAUSER", false, 2*time.Hour)
		for _, k := range []identity.SealedKey{newer, older, users} {
			if err := db.InsertAccessKey(t.Context(), k); err != nil {
				t.Fatalf("InsertAccessKey: %v", err)
			}
			got, err := db.AccessKey(t.Context(), k.ID)
			want(t, "AccessKey", got, err, k)
		}
		if err := db.InsertAccessKey(t.Context(), newer); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("InsertAccessKey of an id that is taken: %v, want ErrConflict", err)
		}
		if _, err := db.AccessKey(t.Context(), "AKIANONE"); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("AccessKey of none: %v, want ErrNotFound", err)
		}
		keys, err := db.RootAccessKeys(t.Context())
		want(t, "RootAccessKeys", keys, err, []identity.SealedKey{older, newer})
	})
}

func TestReplicasAgreeOnASecret(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const replicas = 16
		got := make([]string, replicas)
		var all sync.WaitGroup
		for i := range replicas {
			all.Go(func() {
				secret, err := db.Secret(t.Context(), "token-key", fmt.Appendf(nil, "of replica %d", i))
				if err != nil {
					t.Errorf("Secret: %v", err)
				}
				got[i] = string(secret)
			})
		}
		all.Wait()
		for i := range got {
			if got[i] != got[0] || got[i] == "" {
				t.Fatalf("Secret gave replica %d %q, and replica 0 %q", i, got[i], got[0])
			}
		}
		secret, err := db.Secret(t.Context(), "another", []byte("\x00\xff"))
		want(t, "Secret of another name", string(secret), err, "\x00\xff")
	})
}
