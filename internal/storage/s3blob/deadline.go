package s3blob

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// defaultStall is how long the store may be silent.
	defaultStall = time.Minute
	// bytesPerStall is how many bytes are sent in that time at least: 100 kB/s, if it is a minute.
	bytesPerStall = 6_000_000
)

// stalled is the error of an attempt that was given up. It is a [net.Error], so that it counts as one of the
// network, and is tried again.
type stalled struct {
	what  string
	after time.Duration
}

func (e *stalled) Error() string { return fmt.Sprintf("the store %s for %v", e.what, e.after) }

// Timeout implements net.Error.
func (e *stalled) Timeout() bool { return true }

// Temporary implements net.Error.
func (e *stalled) Temporary() bool { return true }

// impatient gives up attempts that stand still: those that get no answer within stall, and the time that
// sending the body may take, and those whose answer's body stops for that long while somebody reads it. How
// slowly the reader comes back for more is not the store's fault and does not count.
type impatient struct {
	client aws.HTTPClient
	stall  time.Duration
}

// Do implements [aws.HTTPClient].
func (c impatient) Do(r *http.Request) (*http.Response, error) {
	limit := c.stall + time.Duration(float64(c.stall)*float64(max(r.ContentLength, 0))/bytesPerStall)
	ctx, cancel := context.WithCancelCause(r.Context())
	late := &stalled{"did not answer", limit}
	timer := time.AfterFunc(limit, func() { cancel(late) })
	resp, err := c.client.Do(r.WithContext(ctx))
	if !timer.Stop() && err == nil {
		_ = resp.Body.Close()
		err = late
	}
	if err != nil {
		if context.Cause(ctx) == error(late) { //nolint:errorlint // it is that very one, unwrapped
			err = late // whatever the connection made of it
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = newWatchedBody(resp.Body, c.stall, func() { cancel(nil) })
	return resp, nil
}

// watchedBody ends its request when a Read takes too long.
type watchedBody struct {
	body   io.ReadCloser
	stall  time.Duration
	timer  *time.Timer
	cancel func()

	mu   sync.Mutex
	late bool // guarded by mu
}

func newWatchedBody(body io.ReadCloser, stall time.Duration, cancel func()) *watchedBody {
	b := &watchedBody{body: body, stall: stall, cancel: cancel}
	b.timer = time.AfterFunc(stall, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.late = true
		cancel()
	})
	b.timer.Stop()
	return b
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.stall)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err == nil || err == io.EOF {
		return n, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.late {
		err = &stalled{"sent nothing", b.stall}
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel()
	return err
}
