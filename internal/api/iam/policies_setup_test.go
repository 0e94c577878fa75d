package iam_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/iam"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	bureauAccount = "000000000042"
	bureauARN     = "arn:aws:iam::" + bureauAccount + ":"
	pullOnlyARN   = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"
)

// bureau is the face over real principals in a real database.
type bureau struct {
	tb        testing.TB
	url       string
	db        *metadb.DB
	directory *identity.Directory
	auth      *authn.Authenticator
	access    *access.Service
	client    *awsiam.Client // of the root principal
}

func newBureau(tb testing.TB) *bureau {
	tb.Helper()
	b := &bureau{tb: tb, db: metadbtest.New(tb)}
	master, err := identity.GenerateMasterKey()
	if err != nil {
		tb.Fatal(err)
	}
	b.directory = identity.NewDirectory(identity.Config{Store: b.db, Master: master, Account: bureauAccount, Now: time.Now})
	root, _, err := b.directory.EnsureRoot(tb.Context())
	if err != nil {
		tb.Fatalf("EnsureRoot: %v", err)
	}
	b.access = access.New(access.Config{Store: b.db.Access(), Directory: b.directory, Account: bureauAccount, Region: "us-east-1", Now: time.Now})
	b.auth = authn.New(authn.Config{Directory: b.directory, Now: time.Now})
	handler, err := awswire.New(awswire.Config{Authenticator: b.auth, Services: []awswire.Service{iam.New(b.access)}})
	if err != nil {
		tb.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(handler)
	tb.Cleanup(listener.Close)
	b.url = listener.URL
	b.client = b.connect(root.ID, root.Secret)
	return b
}

func (b *bureau) connect(id, secret string) *awsiam.Client {
	return awsiam.New(awsiam.Options{
		BaseEndpoint: aws.String(b.url), Region: "us-east-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
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

// refused checks an error's code and words.
func refused(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("%s:\n got %v\nwant %s: %s", what, err, code, words)
	}
}

const (
	trustRoot = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + bureauARN + `root"},"Action":"sts:AssumeRole"}]}`
	allowECR  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
)
