// Package middleware is what every request passes on its way to a face: it gets an id, a line in the access
// log, a watch over progress, and an answer even when a handler panics.
//
// There is one [Handler] rather than a chain of them, since it runs for every HEAD of every layer: one
// value per request carries all that is noted. What it wraps around the server's ResponseWriter passes on
// io.ReaderFrom, so that the kernel still sends files by itself, and Unwrap, for http.ResponseController.
//
// Nothing secret is logged: no header, no query (pre-signed requests carry their signature there), no body.
package middleware

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// requestIDHeader is AWS's x-amzn-RequestId as net/http spells header names.
const requestIDHeader = "X-Amzn-Requestid"

// defaultStall is long enough for a laptop that sleeps through a change of networks, and short enough that
// clients which vanished do not pile up.
const defaultStall = 5 * time.Minute

// Config is what a Handler needs. Next, Logger and Now must be set.
type Config struct {
	Next   http.Handler
	Logger *slog.Logger
	// Now is the machine's own clock: connections compare their deadlines with that and no other.
	Now func() time.Time
	// Stall is how long a body may stand still, in either direction, before the connection is given up. As
	// long as bytes come there is no end. The default is 5 minutes.
	Stall time.Duration
	// Proxies are the networks of the proxies whose word about a client's address and scheme is taken.
	Proxies []netip.Prefix
	// Served, where it is set, is told of each request that has been answered. It returns at once.
	Served func(ctx context.Context, s Served)
	// Audit is given an entry of each request that a face has made one of ([Note]), before its answer is complete. It must not
	// keep it. Nil: there is no audit log.
	Audit func(*audit.Entry)
}

// Handler serves requests through Next.
type Handler struct {
	Config
	nosniff, policy, transport []string // headers of every answer, shared: a face that wants others sets its own
}

// New makes a Handler.
func New(c Config) *Handler {
	if c.Stall <= 0 {
		c.Stall = defaultStall
	}
	return &Handler{
		Config: c,
		// Layers and manifests are strangers' bytes: a browser must neither guess what they are nor run them.
		nosniff: []string{"nosniff"},
		policy:  []string{"default-src 'none'; frame-ancestors 'none'; sandbox"},
		// Of answers by TLS alone: a year, as browsers and the scanners of audits want it.
		transport: []string{"max-age=31536000"},
	}
}

// ServeHTTP gives the request its id and serves it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, Context: r.Context(), now: h.Now, stall: h.Stall, started: h.Now(), audit: h.Audit}
	x.id = newRequestID()
	x.entry.Method, x.entry.Path = r.Method, r.URL.Path
	x.conn, _ = w.(deadlines)
	x.shared = r.ProtoMajor > 1
	header := w.Header()
	header[requestIDHeader] = []string{x.id}
	header["X-Content-Type-Options"] = h.nosniff
	header["Content-Security-Policy"] = h.policy
	r = r.WithContext(x)
	h.believe(r)
	if r.TLS != nil || r.URL.Scheme == "https" {
		header["Strict-Transport-Security"] = h.transport
	}
	if r.Body != nil && r.Body != http.NoBody {
		x.body = r.Body
		r.Body = (*requestBody)(x)
	}
	defer h.finish(x, r)
	h.Next.ServeHTTP(x, r)
}

// finish logs the request, and answers for a handler that panicked.
func (h *Handler) finish(x *exchange, r *http.Request) {
	abort, cause := false, recover()
	if cause != nil && x.entry.Fault == "" {
		x.entry.Fault = "InternalFailure" // the log must not say that it went well
	}
	switch {
	case cause == nil:
	case cause == http.ErrAbortHandler: //nolint:errorlint // net/http compares it the same way; it is never wrapped
		abort = true
	default:
		h.Logger.LogAttrs(r.Context(), slog.LevelError, "request panicked",
			slog.String("request_id", x.id), slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
		// Where the answer has begun, only a broken connection tells the client that it is not whole.
		abort = x.status != 0
		if !abort {
			x.fail()
		}
	}
	now := h.Now()
	x.record(now, 0)
	x.armWrite(now) // what net/http still holds in its buffer is written after this
	h.log(x, r, now)
	h.tell(x, r, now)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// log writes the request's line.
func (h *Handler) log(x *exchange, r *http.Request, now time.Time) {
	level := slog.LevelInfo
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		level = slog.LevelDebug // a probe every second would drown the rest
	}
	if !h.Logger.Enabled(r.Context(), level) {
		return
	}
	status := x.status
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	attrs := make([]slog.Attr, 0, 13)
	attrs = append(attrs, slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)))
	if x.labels.operation != "" {
		attrs = append(attrs, slog.String("operation", x.labels.operation))
	} else if target := r.Header.Get("X-Amz-Target"); target != "" {
		attrs = append(attrs, slog.String("operation", clip(target[strings.LastIndexByte(target, '.')+1:])))
	}
	attrs = append(attrs,
		slog.Int("status", status), slog.Int64("bytes_in", x.in), slog.Int64("bytes_out", x.out),
		slog.Duration("duration", now.Sub(x.started)), slog.String("remote", r.RemoteAddr))
	attrs = x.labels.attrs(attrs)
	if x.principal != "" {
		attrs = append(attrs, slog.String("principal", x.principal))
	}
	if x.denied != "" {
		attrs = append(attrs, slog.String("denied_because", x.denied))
	}
	h.Logger.LogAttrs(r.Context(), level, "request", append(attrs, slog.String("request_id", x.id))...)
}

// clip bounds how much of a stranger's text a log line holds.
func clip(s string) string {
	return clipTo(s, 512)
}

func clipTo(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// RequestID gives the id of the request that the context belongs to, or nothing.
func RequestID(ctx context.Context) string {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x.id
	}
	return ""
}

// NotePrincipal says for the access log who the request's credentials proved to be. The goroutine that
// serves the request calls it.
func NotePrincipal(ctx context.Context, arn string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.principal = arn
	}
}

// NoteDenial says for the access log why the request was refused permission: what the decision rests on, which the client is
// not told. The goroutine that serves the request calls it.
func NoteDenial(ctx context.Context, why string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.denied = clipTo(why, maxDenial)
	}
}

// maxDenial is how much is logged of a denial's reasons.
const maxDenial = 2048

func newRequestID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: the program ends if the system has no randomness
	var text [2 * len(raw)]byte
	hex.Encode(text[:], raw[:])
	return string(text[:])
}

// fail answers for a handler that answered nothing.
func (x *exchange) fail() {
	body := "internal error, request id " + x.id + "\n"
	header := x.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	for _, promise := range []string{"Content-Encoding", "Content-Range", "Etag", "Location"} {
		header.Del(promise)
	}
	x.WriteHeader(http.StatusInternalServerError)
	_, _ = x.Write([]byte(body)) // to a client that has gone there is nothing more to say
}
