package app

import (
	"time"

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
