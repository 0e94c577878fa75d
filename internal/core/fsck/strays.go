package fsck

import (
	"context"
	"errors"
	"fmt"
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
)

// things looks at some of what is in the blob store.
func (w *worker) things(ctx context.Context) error {
	walker, ok := w.Blobs.(blob.Walker)
	if !ok {
		return w.end(ctx)
	}
	some, next, err := walker.Walk(ctx, w.check.Cursor, thingsAtOnce)
	if err != nil {
		return &unreadError{name: "the list of what is in the blob store", cause: err}
	}
	w.check.Attempts = 0
	keys := make([]blob.Key, 0, len(some))
	for _, f := range some {
		if f.Key != "" {
			keys = append(keys, f.Key)
		}
	}
	owners, err := w.Contents.KnownKeys(ctx, keys)
	if err != nil {
		return fmt.Errorf("looking for what knows the bytes in the store: %w", err)
	}
	for _, f := range some {
		if err := w.thing(ctx, walker, f, owners[f.Key]); err != nil {
			return err
		}
		w.check.Progress.Things++
	}
	if err := w.pace.wait(ctx, int64(len(some))*leastRead); err != nil {
		return err
	}
	if w.check.Cursor = next; next == "" {
		return w.end(ctx)
	}
	return nil
}

func (w *worker) thing(ctx context.Context, walker blob.Walker, f blob.Found, owner Owner) error {
	age := w.Now().Sub(f.At)
	switch {
	case owner == AnUpload || owner == Garbage || owner == ABlob && !f.Part:
		return nil
	case f.At.IsZero() || age < young || f.Part && age < youngPart:
		return nil
	}
	found := Finding{Kind: Stray, Name: printable(f.Name), Key: f.Key, Size: f.Size, Detail: fmt.Sprintf("no row knows it, and it is %d days old", int(age.Hours())/24)}
	switch {
	case f.Key == "":
		found.Detail = "it is not of Berth's making"
	case f.Part:
		found.Kind = StrayPart
	}
	if !w.check.Repair || f.Key == "" {
		w.find(ctx, found)
		return nil
	}
	if f.Part {
		err := walker.Discard(ctx, f)
		if err != nil && !errors.Is(err, blob.ErrBusy) {
			w.find(ctx, found) // which says that nothing was done
			return nil         //nolint:nilerr // the next check tries again
		}
		if err == nil {
			found.Done = Discarded
			w.find(ctx, found)
		}
		return nil
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
