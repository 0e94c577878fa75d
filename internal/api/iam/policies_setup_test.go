package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	bureauAccount = account
	bureauARN     = "arn:aws:iam::" + bureauAccount + ":"
	pullOnlyARN   = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
)

// bureau is the server, with what tests of policies put there by hand.
type bureau struct {
	*server
	tb testing.TB
}

func newBureau(tb testing.TB) *bureau {
	tb.Helper()
	return &bureau{server: newServer(tb), tb: tb}
}

// person puts a user or a group there, and gives its unique id.
func (b *bureau) person(kind access.Kind, name string) string {
	b.tb.Helper()
	id := map[access.Kind]string{access.User: "AIDA", access.Group: "AGPA"}[kind] + strings.ToUpper(strings.Repeat(name, 17))[:17]
	err := b.db.Access().Update(b.tb.Context(), func(tx access.Tx) error {
		return tx.InsertPrincipal(b.tb.Context(), access.Principal{
			ID: id, Kind: kind, Name: name, Path: "/", ARN: bureauARN + string(kind) + "/" + name, CreatedAt: time.UnixMilli(1),
		})
	})
	if err != nil {
		b.tb.Fatalf("adding %s %s: %v", kind, name, err)
	}
	return id
}

// key gives a user an access key.
func (b *bureau) key(id, name string) identity.AccessKey {
	b.tb.Helper()
	key, sealed, err := b.directory.NewKey(identity.Caller{Account: bureauAccount, ARN: bureauARN + "user/" + name, UserID: id})
	if err != nil {
		b.tb.Fatalf("NewKey: %v", err)
	}
	err = b.db.Access().Update(b.tb.Context(), func(tx access.Tx) error { return tx.InsertKey(b.tb.Context(), sealed) })
	if err != nil {
		b.tb.Fatalf("storing a key of %s: %v", name, err)
	}
	return key
}

func (b *bureau) must(what string, err error) {
	b.tb.Helper()
	if err != nil {
		b.tb.Fatalf("%s: %v", what, err)
	}
}

const (
	trustRoot = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + bureauARN + `root"},"Action":"sts:AssumeRole"}]}`
	allowECR  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
)
