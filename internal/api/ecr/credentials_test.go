package ecr_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// userARN is the principal that is allowed nothing.
const userARN = "arn:aws:iam::" + account + ":user/passer-by"

// authenticator makes two access keys, the root principal's and one of a user who is allowed nothing, and
// what verifies them.
func (s *server) authenticator(tb testing.TB, store identity.Store) *authn.Authenticator {
	tb.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		tb.Fatalf("GenerateMasterKey: %v", err)
	}
	newKey := func(store identity.Store) (*identity.Directory, aws.Credentials) {
		tb.Helper()
		d := identity.NewDirectory(identity.Config{Store: store, Master: master, Account: account, Now: time.Now})
		key, _, err := d.EnsureRoot(tb.Context())
		if err != nil {
			tb.Fatalf("EnsureRoot: %v", err)
		}
		return d, aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	}
	directory, root := newKey(store)
	_, low := newKey(demoting{store})
	s.rootKey, s.lowKey = root, low
	return authn.New(authn.Config{Directory: directory, Now: time.Now})
}

// demoting stores every key as that of a plain user, since nothing in the product makes such keys yet.
type demoting struct{ identity.Store }

func (demoting) RootAccessKeys(context.Context) ([]identity.SealedKey, error) { return nil, nil }

func (d demoting) InsertAccessKey(ctx context.Context, key identity.SealedKey) error {
	key.PrincipalARN, key.UserID, key.Root = userARN, "AIDAPASSERBY", false
	return d.Store.InsertAccessKey(ctx, key)
}
