package access_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const houseAccount = "000123456789" // leading zeros stay

// house is an account on a real database, with a clock that the test moves.
type house struct {
	*access.Service
	t         *testing.T
	db        *metadb.DB
	master    identity.MasterKey
	directory *identity.Directory
	root      identity.Caller

	mu   sync.Mutex
	time time.Time
}

// eachHouse runs a test on each kind of database.
func eachHouse(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newHouse(t, db))
	})
}

func newHouse(t *testing.T, db *metadb.DB) *house {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, db: db, master: master, time: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	h.Service, h.directory = h.replica(db.Access())
	key, _, err := h.directory.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.root = key.Principal
	return h
}

// replica is another server on the same database.
func (h *house) replica(store access.Store) (*access.Service, *identity.Directory) {
	directory := identity.NewDirectory(identity.Config{Store: h.db, Master: h.master, Account: houseAccount, Now: h.now})
	return access.New(access.Config{Store: store, Directory: directory, Account: houseAccount, Region: "us-east-1", Now: h.now}), directory
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *house) sleep(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

// user makes a user who may do what the documents say, and gives it as the caller that its key makes it.
func (h *house) user(name string, documents ...string) identity.Caller {
	h.t.Helper()
	p, err := h.CreateUser(h.t.Context(), h.root, access.NewUser{Name: name})
	h.ok("CreateUser", err)
	for i, d := range documents {
		h.grant(p.ID, "p"+string(rune('a'+i)), d)
	}
	_, key, err := h.CreateAccessKey(h.t.Context(), h.root, name)
	h.ok("CreateAccessKey", err)
	return h.caller(key.ID)
}

// caller is whom a key stands for.
func (h *house) caller(keyID string) identity.Caller {
	h.t.Helper()
	key, err := h.directory.AccessKey(h.t.Context(), keyID)
	h.ok("finding key "+keyID, err)
	return key.Principal
}

// grant puts an inline policy on a principal.
func (h *house) grant(id, name, document string) {
	h.t.Helper()
	h.write(func(ctx context.Context, tx access.Tx) error {
		return tx.PutInlinePolicy(ctx, id, access.InlinePolicy{Name: name, Document: document})
	})
	h.sleep(time.Minute) // past what is remembered
}

// write puts something into the database that no operation of this file's does.
func (h *house) write(f func(ctx context.Context, tx access.Tx) error) {
	h.t.Helper()
	h.ok("writing", h.db.Access().Update(h.t.Context(), func(tx access.Tx) error { return f(h.t.Context(), tx) }))
}

func (h *house) ok(what string, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
}

// wantCode checks an error's code and words.
func wantCode(t *testing.T, what string, err error, code fault.Code, words string) {
	t.Helper()
	if !errors.Is(err, code) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: error %v, want %q with %q", what, err, code, words)
	}
}

// statement makes a document of one statement about every resource, or those given.
func statement(effect, actions string, resources ...string) string {
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	quoted := func(all []string) string { return `["` + strings.Join(all, `","`) + `"]` }
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":` + quoted(strings.Fields(actions)) + `,"Resource":` + quoted(resources) + `}]}`
}

func iamARN(rest string) string { return "arn:aws:iam::" + houseAccount + ":" + rest }
