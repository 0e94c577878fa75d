package app

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// expireAgain is how often a process looks for exceptions that have expired. They do not hold from the moment on, whenever it is told.
const expireAgain = 15 * time.Second

// newExceptions makes the part that reads what documents say of findings.
func (a *App) newExceptions() *scan.Exceptions {
	return scan.NewExceptions(scan.ExceptionsConfig{
		Registry: a.registry, Store: a.database, Rows: a.database.ScanExceptions(), Now: a.deps.Now, Notify: a.outbox.Ring,
	})
}

func (a *App) exceptionJobs() []jobs.Job {
	return []jobs.Job{{Name: "exceptions", Every: expireAgain, Do: a.vex.ExpireOnce}}
}

// exposures tells the registry of images' findings. The part that knows them is made after it.
type exposures struct{ app *App }

// Exposure implements registry.Exposures.
func (e exposures) Exposure(ctx context.Context, repo registry.Repository, img registry.Image) (registry.Exposure, error) {
	return e.app.scans.Exposure(ctx, repo, img)
}
