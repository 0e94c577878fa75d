package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// listen opens the address. localhost means both loopback addresses, since clients differ in which they
// try first (docker and browsers ::1, others 127.0.0.1).
func listen(ctx context.Context, address string) ([]net.Listener, error) {
	var lc net.ListenConfig
	host, wanted, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	if host == "localhost" {
		return listenLocalhost(ctx, wanted, lc.Listen)
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return []net.Listener{l}, nil
}

// portTries is how many ports the system may propose, for IPv4, that are taken for IPv6.
const portTries = 10

// listenLocalhost opens a port on both loopback addresses. A machine without IPv6 has only the one; but where
// there is IPv6, the port of [::1] must be ours too: whoever has it would get what clients send to localhost.
func listenLocalhost(ctx context.Context, wanted string, open func(ctx context.Context, network, address string) (net.Listener, error)) ([]net.Listener, error) {
	for try := 1; ; try++ {
		l4, err := open(ctx, "tcp4", net.JoinHostPort("127.0.0.1", wanted))
		if err != nil {
			return nil, fmt.Errorf("listening: %w", err)
		}
		l6, err := open(ctx, "tcp6", net.JoinHostPort("::1", port(l4)))
		switch {
		case err == nil:
			return []net.Listener{l4, l6}, nil
		case noIPv6(err):
			return []net.Listener{l4}, nil
		}
		_ = l4.Close() // it never served
		if wanted == "0" && errors.Is(err, syscall.EADDRINUSE) && try < portTries {
			continue
		}
		return nil, fmt.Errorf("listening: %w (localhost is both 127.0.0.1 and [::1]; to listen on one alone, name it)", err)
	}
}

// noIPv6 tells errors of a machine, or a container, that has no IPv6.
func noIPv6(err error) bool {
	for _, lacking := range []error{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT} {
		if errors.Is(err, lacking) {
			return true
		}
	}
	return false
}

// port is the listener's real port, where 0 was asked for.
func port(l net.Listener) string {
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "" // a TCP listener's address always has one
	}
	return p
}

// certificate is a certificate in files, read again when they change, so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate // guarded by mu
	stamp  [2]time.Time     // guarded by mu: when the files that loaded came from were changed
}

// get is tls.Config's GetCertificate. A pair that cannot be read, perhaps because it is being replaced just
// now, leaves the one that works.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp, err := c.changed()
	if err == nil && c.loaded != nil && stamp == c.stamp {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	switch {
	case err == nil:
		c.loaded, c.stamp = &pair, stamp
	case c.loaded == nil:
		return nil, err
	case stamp != c.stamp:
		c.stamp = stamp // said once for each change
		c.logger.Error("keeping the old TLS certificate", slog.Any("error", err))
	}
	return c.loaded, nil
}

func (c *certificate) changed() (stamp [2]time.Time, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}
