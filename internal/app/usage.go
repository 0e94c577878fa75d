package app

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// newUsage makes the part that counts.
func (a *App) newUsage() *usage.Service {
	rows := a.database.Usage()
	return usage.New(usage.Config{
		Registry: a.registry, Store: rows, Upkeep: rows, Images: rows, Gauging: rows, Now: a.deps.Now,
		Keep: usage.Keep{Minutes: a.cfg.UsageKeepMinutes, Hours: a.cfg.UsageKeepHours, Days: a.cfg.UsageKeepDays},
	})
}

func (a *App) usageJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "usage hours", Every: time.Minute, Do: a.usage.RollUpOnce},
		{Name: "gauges", Every: time.Minute, Do: a.usage.GaugeOnce},
		{Name: "old usage", Every: time.Minute, Do: a.usage.ForgetOnce},
	}
}
