package middleware

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxDecisions is how many statements are noted of those that allowed a request. One that lists a thousand repositories asks
// about each.
const maxDecisions = 4

// decided is what a request was allowed by.
type decided struct {
	by [maxDecisions]policy.Match
	n  int
}

// add notes statements that are not noted yet.
func (d *decided) add(matches []policy.Match) {
next:
	for _, m := range matches {
		for _, have := range d.by[:d.n] {
			if have == m {
				continue next
			}
		}
		if d.n == len(d.by) {
			return
		}
		d.by[d.n] = m
		d.n++
	}
}

func (d *decided) String() string {
	switch d.n {
	case 0:
		return ""
	case 1:
		return d.by[0].String()
	}
	var words strings.Builder
	for i, m := range d.by[:d.n] {
		if i > 0 {
			words.WriteString(", ")
		}
		words.WriteString(m.String())
	}
	return words.String()
}

// Note gives the entry that the audit log will have of the request that the context belongs to, for a face to fill in: Service,
// Operation, Caller, what it is about, Fault and Message, Pulled, and bytes that somebody else sends. A request without a Service is not logged. Outside of
// a request it gives an entry that nobody reads. The goroutine that serves the request owns it.
func Note(ctx context.Context) *audit.Entry {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return &x.entry
	}
	return new(audit.Entry)
}

// NoteDecision says by which statements the request, or a part of it, was allowed.
func NoteDecision(ctx context.Context, d policy.Decision) {
	if d.Outcome != policy.Allowed {
		return // what a refusal rests on is noted where it is answered: many are not
	}
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.allowed.add(d.Because)
	}
}

// NoteBegun has the audit log say now what there is to say of a request whose answer goes on for long: were it said at the end, who
// is reading would not be known, and a process that is killed would never say it. What is sent is not counted then.
func NoteBegun(ctx context.Context) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.record(x.now(), 0)
	}
}

// whole tells whether p is all of the answer's body.
func (x *exchange) whole(p []byte) bool {
	length := x.Header()["Content-Length"]
	if len(length) != 1 || x.out != 0 {
		return false
	}
	n, err := strconv.Atoi(length[0])
	return err == nil && n == len(p)
}

// record hands the request to the audit log, once: before the last byte of the answer can have left, so that there is no answer without a
// record. Where the body is whole in memory that is before it is written; otherwise what net/http still has in its buffers,
// or the end of a body whose length was not said, is sent after it. Only the body of a layer may have arrived when its record is written.
func (x *exchange) record(now time.Time, toSend int) {
	if x.audit == nil || x.recorded || x.entry.Service == "" {
		return
	}
	x.recorded = true
	e := &x.entry
	e.ID = x.id
	e.Status = x.status
	if e.Status == 0 {
		e.Status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	e.DecidedBy = x.denied
	if e.DecidedBy == "" {
		e.DecidedBy = x.allowed.String()
	}
	e.BytesIn = x.in
	e.BytesOut += x.out + int64(toSend)
	e.Duration = now.Sub(x.started)
	x.audit(e)
}
