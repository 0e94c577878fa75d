package app

import (
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// lookAgain is how often a job looks for what other replicas, or a crash, have left it.
const lookAgain = 5 * time.Second

// scrubAgain is how often a process looks whether a scrub is due, or was left by another one.
const scrubAgain = time.Minute

// gatherEvents lets the pushes of a moment share the transactions that hand on their events.
const gatherEvents = 50 * time.Millisecond

// jobs lists the background work.
func (a *App) jobs() []jobs.Job {
	dispatcher := event.Dispatcher{Outbox: a.database.Outbox(), Handlers: a.countedHandlers(), Now: a.deps.Now}
	return slices.Concat(
		[]jobs.Job{
			{Name: "outbox", Every: lookAgain, Wake: a.outbox.C(), Gather: gatherEvents, Do: dispatcher.Once},
			{Name: "lifecycle previews", Every: lookAgain, Wake: a.previews.C(), Do: a.lifecycle.PreviewOnce},
			{Name: "lifecycle policies", Every: lookAgain, Do: a.lifecycle.ApplyOnce},
			{Name: "master key", Every: lookAgain, Do: a.directory.FollowMasterKey},
			{Name: "garbage", Every: lookAgain, Wake: a.sweeping.C(), Do: a.garbage.SweepOnce},
			{Name: "stray bytes", Every: time.Minute, Do: a.garbage.WalkOnce},
			{Name: "signing", Every: lookAgain, Wake: a.signing.C(), Do: a.signer.Once},
		},
		a.replicationJobs(),
		a.fsckJobs(),
		a.exceptionJobs(),
		a.advisoryJobs(),
		a.scanJobs(),
		a.noticeJobs(),
		a.alarmJobs(),
		a.usageJobs(),
		a.auditJobs(),
		a.eventJobs(),
		a.costJobs(),
	)
}

// handlers lists the parts that want to know what happened.
func (a *App) handlers() map[string]event.Handler {
	handlers := map[string]event.Handler{
		"lifecycle":    a.lifecycle,
		"signing":      a.signer,
		"exceptions":   a.vex,
		"scans":        a.scans,
		"sboms":        a.sboms,
		"replication":  a.replication,
		"pull-through": a.caches,
		"notices":      a.notices,
		"usage":        a.usage,
		"feed":         a.events,
	}
	if a.itself != nil {
		handlers["audit"] = a.itself
	}
	return handlers
}
