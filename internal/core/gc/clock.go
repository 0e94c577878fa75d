package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// What goes, goes by the clock: a clock that is a week ahead empties the trash. So a replica notes now and then what time it is, and one
// whose clock is far ahead of what was noted last removes nothing. Either others note the time meanwhile, and it goes on so; or
// nobody does, and after a while in which a clock that is wrong at the start of a machine is set right, it takes it that all were
// at rest. A clock that goes back removes nothing, and needs no guard.
const (
	// noteTimeEvery is how often the time is noted. It must be well below jumpWait.
	noteTimeEvery = 5 * time.Minute
	// lookAtClock is how often a replica compares.
	lookAtClock = time.Minute
	// jumpWait is how long a replica waits whose clock is ahead of the last note.
	jumpWait = 15 * time.Minute
)

// settingClock holds a noted time.
const settingClock registry.SettingName = "gc.clock"

// clockStage is the name under which it is noted that a replica's clock is ahead.
const clockStage = "clock"

type notedTime struct{ At time.Time }

// clockGuard is what a replica remembers of the clock.
type clockGuard struct {
	looked  time.Time // when it was found to be right
	ahead   time.Time // the note that the clock is ahead of
	noticed time.Time // since when
}

// clockHolds tells whether nothing may be removed since the clock may be wrong. When that begins, the answer is an error that says so.
func (s *Service) clockHolds(ctx context.Context) (holds bool, err error) {
	now := s.Now()
	if s.MaxJump <= 0 || s.clockWasRight(now) {
		return false, nil
	}
	body, err := s.Rows.Setting(ctx, settingClock)
	if err != nil && !errors.Is(err, registry.ErrNoRow) {
		return false, fmt.Errorf("reading the time of the last sweep: %w", err)
	}
	var last notedTime
	if err == nil {
		if err := json.Unmarshal([]byte(body), &last); err != nil {
			return false, fmt.Errorf("reading the time of the last sweep: %w", err)
		}
	}
	ahead := now.Sub(last.At)
	if body != "" && ahead > s.MaxJump {
		until, first := s.clockIsAhead(last.At, now)
		if first {
			err := fmt.Errorf("the clock says %s, and garbage was last looked at at %s: nothing is removed before %s, nor while other servers say otherwise",
				now.Format(time.RFC3339), last.At.Format(time.RFC3339), until.Format(time.RFC3339))
			came := outcomes{}
			came.add(clockStage, true, err, last.At) // by the clock of those who know better, who do not forget it at once
			return true, errors.Join(err, s.note(ctx, came))
		}
		if now.Before(until) {
			return true, nil
		}
	}
	if body == "" || ahead >= noteTimeEvery || ahead < -s.MaxJump {
		to, err := json.Marshal(notedTime{now})
		if err == nil {
			_, err = s.Rows.SwapSetting(ctx, settingClock, body, string(to), now) // or another replica has noted it
		}
		if err != nil {
			return false, fmt.Errorf("noting the time: %w", err)
		}
	}
	s.mu.Lock()
	s.clock = clockGuard{looked: now}
	s.mu.Unlock()
	return false, s.note(ctx, outcomes{clockStage: nil})
}

// clockWasRight a moment ago, and has not moved since.
func (s *Service) clockWasRight(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := now.Sub(s.clock.looked)
	return !s.clock.looked.IsZero() && since >= 0 && since < lookAtClock
}

// clockIsAhead of a note. It tells until when to wait, and whether that is news: if somebody has noted another time meanwhile, the
// wait begins anew.
func (s *Service) clockIsAhead(of, now time.Time) (until time.Time, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.clock.ahead.Equal(of) || now.Before(s.clock.noticed) {
		s.clock = clockGuard{ahead: of, noticed: now}
		first = true
	}
	return s.clock.noticed.Add(jumpWait), first
}
