package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	thingsAtOnce = 500
	// young is how old bytes without a row may be and become a layer still: twice as long as a layer may take that comes in one
	// request. Pieces of uploads stay longer.
	young     = 48 * time.Hour
	youngPart = 7 * 24 * time.Hour
	// strayGrace is what DiscardStray gives whoever looks on.
	strayGrace = time.Hour
	// Where a page has more than someStrays, and they are more than one in strayShare, none of it is removed: the database may be
	// older than the store (package gc, which asks before it takes so many). Keys are random, so that each page has the share of all.
	someStrays = 20
	strayShare = 10
)

// things looks at some of what is in the blob store.
func (w *worker) things(ctx context.Context) error {
	walker, ok := w.Blobs.(blob.Walker)
	if !ok {
		return w.end(ctx)
	}
	some, next, err := walker.Walk(ctx, w.check.Cursor, thingsAtOnce)
	if err != nil {
		return &unreadError{name: storeList, cause: err}
	}
	read := int64(len(some))
	strays, err := w.strays(ctx, walker, some)
	if err != nil {
		return err
	}
	many := len(strays) > someStrays && int64(len(strays)) > read/strayShare
	for _, f := range strays {
		if err := w.stray(ctx, walker, f, many); err != nil {
			return err
		}
	}
	w.check.Progress.Things += read
	w.check.Attempts = 0
	if err := w.pace.wait(ctx, read*leastRead); err != nil {
		return err
	}
	if w.check.Cursor = next; next == "" {
		return w.end(ctx)
	}
	return nil
}

// strays picks those that no row knows and that are not young. They are there still after it was seen that nothing knows them:
// otherwise the last row that knew one may have gone with its bytes, which is how garbage ends.
func (w *worker) strays(ctx context.Context, walker blob.Walker, some []blob.Found) ([]blob.Found, error) {
	keys := make([]blob.Key, 0, len(some))
	for _, f := range some {
		if f.Key != "" {
			keys = append(keys, f.Key)
		}
	}
	owners, err := w.Contents.KnownKeys(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("looking for what knows the bytes in the store: %w", err)
	}
	now := w.Now()
	strays := slices.DeleteFunc(some, func(f blob.Found) bool {
		owner, age := owners[f.Key], now.Sub(f.At)
		return owner == AnUpload || owner == Garbage || owner == ABlob && !f.Part || f.At.IsZero() || age < young || f.Part && age < youngPart
	})
	if len(strays) == 0 {
		return nil, nil
	}
	again, _, err := walker.Walk(ctx, w.check.Cursor, thingsAtOnce)
	if err != nil {
		return nil, &unreadError{name: storeList, cause: err}
	}
	there := make(map[string]bool, len(again))
	for _, f := range again {
		there[f.Name] = true
	}
	return slices.DeleteFunc(strays, func(f blob.Found) bool { return !there[f.Name] }), nil
}

// storeList is what could not be read when a walk fails.
const storeList = "the list of what is in the blob store"

func (w *worker) stray(ctx context.Context, walker blob.Walker, f blob.Found, many bool) error {
	age := w.Now().Sub(f.At)
	found := Finding{Kind: Stray, Name: printable(f.Name), Key: f.Key, Size: f.Size, Detail: fmt.Sprintf("no row knows it, and it is %d days old", int(age.Hours())/24)}
	switch {
	case f.Key == "":
		found.Detail = "it is not of Berth's making"
	case f.Part:
		found.Kind = StrayPart
	}
	if w.check.Repair && many && f.Key != "" {
		found.Detail += "; it stays, since there are many: is the database older than the blob store?"
	}
	if !w.check.Repair || f.Key == "" || many {
		w.find(ctx, found)
		return nil
	}
	if f.Part {
		switch err := walker.Discard(ctx, f); {
		case errors.Is(err, blob.ErrBusy): // it is no stray any more
		case err != nil:
			found.Detail += "; removing it failed: " + err.Error()
			w.find(ctx, found)
		default:
			found.Done = Discarded
			w.find(ctx, found)
		}
		return ctx.Err()
	}
	discarded, err := w.Repairs.DiscardStray(ctx, f.Key, f.Size, w.Now().Add(strayGrace))
	if err != nil {
		return fmt.Errorf("discarding %s: %w", f.Name, err)
	}
	if discarded { // or it is no stray any more
		found.Done = Discarded
		w.find(ctx, found)
	}
	return nil
}

// printable makes of a name that somebody else chose one that any database takes.
func printable(name string) string {
	const most = 1000
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "\uFFFD"), "\x00", "\uFFFD")
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}
