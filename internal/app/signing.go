package app

import "github.com/hoopstat-haus/berth/internal/core/signing"

// newSigner makes the part that signs images. It needs to know how clients call this server.
func (a *App) newSigner() *signing.Signer {
	rows := a.database.Signing()
	return signing.New(signing.Config{
		Registry: a.registry, Store: a.database, Keys: rows, Work: rows, Master: a.master,
		Host: a.url.Host, Now: a.deps.Now, Notify: a.signing.Ring,
	})
}
