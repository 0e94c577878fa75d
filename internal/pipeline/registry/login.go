package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// spare is how long before its end a token is used no more, at most a quarter of its life: a request that begins with it
// must be over by then.
const spare = 10 * time.Minute

// login gives go-containerregistry the token, for each request the one that holds then.
type login struct {
	ecr *ecr.Client
	now func() time.Time

	mu    sync.Mutex // held while a token is asked for, so that one is enough for all
	kept  platform.Token
	until time.Time
}

// token gives the token, and asks for another one where it is about to end.
func (l *login) token(ctx context.Context) (platform.Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if now.Before(l.until) {
		return l.kept, nil
	}
	t, err := platform.Authorize(ctx, l.ecr)
	if err != nil {
		return platform.Token{}, fmt.Errorf("asking for an authorization token: %w", platform.Plain(err))
	}
	l.kept, l.until = t, t.Expires.Add(-min(spare, t.Expires.Sub(now)/4))
	return t, nil
}

// Authorization gives user and password.
func (l *login) Authorization() (*authn.AuthConfig, error) {
	return l.AuthorizationContext(context.Background())
}

// AuthorizationContext gives user and password.
func (l *login) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	t, err := l.token(ctx)
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: t.Username, Password: t.Secret}, nil
}
