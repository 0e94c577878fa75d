// Package events is the face of the feed: GET /events, where a reader follows with a cursor by long polling or as a stream of server-sent events, and
// the shapes that events have for readers and for receivers of webhooks.
//
//	GET /events?after=N&limit=100&wait=30s&repository=R&kind=K    JSON: {"events": [...], "next": N, "oldest": N, "newest": N}
//	GET /events  with Accept: text/event-stream                   a stream, which goes on after Last-Event-ID
//	GET /events/receivers                                         how far the receivers of webhooks are
//
// Credentials are docker's (Basic, AWS:token), a bearer token, or a signature for the service ecr.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// How many readers may wait at once, of all and of one principal, and for how long.
const (
	maxWaiting      = 1000
	maxWaitingOfOne = 100
	maxWait         = time.Minute
	retryAfter      = "5" // seconds
)

// Authenticator establishes who asks.
type Authenticator interface {
	SigV4(r *http.Request, body []byte, service string) (identity.Caller, error)
	Basic(r *http.Request) (identity.Caller, error)
	Bearer(r *http.Request) (identity.Caller, error)
}

// Config is what the face needs; what has no default must be set.
type Config struct {
	Feed   *feed.Feed
	Auth   Authenticator
	Place  Place
	Logger *slog.Logger
	// Denials, where there are any, seals what a refusal rests on, for the header X-Berth-Authorization-Message.
	Denials interface {
		Encode(ctx context.Context, r policy.Refusal) string
	}
	// Heartbeat is how long a stream is silent at most; 15 s where it is 0, which proxies bear.
	Heartbeat time.Duration
	// StreamTime is how long a stream lives; an hour where it is 0. Readers come back by themselves, with credentials that hold then.
	StreamTime time.Duration
	// Waiting is how many readers may wait; 1000 where it is 0.
	Waiting int
}

// Face serves /events.
type Face struct {
	Config
	mux *http.ServeMux

	life context.Context // readers wait as long as it does
	end  context.CancelFunc

	mu      sync.Mutex
	waiting map[string]int // guarded by mu: by principal
	all     int            // guarded by mu
}

// New makes the face. Close ends the waiting of its readers.
func New(c Config) *Face {
	if c.Heartbeat == 0 {
		c.Heartbeat = 15 * time.Second
	}
	if c.StreamTime == 0 {
		c.StreamTime = time.Hour
	}
	if c.Waiting == 0 {
		c.Waiting = maxWaiting
	}
	f := &Face{Config: c, waiting: map[string]int{}, mux: http.NewServeMux()}
	f.life, f.end = context.WithCancel(context.Background())
	f.mux.HandleFunc("GET /events", f.events)
	f.mux.HandleFunc("GET /events/receivers", f.receivers)
	return f
}

// Close lets readers that wait have an answer now: the server is about to stop.
func (f *Face) Close() { f.end() }

// ServeHTTP implements http.Handler.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *Face) authenticate(r *http.Request) (identity.Caller, error) {
	switch {
	case authn.NoCredentials(r):
		return identity.Caller{}, fault.New(fault.CredentialsMissing, "no credentials")
	case strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-"):
		return f.Auth.SigV4(r, nil, "ecr")
	case authn.IsBearer(r):
		return f.Auth.Bearer(r)
	}
	return f.Auth.Basic(r)
}

// begin finds out who asks, and tells the audit log who asks for what: who reads events learns who pulls what.
func (f *Face) begin(r *http.Request, operation string) (identity.Caller, error) {
	caller, err := f.authenticate(r)
	e := middleware.Note(r.Context())
	e.Service, e.Operation, e.ReadOnly, e.Caller = "berth", operation, true, caller
	if e.Caller.Origin.Address == "" {
		e.Caller.Origin = authn.Origin(r)
	}
	if err == nil {
		middleware.NotePrincipal(r.Context(), caller.ARN)
	}
	return caller, err
}

func (f *Face) events(w http.ResponseWriter, r *http.Request) {
	caller, err := f.begin(r, "ReadEvents")
	if err != nil {
		f.fail(w, r, err)
		return
	}
	ask, err := parse(r)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	middleware.Note(r.Context()).Repository = ask.query.Repository
	if ask.stream || ask.wait > 0 {
		leave, err := f.enter(caller)
		if err != nil {
			f.fail(w, r, err)
			return
		}
		defer leave()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	if ask.stream {
		f.stream(ctx, w, r, caller, ask.query)
		return
	}
	page, err := f.Feed.Wait(ctx, caller, ask.query, ask.wait)
	if err != nil {
		f.fail(w, r, err)
		return
	}
	f.answer(w, http.StatusOK, f.page(page))
}

// pageAnswer is a page for a reader.
type pageAnswer struct {
	Events []cloudEvent `json:"events"`
	Next   int64        `json:"next"`   // the cursor to ask with next
	Oldest int64        `json:"oldest"` // the lowest cursor that may be asked with
	Newest int64        `json:"newest"` // the highest
}

func (f *Face) page(p feed.Page) pageAnswer {
	a := pageAnswer{Events: make([]cloudEvent, len(p.Entries)), Next: p.Next, Oldest: p.Head.Forgotten, Newest: p.Head.Number}
	for i, e := range p.Entries {
		a.Events[i] = f.Place.cloudEvent(e)
	}
	return a
}

// enter counts a reader that waits, until leave is called.
func (f *Face) enter(caller identity.Caller) (leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all >= f.Waiting || f.waiting[caller.ARN] >= maxWaitingOfOne || f.life.Err() != nil {
		return nil, errTooMany
	}
	f.all++
	f.waiting[caller.ARN]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all--
		if f.waiting[caller.ARN]--; f.waiting[caller.ARN] == 0 {
			delete(f.waiting, caller.ARN)
		}
	}, nil
}

var errTooMany = errors.New("too many readers are waiting for events: come back later")

func (f *Face) answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // to a reader that has gone there is nothing more to say
}
