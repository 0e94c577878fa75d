package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

const (
	attempts   = 5
	firstPause = 500 * time.Millisecond // then twice as long each time
	mostPause  = 30 * time.Second
)

// Retry does something with the OCI side of the repository, and again when that failed for a reason that passes. What arrived is not
// sent again.
func (p Pusher) Retry(ctx context.Context, do func(*remote.Pusher, name.Repository) error) error {
	for n := 1; ; n++ {
		err := p.attempt(ctx, do)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || n == attempts || !passes(err) {
			return err
		}
		if err := pause(ctx, wait(n, err)); err != nil {
			return err
		}
	}
}

func (p Pusher) attempt(ctx context.Context, do func(*remote.Pusher, name.Repository) error) error {
	repo, pusher, err := p.pusher(ctx)
	if err != nil {
		return err
	}
	return do(pusher, repo)
}

func (p Pusher) pusher(ctx context.Context) (name.Repository, *remote.Pusher, error) {
	repo, options, err := p.Remote.Remote(ctx, p.Repository)
	if err != nil {
		return name.Repository{}, nil, err //nolint:wrapcheck // says what is wrong
	}
	// Tried again is here, where the end of the context ends a pause too.
	options = append(options, remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes())
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return name.Repository{}, nil, fmt.Errorf("making a client of the registry: %w", err)
	}
	return repo, pusher, nil
}

// wait is how long to wait after the n-th failure: as long as the registry says, or ever longer, half of it by chance so that many runs do
// not come back together.
func wait(n int, err error) time.Duration {
	if busy, ok := errors.AsType[*registry.BusyError](err); ok && busy.After > 0 {
		return min(busy.After, mostPause) + rand.N(firstPause) //nolint:gosec // no secret
	}
	usual := min(firstPause<<(n-1), mostPause)
	return usual/2 + rand.N(usual/2) //nolint:gosec // no secret
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// passes tells whether the same request may go well a moment later.
func passes(err error) bool {
	if _, ok := errors.AsType[*registry.BusyError](err); ok {
		return true
	}
	if refused, ok := errors.AsType[*transport.Error](err); ok {
		switch refused.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return true
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, net.ErrClosed} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// Explain words an error of the OCI side: what was being done, and which permission is missing if one is.
func (p Pusher) Explain(doing, action string, err error) error {
	refused, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return fmt.Errorf("%s to %s: %w", doing, p.Repository, err)
	}
	for _, e := range refused.Errors {
		if e.Code == transport.NameUnknownErrorCode {
			return fmt.Errorf("%s: %w: %s", doing, shipped.ErrNoRepository, p.Repository)
		}
		if e.Code == transport.DeniedErrorCode {
			return fmt.Errorf("%s to %s needs %s and what else a push needs, which the registry does not allow: %s: %w", doing, p.Repository, action, e.Message, err)
		}
	}
	if refused.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%s to %s needs %s and what else a push needs, which the registry does not allow: %w", doing, p.Repository, action, err)
	}
	return fmt.Errorf("%s to %s: %w", doing, p.Repository, err)
}
