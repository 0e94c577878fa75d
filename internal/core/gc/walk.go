package gc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// walkEvery is how long after the beginning of a walk the next one begins.
	walkEvery = 24 * time.Hour

	// walkRate is how many things a second a walk looks at: a million in a quarter of an hour, ten million in three hours.
	walkRate = 1000
	// walkPage is how many things of the blob store are compared with the rows at once. It is large since the rows are not
	// sorted by key: each comparison reads through them.
	walkPage = 10_000
	// rowPage is how many rows are looked at in one statement.
	rowPage = 2000
	// walkClaim is how long a replica has the walk to itself without a word.
	walkClaim = 10 * time.Minute
)

// settingWalk holds the Walk.
const settingWalk registry.SettingName = "gc.walk"

// The parts of a walk, in their order.
const (
	walkBytes  = "bytes"
	walkLayers = "layers"
	walkBlobs  = "blobs"
)

// Walk is how far the search for bytes without a row, and for rows that nothing will look at, has come.
type Walk struct {
	Part  string // of the walk; empty: it is at its end
	Place string // in that part
	Began time.Time
	Ended time.Time // the last one that did

	blob.Census        // of the blob store
	Strays      Amount // those that were put on the list of garbage or removed
	Strange     int    // things in the blob store that are nothing of Berth's
	Rows        int    // layers and blobs without anything that needs them, which nothing would have looked at

	AllowedBy string // who let this walk take strays, be they as many as they are; an ARN

	By    string    // the replica that walks
	Until time.Time // until when it is alone
}

// WalkOnce does one page of a walk, and tells whether there is more. One replica walks at a time, and remembers the place in the
// database. A walk begins once a day.
func (s *Service) WalkOnce(ctx context.Context) (more bool, err error) {
	pause, err := s.paused(ctx)
	if err != nil || pause != nil {
		return false, err
	}
	if held, err := s.clockHolds(ctx); err != nil || held {
		return false, err
	}
	body, w, err := s.walk(ctx)
	if err != nil {
		return false, err
	}
	now := s.Now()
	// A claim is never longer than walkClaim: one that is was made by a clock that was wrong.
	if w.By != s.id && now.Before(w.Until) && w.Until.Sub(now) <= walkClaim {
		return false, nil
	}
	if w.Part == "" {
		var due bool
		if w, due, err = s.begin(ctx, w); err != nil || !due {
			return false, err
		}
	}
	if w.By != s.id || w.Until.Sub(now) < walkClaim/2 {
		w.By, w.Until = s.id, now.Add(walkClaim)
		var mine bool
		if body, mine, err = s.saveWalk(ctx, body, w); err != nil || !mine {
			return false, err
		}
	}
	before := w
	looked, err := s.walkOn(ctx, &w)
	came := outcomes{}
	came.add(walkStage, err == nil, err, s.Now())
	if err := errors.Join(err, s.note(ctx, came)); err != nil {
		return false, fmt.Errorf("looking for strays: %w", err)
	}
	if w.Part == "" {
		w.Ended, w.By, w.Until = s.Now(), "", time.Time{}
	}
	if _, mine, err := s.saveWalk(ctx, body, w); err != nil || !mine {
		return false, err // another one has taken over, and looks at this page again
	}
	if err := w.warning(before); err != nil {
		return w.Part != "", err
	}
	took := s.Now().Sub(now)
	return w.Part != "", sleep(ctx, time.Duration(looked)*time.Second/walkRate-took)
}

func (s *Service) walk(ctx context.Context) (body string, w Walk, err error) {
	body, err = s.Rows.Setting(ctx, settingWalk)
	if errors.Is(err, registry.ErrNoRow) {
		return "", Walk{}, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &w)
	}
	if err != nil {
		return "", Walk{}, fmt.Errorf("reading how far the walk is: %w", err)
	}
	return body, w, nil
}

// saveWalk stores a walk unless somebody has stored another since from was read.
func (s *Service) saveWalk(ctx context.Context, from string, w Walk) (body string, mine bool, err error) {
	to, err := json.Marshal(w)
	if err == nil {
		mine, err = s.Rows.SwapSetting(ctx, settingWalk, from, string(to), s.Now())
	}
	if err != nil {
		return "", false, fmt.Errorf("noting how far the walk is: %w", err)
	}
	return string(to), mine, nil
}

// walkOn does a page of the part that the walk is in, and moves on to the next part at its end.
func (s *Service) walkOn(ctx context.Context, w *Walk) (looked int, err error) {
	next := map[string]string{walkBytes: walkLayers, walkLayers: walkBlobs, walkBlobs: ""}
	switch w.Part {
	case walkBytes:
		looked, err = s.walkBytes(ctx, w)
	case walkLayers:
		looked, err = s.walkLayers(ctx, w)
	case walkBlobs:
		looked, err = s.walkBlobs(ctx, w)
	default: // of another version's
		w.Place = ""
	}
	if err == nil && w.Place == "" {
		w.Part = next[w.Part]
	}
	return looked, err
}

// walkBytes compares a page of what the blob store holds with the rows.
func (s *Service) walkBytes(ctx context.Context, w *Walk) (looked int, err error) {
	if s.Walker == nil {
		w.Place = ""
		return 0, nil
	}
	var ours []blob.Found
	for looked < walkPage {
		found, next, err := s.Walker.Walk(ctx, w.Place, walkPage-looked)
		if err != nil {
			return looked, err
		}
		looked += max(len(found), 1) // an empty page is work, too
		for _, f := range found {
			w.See(f)
			if f.Key == "" {
				w.Strange++
			} else {
				ours = append(ours, f)
			}
		}
		if w.Place = next; next == "" {
			break
		}
	}
	return looked, s.takeStrays(ctx, ours, w)
}

// takeStrays makes garbage of those that no row names and that are old. Nobody can come to name them afterwards: a key without a row is
// given one only within registry's longestUnseen of its first byte.
func (s *Service) takeStrays(ctx context.Context, found []blob.Found, w *Walk) error {
	if len(found) == 0 {
		return nil
	}
	now := s.Now()
	keys := make([]blob.Key, len(found))
	for i, f := range found {
		keys[i] = f.Key
	}
	known, err := s.Rows.Known(ctx, keys)
	if err != nil {
		return fmt.Errorf("looking for what names them: %w", err)
	}
	strays := slices.DeleteFunc(found, func(f blob.Found) bool {
		row, is := known[f.Key]
		return f.Part && needsPart(row, f) || !f.Part && is
	})
	if w.held(strays, now) {
		return nil
	}
	var garbage []blob.Upload
	for _, f := range strays {
		if !f.Old(now) {
			continue
		}
		if f.Part {
			err := s.Walker.Discard(ctx, f)
			if errors.Is(err, blob.ErrBusy) {
				continue
			}
			if err != nil {
				return err
			}
		} else {
			garbage = append(garbage, blob.Upload{Key: f.Key, Size: f.Size})
		}
		w.Strays.Things++
		w.Strays.Bytes += f.Size
	}
	if len(garbage) == 0 {
		return nil
	}
	return s.Rows.Update(ctx, func(tx Tx) error { return tx.Discard(ctx, garbage, s.Now().Add(s.bytesStay())) })
}

// needsPart tells whether a piece of an upload may be needed: while the upload is under way, and its notes name the piece, or
// it is a multipart upload. (When the upload ends, so do all of its multipart uploads.) A blob has no pieces.
func needsPart(row Known, f blob.Found) bool {
	if !row.Upload {
		return false
	}
	id := f.Name[strings.LastIndexAny(f.Name, ".=/")+1:]
	return f.Size == 0 || bytes.Contains(row.State, []byte(id))
}

// walkLayers has layers looked at that no image refers to and that nothing would look at: an older replica, working beside this
// one during an upgrade, does not set when.
func (s *Service) walkLayers(ctx context.Context, w *Walk) (looked int, err error) {
	var after Layer
	if w.Place != "" {
		if err := json.Unmarshal([]byte(w.Place), &after); err != nil {
			return 0, err
		}
	}
	strays, last, looked, err := s.Rows.UndueLayers(ctx, after, rowPage)
	if err != nil {
		return 0, err
	}
	if len(strays) > 0 {
		if err := s.Rows.Update(ctx, func(tx Tx) error { return tx.DueLayers(ctx, strays, s.Now().Add(s.Grace)) }); err != nil {
			return looked, err
		}
	}
	w.Rows += len(strays)
	w.Place = ""
	if looked == rowPage {
		place, err := json.Marshal(last)
		if err != nil {
			return looked, err
		}
		w.Place = string(place)
	}
	return looked, nil
}

// walkBlobs does the same for blobs that nothing has.
func (s *Service) walkBlobs(ctx context.Context, w *Walk) (looked int, err error) {
	strays, last, looked, err := s.Rows.UndueBlobs(ctx, oci.Digest(w.Place), rowPage)
	if err != nil {
		return 0, err
	}
	if len(strays) > 0 {
		if err := s.Rows.Update(ctx, func(tx Tx) error { return tx.DueBlobs(ctx, strays, s.Now()) }); err != nil {
			return looked, err
		}
	}
	w.Rows += len(strays)
	w.Place = ""
	if looked == rowPage {
		w.Place = last.String()
	}
	return looked, nil
}
