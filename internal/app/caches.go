package app

import (
	"fmt"
	"os"

	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
)

// openCaches makes the pull-through cache. It ends before what it stores into is closed.
func (a *App) openCaches() {
	secrets := make(map[string]pullthrough.Credentials, len(a.cfg.Secrets))
	for name, s := range a.cfg.Secrets {
		secrets[name] = pullthrough.Credentials{Username: s.Username, Password: s.AccessToken}
	}
	a.upstreams = ociclient.New(ociclient.Config{Now: a.deps.Now})
	a.caches = pullthrough.New(pullthrough.Config{
		Registry: a.registry, Store: a.database.PullThrough(), Upstream: a.upstreams,
		Spool:   func() (pullthrough.Spool, error) { return spool(a.cfg.Data) },
		Secrets: secrets, Now: a.deps.Now, Logger: a.deps.Logger, Tell: a.tell,
	})
}

// spoolFile is a file that nobody else sees. Where the system lets it, its name goes at once, so that a crash leaves
// nothing behind.
type spoolFile struct{ *os.File }

func spool(dir string) (pullthrough.Spool, error) {
	f, err := os.CreateTemp(dir, "layer-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("making a temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // on Windows the file is in use, and goes when it is closed
	return spoolFile{f}, nil
}

// Close gives the file's room back.
func (s spoolFile) Close() error {
	err := s.File.Close()
	_ = os.Remove(s.Name())
	return err
}
