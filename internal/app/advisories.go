package app

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/remote/osv"
)

// openAdvisories makes the part that imports advisories.
func (a *App) openAdvisories() error {
	origin, err := a.advisoryOrigin()
	if err != nil {
		return err
	}
	rows := a.database.Advisories()
	a.advisories = scan.NewAdvisories(scan.AdvisoriesConfig{
		Registry: a.registry, Store: rows, Imports: rows, Origin: origin, Every: a.cfg.AdvisoriesEvery, Temp: a.cfg.Data, Now: a.deps.Now,
		Wake: a.toImport.Ring, Changed: a.toJudge.Ring,
	})
	return nil
}

// advisoryOrigin is where this server fetches advisories; nil: nowhere.
func (a *App) advisoryOrigin() (advisory.Origin, error) {
	at := a.cfg.Advisories
	switch {
	case at == "":
		return nil, nil //nolint:nilnil // there is none
	case at == config.OSV:
		at = osv.Public
	case !strings.Contains(at, "://"):
		return advisory.Dir{FS: os.DirFS(at), Name: at, Ecosystems: a.cfg.AdvisoriesEcosystems}, nil
	}
	mirror, err := osv.New(osv.Config{URL: at, Ecosystems: a.cfg.AdvisoriesEcosystems, Temp: a.cfg.Data, Wrap: a.telemetry.Transport(false)})
	if err != nil {
		return nil, fmt.Errorf("advisories: %w", err)
	}
	a.remotes = append(a.remotes, mirror)
	return mirror, nil
}

func (a *App) advisoryJobs() []jobs.Job {
	return []jobs.Job{
		{Name: "advisories", Every: lookAgain, Wake: a.toImport.C(), Do: a.advisories.Once},
		{Name: "old advisories", Every: 10 * time.Minute, Do: a.advisories.PruneOnce},
	}
}
