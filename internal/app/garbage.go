package app

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
)

// clockJump is how long all servers may have been at rest before the first one takes its time to look whether its clock is right.
const clockJump = 24 * time.Hour

// newGarbage makes the garbage collector.
func (a *App) newGarbage() *gc.Service {
	walker, _ := a.counted.(blob.Walker)
	return gc.New(gc.Config{
		Rows: a.database.Garbage(), Blobs: a.counted, Walker: walker, Now: a.deps.Now, MaxJump: clockJump,
		Grace: a.cfg.GCGrace, UploadTTL: a.cfg.UploadTTL, Rate: a.cfg.GCRate,
		May: a.registry.May, Wake: a.sweeping.Ring, Logger: a.deps.Logger,
	})
}
