package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// relay stands between a client and a server, and can fall silent in two ways.
type relay struct {
	t        *testing.T
	listener *net.TCPListener
	server   string
	work     sync.WaitGroup

	mu     sync.Mutex
	stuck  bool
	moved  *sync.Cond // mu; stuck or closed has changed
	closed bool
	conns  []*net.TCPConn // all of them
	fronts []*net.TCPConn // those of clients
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // which has no filters
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, listener: l.(*net.TCPListener), server: server}
	r.moved = sync.NewCond(&r.mu)
	r.work.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) accept() {
	for {
		front, err := r.listener.AcceptTCP()
		if err != nil {
			return
		}
		back, err := net.Dial("tcp", r.server)
		if err != nil {
			r.t.Errorf("the relay cannot reach the server: %v", err)
			return
		}
		r.mu.Lock()
		r.conns = append(r.conns, front, back.(*net.TCPConn))
		r.fronts = append(r.fronts, front)
		if r.closed {
			front.Close()
			back.Close()
		}
		r.mu.Unlock()
		r.work.Go(func() { r.forward(back, front) })
		r.work.Go(func() { r.forward(front, back) })
	}
}

func (r *relay) forward(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		r.mu.Lock()
		for r.stuck && !r.closed {
			r.moved.Wait()
		}
		r.mu.Unlock()
		if _, wErr := to.Write(buffer[:n]); err != nil || wErr != nil {
			return
		}
	}
}

// hang has the relay take everything and pass nothing on, as a server or a proxy that hangs.
func (r *relay) hang() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = true
}

func (r *relay) goOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = false
	r.moved.Broadcast()
}

// vanish has the system drop whatever comes from clients, unseen: no acknowledgement, no reset, as if the
// machine had lost its power.
func (r *relay) vanish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	program := &unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]}
	sockets := []syscall.Conn{r.listener}
	for _, c := range r.fronts {
		sockets = append(sockets, c)
	}
	for _, c := range sockets {
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		var refused error
		if err := raw.Control(func(fd uintptr) {
			refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
		}); err != nil || refused != nil {
			return errors.Join(err, refused)
		}
	}
	return nil
}

func (r *relay) close() {
	r.listener.Close()
	r.mu.Lock()
	r.closed = true
	r.moved.Broadcast()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// behindRelay opens a database behind a relay.
func behindRelay(t *testing.T, p metadb.Patience) (*metadb.DB, *relay) {
	t.Helper()
	u, err := url.Parse(metadbtest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, u.Host)
	u.Host = r.listener.Addr().String()
	u.RawQuery += "&connect_timeout=1"
	db, err := metadb.OpenPostgresWith(t.Context(), u.String(), p)
	if err != nil {
		t.Fatalf("OpenPostgres: %v", err)
	}
	t.Cleanup(func() {
		r.close()
		_ = db.Close()
	})
	return db, r
}

// bounded fails the test unless f ends with fault.Unavailable, and does so in time.
func bounded(t *testing.T, what string, f func() error) {
	t.Helper()
	const most = 15 * time.Second // the system alone would take as many minutes
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	select {
	case err := <-ended:
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v, want fault.Unavailable", what, err)
		}
		t.Logf("%s ended after %v", what, time.Since(began).Round(time.Millisecond))
	case <-time.After(most):
		t.Fatalf("%s still waits after %v", what, most)
	}
}

// everything is what callers may wait for.
func everything(t *testing.T, db *metadb.DB) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 30 { // more than there are connections
		all.Go(func() {
			bounded(t, "a read", func() error { return db.Ping(t.Context()) })
			bounded(t, "an update", func() error { return db.Update(t.Context(), insert(t, fmt.Sprint("lost", i))) })
		})
	}
	all.Wait()
}

// TestServerThatHangs takes what is sent and answers nothing.
func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	const short, long = 300 * time.Millisecond, time.Hour
	for name, p := range map[string]metadb.Patience{
		"at once":         {Begin: short, Read: short, Write: long, Gone: long},
		"in an update":    {Begin: long, Read: long, Write: short, Gone: long},
		"at the commit":   {Begin: long, Read: long, Write: short, Gone: long},
		"at the rollback": {Begin: short, Read: long, Write: long, Gone: long},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, r := behindRelay(t, p)
			addRepository(t, db, "app")
			mine := fault.New(fault.Unavailable, "mine")
			if name == "at once" {
				r.hang()
				everything(t, db)
			} else {
				bounded(t, "an update", func() error {
					return db.Update(t.Context(), func(tx registry.Tx) error {
						if err := insert(t, "lost")(tx); err != nil {
							return err
						}
						r.hang()
						switch name {
						case "in an update":
							return insert(t, "lost too")(tx)
						case "at the rollback":
							return mine
						}
						return nil
					})
				})
			}
			r.goOn()
			if err := db.Update(t.Context(), insert(t, "works again")); err != nil {
				t.Errorf("Update when the server answers again: %v", err)
			}
		})
	}
}

// TestServerThatVanishes does not even acknowledge. The limits of this package's own are too long to matter,
// but for the wait for a free connection.
func TestServerThatVanishes(t *testing.T) {
	t.Parallel()
	p := metadb.Patience{Begin: time.Hour, Read: 3 * time.Second, Write: time.Hour, Gone: 500 * time.Millisecond}
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		db, r := behindRelay(t, p)
		addRepository(t, db, "app")
		if err := r.vanish(); err != nil {
			t.Fatal(err)
		}
		everything(t, db)
	})
	t.Run("in an update", func(t *testing.T) {
		t.Parallel()
		db, r := behindRelay(t, p)
		bounded(t, "an update", func() error {
			return db.Update(t.Context(), func(tx registry.Tx) error {
				if err := insert(t, "lost")(tx); err != nil {
					return err
				}
				if err := r.vanish(); err != nil {
					t.Errorf("vanishing: %v", err)
				}
				return insert(t, "lost too")(tx)
			})
		})
	})
}

// TestCallersDeadlineStays sees that a caller who runs out of time is not told that the server did.
func TestCallersDeadlineStays(t *testing.T) {
	t.Parallel()
	db, r := behindRelay(t, metadb.Patience{Begin: time.Hour, Read: time.Hour, Write: time.Hour, Gone: time.Hour})
	addRepository(t, db, "app")
	r.hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := db.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fault.Unavailable) {
		t.Errorf("Ping with a deadline that passes: %v, want context.DeadlineExceeded", err)
	}
}
