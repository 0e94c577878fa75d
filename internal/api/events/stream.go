package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// reconnect is how long a reader is asked to wait before it comes back.
const reconnect = 2 * time.Second

// stream sends events as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each has its number as its id, and its kind as
// its event. When nothing comes for a while there is a comment, with an id of its own, so that a reader who comes back need not look through what
// was not for it. Permissions are asked again each time.
func (f *Face) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, caller identity.Caller, q feed.Query) {
	page, err := f.Feed.Read(ctx, caller, q)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.StreamTime)
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	middleware.NoteBegun(r.Context())
	flusher := http.NewResponseController(w)
	text := fmt.Appendf(nil, "retry: %d\n", reconnect.Milliseconds())
	for {
		if _, err := w.Write(append(text, f.chunk(page)...)); err != nil {
			return
		}
		if err := flusher.Flush(); err != nil {
			return
		}
		text = nil
		if ctx.Err() != nil {
			return
		}
		q.After = page.Next
		if page, err = f.Feed.Wait(ctx, caller, q, f.Heartbeat); err != nil {
			f.note(r, err)
			return // the reader comes back, and is told
		}
	}
}

// chunk writes a page: its events, and where the reader is now.
func (f *Face) chunk(p feed.Page) []byte {
	var b bytes.Buffer
	for _, e := range p.Entries {
		data, err := json.Marshal(f.Place.cloudEvent(e))
		if err != nil {
			continue // a struct of strings and numbers
		}
		fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", e.Number, e.Kind, data)
	}
	fmt.Fprintf(&b, ": %d\nid: %d\n\n", p.Head.Number, p.Next)
	return b.Bytes()
}
