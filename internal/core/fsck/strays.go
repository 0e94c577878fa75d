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
	// strayGrace is what DiscardStray gives whoever looks on.
	strayGrace = time.Hour
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
	read, census := int64(len(some)), w.check.Census
	for _, f := range some {
		census.See(f)
	}
	strange, strays, err := w.strays(ctx, walker, some)
	if err != nil {
		return err
	}
	now := w.Now()
	// Where they are many the database may be older than the store: none is removed from here on.
	many := census.Count(strays, now)
	for _, f := range slices.Concat(strange, strays) {
		if !f.Old(now) {
			continue
		}
		if err := w.stray(ctx, walker, f, many); err != nil {
			return err
		}
	}
	w.check.Progress.Things += read
	w.check.Census = census
	w.check.Attempts = 0
	if err := w.pace.wait(ctx, read*leastRead); err != nil {
		return err
	}
	if w.check.Cursor = next; next == "" {
		return w.end(ctx)
	}
	return nil
}

// strays picks what is not of Berth's making, and what no row knows and is not just arriving. It is there
// still after it was seen that nothing knows it: otherwise the last row that knew it may have gone with its bytes, which is how garbage
// ends.
func (w *worker) strays(ctx context.Context, walker blob.Walker, some []blob.Found) (strange, strays []blob.Found, err error) {
	keys := make([]blob.Key, 0, len(some))
	for _, f := range some {
		if f.Key != "" {
			keys = append(keys, f.Key)
		} else {
			strange = append(strange, f)
		}
	}
	owners, err := w.Contents.KnownKeys(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for what knows the bytes in the store: %w", err)
	}
	now := w.Now()
	strays = slices.DeleteFunc(some, func(f blob.Found) bool {
		owner := owners[f.Key]
		return f.Key == "" || owner == AnUpload || owner == Garbage || owner == ABlob && !f.Part || f.Arriving(now)
	})
	if len(strays)+len(strange) > 0 {
		again, _, err := walker.Walk(ctx, w.check.Cursor, thingsAtOnce)
		if err != nil {
			return nil, nil, &unreadError{name: storeList, cause: err}
		}
		there := make(map[string]bool, len(again))
		for _, f := range again {
			there[f.Name] = true
		}
		gone := func(f blob.Found) bool { return !there[f.Name] }
		strange, strays = slices.DeleteFunc(strange, gone), slices.DeleteFunc(strays, gone)
	}
	return strange, strays, nil
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
