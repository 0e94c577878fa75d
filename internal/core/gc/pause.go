package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// The permissions that the operations ask for, on the registry as a whole.
const (
	actionGet     policy.Action = "berth:GetGarbageCollection"
	actionStart   policy.Action = "berth:StartGarbageCollection"
	actionPause   policy.Action = "berth:PauseGarbageCollection"
	actionResume  policy.Action = "berth:ResumeGarbageCollection"
	actionList    policy.Action = "berth:ListGarbage"
	actionExplain policy.Action = "berth:ExplainDigest"
)

// settingPaused holds a Pause. Its zero value says that the collector is not paused.
const settingPaused registry.SettingName = "gc.paused"

// maxTries is how often a setting is changed anew that somebody else was changing at the same time.
const maxTries = 20

// Pause says who stopped the collector, on all replicas, and since when.
type Pause struct {
	By string // an ARN
	At time.Time
}

func (s *Service) may(ctx context.Context, caller identity.Caller, action policy.Action) error {
	if s.May == nil {
		return fault.New(fault.AccessDenied, "nobody is authorized to perform: %s", action)
	}
	return s.May(ctx, caller, action, "")
}

// paused gives the pause, or nil.
func (s *Service) paused(ctx context.Context) (*Pause, error) {
	p, _, err := s.readPause(ctx)
	return p, err
}

func (s *Service) readPause(ctx context.Context) (p *Pause, body string, err error) {
	body, err = s.Rows.Setting(ctx, settingPaused)
	if errors.Is(err, registry.ErrNoRow) {
		return nil, "", nil
	}
	p = &Pause{}
	if err == nil {
		err = json.Unmarshal([]byte(body), p)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading whether the garbage collector is paused: %w", err)
	}
	if p.At.IsZero() {
		return nil, body, nil
	}
	return p, body, nil
}

// Pause stops the sweep and the walk on all replicas, within the batch that each is at, until Resume (berth:PauseGarbageCollection).
// What is deleted stays due. A pause that there is stays as it is.
func (s *Service) Pause(ctx context.Context, caller identity.Caller) (Pause, error) {
	if err := s.may(ctx, caller, actionPause); err != nil {
		return Pause{}, err
	}
	p, _, err := s.setPause(ctx, func(old *Pause) *Pause {
		if old != nil {
			return old
		}
		return &Pause{By: caller.ARN, At: s.Now()}
	})
	if err != nil {
		return Pause{}, err
	}
	return *p, nil
}

// Resume ends a pause and tells which, or nil where there was none (berth:ResumeGarbageCollection).
func (s *Service) Resume(ctx context.Context, caller identity.Caller) (*Pause, error) {
	if err := s.may(ctx, caller, actionResume); err != nil {
		return nil, err
	}
	_, was, err := s.setPause(ctx, func(*Pause) *Pause { return nil })
	if err == nil {
		s.Wake()
	}
	return was, err
}

// setPause changes the pause to what change makes of it.
func (s *Service) setPause(ctx context.Context, change func(*Pause) *Pause) (now, was *Pause, err error) {
	for range maxTries {
		old, body, err := s.readPause(ctx)
		if err != nil {
			return nil, nil, err
		}
		p := change(old)
		if p == old {
			return p, old, nil
		}
		var stored Pause
		if p != nil {
			stored = *p
		}
		to, err := json.Marshal(stored)
		if err != nil {
			return nil, nil, err
		}
		swapped, err := s.Rows.SwapSetting(ctx, settingPaused, body, string(to), s.Now())
		if err != nil {
			return nil, nil, fmt.Errorf("pausing the garbage collector: %w", err)
		}
		if swapped {
			return p, old, nil
		}
	}
	return nil, nil, fault.New(fault.Unavailable, "Others are pausing and resuming the garbage collector at the same time")
}
