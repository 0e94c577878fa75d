package metadb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// limits are how long PostgreSQL may say nothing before it counts as gone. A server whose machine lost its
// power, or whose address moved, sends no reset: without limits the system waits a quarter of an hour for it,
// and every connection of the pool with it.
type limits struct {
	connect time.Duration // until a new connection is ready, unless the URL says otherwise
	begin   time.Duration // for BEGIN, which is no work: this finds dead connections of the pool
	read    time.Duration // for a read, with the wait for a free connection
	write   time.Duration // for a statement of an update, which may wait for another's lock, and for COMMIT

	// The system's own limits end connections to a machine that is gone, those that nobody uses too. The
	// others are for one that is there and does nothing: a server that hangs, a proxy that has forgotten.
	keepAlive net.KeepAliveConfig
	unheard   time.Duration // how long what was sent may stay without acknowledgement; on Linux
}

func defaultLimits() limits {
	return limits{
		connect: 10 * time.Second, begin: 10 * time.Second, read: 30 * time.Second, write: 2 * time.Minute,
		keepAlive: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		unheard:   15 * time.Second,
	}
}

// apply sets what concerns connections.
func (l limits) apply(config *pgx.ConnConfig) {
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, l.connect)
	config.DialFunc = l.dialer().DialContext
}

func (l limits) dialer() *net.Dialer {
	// No timeout of its own: pgx gives it a context that ends after ConnectTimeout.
	return &net.Dialer{KeepAliveConfig: l.keepAlive, Control: limitUnheard(l.unheard)}
}

var (
	// errSilent is why a context of this package ended by itself.
	errSilent = errors.New("no answer in time")
	// errUnreachable stands for a connection that could not be made in time.
	errUnreachable = errors.New("no connection in time")
)

// within runs f with a context that ends when the time is up, and says then that the database is unavailable.
// The caller's own deadline stays what it is.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	defer cancel()
	return silence(ctx, limit, f(ctx))
}

// silence tells an error that comes from a limit of ours from others.
func silence(ctx context.Context, limit time.Duration, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errSilent):
		// The error itself speaks of a deadline, as if it were the caller's.
		return unavailable(fmt.Errorf("%w (%v)", errSilent, limit))
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return unavailable(fmt.Errorf("%w: %s", errUnreachable, err.Error())) // its text alone, for the same reason
	}
	return err
}

// leash is the context of a whole transaction. The caller's must not end it, since the outcome of a commit
// that is cut off is anybody's guess; only a server that is silent for too long does.
type leash struct {
	context.Context //nolint:containedctx // it is that context, with a way to end it
	end             context.CancelCauseFunc
}

func newLeash(ctx context.Context) leash {
	ctx, end := context.WithCancelCause(context.WithoutCancel(ctx))
	return leash{ctx, end}
}

// within runs f, one step of the transaction.
func (l leash) within(limit time.Duration, f func() error) error {
	timer := time.AfterFunc(limit, func() { l.end(errSilent) })
	err := f()
	timer.Stop()
	return silence(l, limit, err)
}
