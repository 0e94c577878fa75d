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
	account = "000000000042" // leading zeros stay
	region  = "us-east-1"
)

// server is the face over real principals in a real database, with clients of it.
type server struct {
	url       string
	service   awswire.Service
	access    *access.Service
	db        *metadb.DB
	directory *identity.Directory
	auth      *authn.Authenticator
	rootKey   aws.Credentials
	client    *awsiam.Client // of the root principal
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	db := metadbtest.New(tb)
	master, err := identity.GenerateMasterKey()
	if err != nil {
		tb.Fatalf("GenerateMasterKey: %v", err)
	}
	s := &server{db: db, directory: identity.NewDirectory(identity.Config{Store: db, Master: master, Account: account, Now: time.Now})}
	root, _, err := s.directory.EnsureRoot(tb.Context())
	if err != nil {
		tb.Fatalf("EnsureRoot: %v", err)
	}
	s.access = access.New(access.Config{Store: db.Access(), Directory: s.directory, Account: account, Region: region, Now: time.Now})
	s.service = iam.New(s.access)
	s.auth = authn.New(authn.Config{Directory: s.directory, Now: time.Now, Used: s.access.Used})
	handler, err := awswire.New(awswire.Config{Authenticator: s.auth, Services: []awswire.Service{s.service}})
	if err != nil {
		tb.Fatalf("awswire.New: %v", err)
	}
	listener := httptest.NewServer(handler)
	tb.Cleanup(listener.Close)
	s.url = listener.URL
	s.rootKey = aws.Credentials{AccessKeyID: root.ID, SecretAccessKey: root.Secret}
	s.client = s.connect(s.rootKey)
	return s
}

func (s *server) connect(key aws.Credentials) *awsiam.Client {
	return awsiam.New(awsiam.Options{
		BaseEndpoint: aws.String(s.url),
		Region:       region,
		Credentials:  credentials.StaticCredentialsProvider{Value: key},
		Retryer:      aws.NopRetryer{},
	})
}

// user makes a user who may do what the document says (nothing, where it is empty) and gives its key.
func (s *server) user(tb testing.TB, name, document string) aws.Credentials {
	tb.Helper()
	made, err := s.client.CreateUser(tb.Context(), &awsiam.CreateUserInput{UserName: aws.String(name)})
	if err != nil {
		tb.Fatalf("CreateUser(%s): %v", name, err)
	}
	key, sealed, err := s.directory.NewKey(identity.Caller{Account: account, ARN: *made.User.Arn, UserID: *made.User.UserId})
	if err != nil {
		tb.Fatalf("NewKey: %v", err)
	}
	err = s.db.Access().Update(tb.Context(), func(tx access.Tx) error {
		if document != "" {
			if err := tx.PutInlinePolicy(tb.Context(), *made.User.UserId, access.InlinePolicy{Name: "may", Document: document}); err != nil {
				return err
			}
		}
		return tx.InsertKey(tb.Context(), sealed)
	})
	if err != nil {
		tb.Fatalf("storing the key and policy of %s: %v", name, err)
	}
	return aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
}

// allow makes a document of one statement. Without resources it is about all.
func allow(actions string, resources ...string) string {
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	list := func(all []string) string { return `["` + strings.Join(all, `","`) + `"]` }
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + list(strings.Fields(actions)) + `,"Resource":` + list(resources) + `}]}`
}

// wantError checks an error's code and words, and that it is the SDK's own type where it has one.
func wantError(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	wantWords(t, what, err, code, words)
	if _, generic := errors.AsType[*smithy.GenericAPIError](err); generic && modelled(code) {
		t.Errorf("%s: %s arrived as no type of the SDK", what, code)
	}
}

// wantWords is wantError for an operation whose model leaves the error out: then the SDK has no type for it there.
func wantWords(t *testing.T, what string, err error, code, words string) {
	t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Errorf("%s: error %v, want %s", what, err, code)
		return
	}
	if api.ErrorCode() != code {
		t.Errorf("%s: %s (%s), want %s", what, api.ErrorCode(), api.ErrorMessage(), code)
	}
	if !strings.Contains(api.ErrorMessage(), words) {
		t.Errorf("%s: message\n got %s\nwant %s", what, api.ErrorMessage(), words)
	}
}

// modelled tells whether IAM's model has an error of that code.
func modelled(code string) bool {
	switch code {
	case "AccessDenied", "ValidationError", "UnsupportedOperation", "InvalidAction", "InvalidClientTokenId", "Throttling":
		return false
	}
	return true
}
