package middleware

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/audit"
)

// exchange is one request and its answer: the ResponseWriter and the context that handlers see. The
// goroutine that serves the request owns it.
type exchange struct {
	http.ResponseWriter
	context.Context //nolint:containedctx // it is the request's context, with itself as the one value

	id        string
	principal string
	denied    string // why the request was refused permission, in sentences
	labels    labels // what the faces call it
	status    int    // 0 until the answer has begun
	in, out   int64  // bytes of the bodies
	started   time.Time

	audit    func(*audit.Entry) // nil: there is no log
	entry    audit.Entry
	allowed  decided
	recorded bool

	now        func() time.Time
	stall      time.Duration
	conn       deadlines // nil where the connection has none (a recorder in a test)
	shared     bool      // with other requests: HTTP/2
	body       io.ReadCloser
	readArmed  time.Time // when the deadline was last moved, zero when there is none
	writeArmed time.Time
	// For HTTP/2 alone, see watch. Both are made at their first use.
	reading, writing *watch
}

type exchangeKey struct{}

// deadlines is what net/http's own ResponseWriters have for http.ResponseController.
type deadlines interface {
	SetReadDeadline(deadline time.Time) error
	SetWriteDeadline(deadline time.Time) error
}

// Value finds the exchange itself, and whatever the outer context has.
func (x *exchange) Value(key any) any {
	if key == (exchangeKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// Unwrap lets http.ResponseController reach the server's ResponseWriter.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK { // informational answers come before the real one
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	x.begin()
	if x.audit != nil && x.whole(p) {
		x.record(x.now(), len(p))
	}
	if x.multiplexed() {
		x.writing = x.writing.start(x.stall, x.conn, deadlines.SetWriteDeadline)
		defer x.writing.stop()
	} else {
		x.refreshWrite()
	}
	n, err := x.ResponseWriter.Write(p)
	x.out += int64(n)
	return n, err
}

// multiplexed tells a request that shares its connection, which is HTTP/2.
func (x *exchange) multiplexed() bool { return x.shared && x.conn != nil }

func (x *exchange) begin() {
	if x.status == 0 {
		x.status = http.StatusOK
	}
}

// readFromPiece is how much is sent between two looks at the clock: a client that takes this much within
// the stall time is making progress (3.5 KB/s for 5 minutes).
const readFromPiece = 1 << 20

// ReadFrom implements io.ReaderFrom by the server's own, which sends files without copying them. It hands
// over piece by piece, because the write deadline must move while a long file is on its way.
func (x *exchange) ReadFrom(src io.Reader) (total int64, err error) {
	x.begin()
	to, ok := x.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(plainWriter{x}, src)
	}
	// A LimitedReader in a LimitedReader would hide the file from the kernel.
	limited, bounded := src.(*io.LimitedReader)
	if bounded {
		src = limited.R
	}
	for {
		size := int64(readFromPiece)
		if bounded {
			size = min(size, limited.N)
		}
		if size <= 0 {
			return total, nil
		}
		x.refreshWrite()
		n, err := to.ReadFrom(&io.LimitedReader{R: src, N: size})
		total += n
		x.out += n
		if bounded {
			limited.N -= n
		}
		if err != nil || n < size {
			return total, err
		}
	}
}

// plainWriter hides ReadFrom from io.Copy.
type plainWriter struct{ io.Writer }

// armWrite gives the answer a stall time from now. On HTTP/1 a deadline that passes while the handler works
// does no harm, since the next write moves it.
func (x *exchange) armWrite(now time.Time) {
	if x.conn != nil && x.conn.SetWriteDeadline(now.Add(x.stall)) == nil {
		x.writeArmed = now
	}
}

// refreshWrite moves the write deadline when a good part of it is used up, so that the many small writes of
// a fast answer cost a look at the clock each.
func (x *exchange) refreshWrite() {
	if x.conn == nil {
		return
	}
	if now := x.now(); now.Sub(x.writeArmed) > x.stall/16 {
		x.armWrite(now)
	}
}

// requestBody is the exchange as the request's body.
type requestBody exchange

// Read counts, and gives the client a stall time for each read.
func (b *requestBody) Read(p []byte) (int, error) {
	x := (*exchange)(b)
	if x.multiplexed() {
		x.reading = x.reading.start(x.stall, x.conn, deadlines.SetReadDeadline)
		defer x.reading.stop()
	} else {
		x.refreshRead()
	}
	n, err := x.body.Read(p)
	x.in += int64(n)
	if err != nil && !x.readArmed.IsZero() {
		// From here on net/http itself reads, to learn whether the client is still there; a deadline would
		// end the request of a handler that takes its time.
		x.readArmed, x.writeArmed = time.Time{}, time.Time{}
		_ = x.conn.SetReadDeadline(time.Time{}) // where this fails the connection is gone
		_ = x.conn.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// refreshRead is refreshWrite for the body.
func (x *exchange) refreshRead() {
	if x.conn == nil {
		return
	}
	if now := x.now(); x.readArmed.IsZero() || now.Sub(x.readArmed) > x.stall/16 {
		if x.conn.SetReadDeadline(now.Add(x.stall)) == nil {
			x.readArmed = now
		}
		x.armWrite(now) // net/http itself may write: 100 Continue, on a connection with an old deadline
	}
}

// Close closes the body.
func (b *requestBody) Close() error { return b.body.Close() }
