package app

import (
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

// openAccess makes what knows the account's principals.
func (a *App) openAccess(directory *identity.Directory) error {
	pinned := map[string][]byte{}
	for issuer, p := range a.cfg.OIDCProviders {
		if len(p.JWKS) > 0 {
			pinned[issuer] = p.JWKS
		}
	}
	verifier, err := oidc.New(oidc.Config{
		Now: a.deps.Now, Logger: a.deps.Logger, Pinned: pinned, Wrap: a.telemetry.Transport(false),
		AllowPrivate: func(issuer string) bool { return a.cfg.OIDCProviders[issuer].AllowPrivate },
	})
	if err != nil {
		return fmt.Errorf("preparing the OIDC providers of the settings file: %w", err)
	}
	a.access = access.New(access.Config{
		Store: a.database.Access(), Directory: directory, Account: a.cfg.Account, Region: a.cfg.Region, Now: a.deps.Now,
		Tokens: webIdentities{verifier}, Decided: middleware.NoteDecision,
	})
	return nil
}

// webIdentities gives the verifier the words of core/access.
type webIdentities struct{ verifier *oidc.Verifier }

// Issuer implements access.TokenVerifier.
func (w webIdentities) Issuer(token string) (string, error) { return oidc.Issuer(token) }

// Verify implements access.TokenVerifier.
func (w webIdentities) Verify(ctx context.Context, p access.Provider, token string) (access.Claims, error) {
	c, err := w.verifier.Verify(ctx, oidc.Provider{Issuer: p.Issuer, ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints}, token)
	if err != nil {
		return access.Claims{}, err
	}
	return access.Claims{
		Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, Values: c.Values,
		Tags: c.SessionTags, TransitiveTags: c.TransitiveTags, SourceIdentity: c.SourceIdentity,
	}, nil
}
