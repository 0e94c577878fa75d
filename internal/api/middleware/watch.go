package middleware

import "time"

// watch ends a read or write of an HTTP/2 stream that lasts too long. The stream's own deadlines are timers
// that go off whether or not anybody waits for the client: with them, a store that stands still for longer
// than a client may would have the stream reset, and its 503 never leave. Moving them at every read and
// write would cost as many messages to the goroutine that serves the connection. A watch runs only while
// somebody waits, and sets the deadline, to the past, only when that took too long.
//
// A nil watch is one that was never started. One goroutine uses it.
type watch struct {
	timer *time.Timer
	fired chan struct{}
}

// start begins the time, and gives the watch to use from now on.
func (w *watch) start(limit time.Duration, conn deadlines, set func(deadlines, time.Time) error) *watch {
	if w != nil {
		w.timer.Reset(limit)
		return w
	}
	w = &watch{fired: make(chan struct{}, 1)}
	w.timer = time.AfterFunc(limit, func() {
		_ = set(conn, time.Unix(1, 0)) // where this fails the stream is gone
		w.fired <- struct{}{}
	})
	return w
}

// stop ends the time. When it returns the deadline is set, or will not be: the ResponseWriter must not be
// touched after its handler has returned.
func (w *watch) stop() {
	if !w.timer.Stop() {
		<-w.fired
	}
}
