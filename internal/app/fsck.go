package app

import (
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// newFsck makes the part that checks what is stored.
func (a *App) newFsck() *fsck.Service {
	rows := a.database.Checks()
	return fsck.New(fsck.Config{
		Registry: a.registry, Checks: rows, Contents: rows, Repairs: rows, Blobs: a.counted, Now: a.deps.Now, Logger: a.deps.Logger,
		Notify: a.toCheck.Ring, Self: identity.Service(a.cfg.Account, "scrub"), ScrubPeriod: a.cfg.ScrubPeriod, ScrubRate: a.cfg.ScrubRate,
	})
}

// fsckJobs are apart, so that a check that somebody waits for does not wait for the scrub.
func (a *App) fsckJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "check", Every: lookAgain, Wake: a.toCheck.C(), Do: a.fsck.Once},
		{Name: "scrub", Every: scrubAgain, Do: a.fsck.ScrubOnce},
	}
}
