package app

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// openAlarms makes the part that watches metrics.
func (a *App) openAlarms() {
	a.toWatch = jobs.NewBell()
	a.alarms = alarm.New(alarm.Config{
		Registry: a.registry, Region: a.cfg.Region, Rows: a.database.Alarms(), Points: a.usage, Known: a.notices.KnownTopic, Now: a.deps.Now,
		Notify: a.outbox.Ring, Wake: a.toWatch.Ring,
	})
}

func (a *App) alarmJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "alarms", Every: lookAgain, Wake: a.toWatch.C(), Do: a.alarms.EvaluateOnce},
		{Name: "old alarm history", Every: time.Hour, Do: a.alarms.PruneOnce},
	}
}
