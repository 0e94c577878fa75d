package app_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/hoopstat-haus/berth/internal/app"
)

// TestLocalhostOfAnother has somebody else listen on [::1]: docker asks there first, so going on without it
// would hand that one the passwords.
func TestLocalhostOfAnother(t *testing.T) {
	t.Parallel()
	if !hasIPv6(t) {
		t.Skip("this machine has no IPv6")
	}
	theirs, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	_, port, err := net.SplitHostPort(theirs.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), settings(t, t.TempDir(), "listen=localhost:"+port), deps())
	if err == nil {
		t.Fatal(errors.Join(errors.New("New works although another has the port on [::1]"), a.Close()))
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "[::1]:"+port) {
		t.Errorf("New: %v, want it to say that [::1]:%s is in use", err, port)
	}
	if l, err := net.Listen("tcp4", "127.0.0.1:"+port); err != nil {
		t.Errorf("the failed New keeps its other address: %v", err)
	} else {
		l.Close()
	}
}

// fake opens IPv4 and fails IPv6 with one error after another, until there are no more.
type fake struct {
	failures []error
	opened   int
}

func (f *fake) open(ctx context.Context, network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	if network == "tcp4" {
		f.opened++
		return lc.Listen(ctx, network, address)
	}
	if len(f.failures) == 0 {
		return lc.Listen(ctx, "tcp4", "127.0.0.1:0") // stands for [::1], which not every machine has
	}
	err := f.failures[0]
	f.failures = f.failures[1:]
	return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("bind", err)}
}

func TestLocalhostWithoutIPv6(t *testing.T) {
	t.Parallel()
	inUse := make([]error, 100)
	for i := range inUse {
		inUse[i] = syscall.EADDRINUSE
	}
	for name, test := range map[string]struct {
		failures  []error
		opened    int
		listeners int
	}{
		"none on this machine":    {[]error{syscall.EAFNOSUPPORT}, 1, 1},
		"none in this container":  {[]error{syscall.EADDRNOTAVAIL}, 1, 1},
		"switched off":            {[]error{syscall.EPROTONOSUPPORT}, 1, 1},
		"any port, taken twice":   {inUse[:2], 3, 2},
		"any port, always taken":  {inUse, 10, 0},
		"not allowed":             {[]error{syscall.EACCES}, 1, 0},
		"too many files are open": {[]error{syscall.EMFILE}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{failures: test.failures}
			listeners, err := app.ListenLocalhost(t.Context(), "0", f.open)
			for _, l := range listeners {
				l.Close()
			}
			if len(listeners) != test.listeners || f.opened != test.opened || (err == nil) != (test.listeners > 0) {
				t.Errorf("%d listeners after %d tries, %v; want %d after %d", len(listeners), f.opened, err, test.listeners, test.opened)
			}
		})
	}
}
