package gc

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// settingPaused holds a Pause while the collector is paused.
const settingPaused registry.SettingName = "gc.paused"

// Pause says who stopped the collector, on all replicas, and since when.
type Pause struct {
	By string // an ARN
	At time.Time
}

// paused gives the pause, or nil.
func (s *Service) paused(ctx context.Context) (*Pause, error) {
	var p Pause
	there, err := registry.ReadSetting(ctx, s.Rows, settingPaused, &p)
	if err != nil || !there || p.At.IsZero() {
		return nil, err
	}
	return &p, nil
}
