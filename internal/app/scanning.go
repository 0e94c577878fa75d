package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// openExtractor makes what reads layers, where this program can be started again for it. A registry serves without, and every scan says
// that there is no scanner.
func (a *App) openExtractor() {
	if !a.deps.Scanner {
		return
	}
	x, err := extract.New(extract.Config{TempDir: a.cfg.Data, Concurrency: a.cfg.ScanWorkers})
	if err != nil {
		a.deps.Logger.Warn("images cannot be scanned here", slog.Any("error", err))
		return
	}
	a.extractor = x
}

// newScans makes the part that knows what images have installed, and what is known against it.
func (a *App) newScans() *scan.Service {
	rows, reads := a.database.Judging(), a.database.ScanReports()
	a.judge = scan.NewJudge(scan.JudgeConfig{
		Store: rows, Actor: identity.Service(a.registry.ID(), "scan"), Now: a.deps.Now, Notify: a.toTell.Ring,
	})
	c := scan.Config{
		Registry: a.registry, Store: a.database, Work: a.database.Scans(), Layers: rows, Saver: a.judge, Inventory: rows, Names: rows,
		Advisories: reads, Reads: reads, Exceptions: a.database.ScanExceptions(), Now: a.deps.Now,
		Notify: a.toScan.Ring, Told: a.outbox.Ring, Read: a.deps.BlobScanned, Logger: a.deps.Logger,
	}
	c.Claims = a.claims
	if a.extractor != nil { // a nil pointer in an interface is none
		c.Extractor = a.telemetry.Extractor(a.extractor)
	}
	return scan.New(c)
}

func (a *App) scanJobs() []jobs.Job {
	all := []jobs.Job{
		{Name: "judgements", Every: lookAgain, Wake: a.toJudge.C(), Do: a.judge.JudgeOnce},
		{Name: "finding events", Every: lookAgain, Wake: a.toTell.C(), Do: a.judge.TellOnce},
		{Name: "old inventories", Every: 10 * time.Minute, Do: a.judge.CleanOnce},
	}
	if a.extractor == nil {
		return all
	}
	all = append(all, jobs.Job{Name: "scan requests", Every: lookAgain, Wake: a.toRequest.C(), Do: a.scans.RequestOnce})
	all = append(all, jobs.Job{Name: "outdated inventories", Every: time.Minute, Do: a.scans.RenewOnce})
	for i := range a.cfg.ScanWorkers {
		all = append(all, jobs.Job{Name: fmt.Sprintf("scans %d", i+1), Every: lookAgain, Wake: a.toScan.C(), Do: a.scans.ScanOnce})
	}
	return all
}

// scanWanted wakes whoever scans, and whoever asks for scans of images that were there.
func (a *App) scanWanted() {
	a.toScan.Ring()
	a.toRequest.Ring()
}

// exposures tells the registry of what its own scans have found: the part that knows is made after it.
type exposures struct{ app *App }

// Exposure implements registry.Exposures.
func (e exposures) Exposure(ctx context.Context, repo registry.Repository, img registry.Image) (registry.Exposure, error) {
	return e.app.scans.Exposure(ctx, repo, img)
}
