package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// settingStrays holds an Allowance.
const settingStrays registry.SettingName = "gc.strays"

// Allowance lets the next walk take strays, be they as many as they are.
type Allowance struct {
	By string // an ARN
	At time.Time
}

// AllowStrays has the next walk, which begins at once or when the one that is under way has ended, take all strays
// (berth:ResumeGarbageCollection).
func (s *Service) AllowStrays(ctx context.Context, caller identity.Caller) (Allowance, error) {
	if err := s.may(ctx, caller, actionResume); err != nil {
		return Allowance{}, err
	}
	for range maxTries {
		body, _, err := s.allowance(ctx)
		if err != nil {
			return Allowance{}, err
		}
		a := Allowance{By: caller.ARN, At: s.Now()}
		to, err := json.Marshal(a)
		if err != nil {
			return Allowance{}, err
		}
		swapped, err := s.Rows.SwapSetting(ctx, settingStrays, body, string(to), a.At)
		if err != nil {
			return Allowance{}, fmt.Errorf("allowing strays to be removed: %w", err)
		}
		if swapped {
			return a, nil
		}
	}
	return Allowance{}, fault.New(fault.Unavailable, "Others are allowing strays to be removed at the same time")
}

func (s *Service) allowance(ctx context.Context) (body string, a Allowance, err error) {
	body, err = s.Rows.Setting(ctx, settingStrays)
	if errors.Is(err, registry.ErrNoRow) {
		return "", Allowance{}, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &a)
	}
	if err != nil {
		return "", Allowance{}, fmt.Errorf("reading whether strays may be removed: %w", err)
	}
	return body, a, nil
}

// begin gives the walk that follows the last one, and tells whether it is time for it.
func (s *Service) begin(ctx context.Context, last Walk) (w Walk, now bool, err error) {
	_, a, err := s.allowance(ctx)
	if err != nil {
		return Walk{}, false, err
	}
	w = Walk{Part: walkBytes, Began: s.Now(), Ended: last.Ended}
	if a.At.After(last.Began) {
		w.AllowedBy = a.By
	}
	// A clock that was set back must not keep walks away until it has caught up.
	since := w.Began.Sub(last.Began)
	return w, w.AllowedBy != "" || since >= walkEvery || since < -walkEvery, nil
}

// held counts strays, and tells whether there are too many to take any. A walk that finds so many takes none until somebody says
// so.
func (w *Walk) held(strays []blob.Found, now time.Time) bool {
	w.Count(strays, now)
	w.Held = w.Held && w.AllowedBy == ""
	return w.Held
}

// warning is an error that says what a walk which is held has found, when it comes to be held and when it has seen the whole store.
func (w Walk) warning(before Walk) error {
	if !w.Held || before.Held && (before.Part != walkBytes || w.Part == walkBytes) {
		return nil
	}
	return fmt.Errorf("no row of the database names %d of the %d things in the blob store that were looked at (%d of %d bytes): none is removed. "+
		"Is the database older than the store, or another's? If these may go, say so: berth gc resume --strays",
		w.Found.Things, w.Seen.Things, w.Found.Bytes, w.Seen.Bytes)
}
