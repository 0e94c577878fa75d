package metadb

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limitUnheard bounds how long the system sends the same bytes again and again to a machine that does not
// acknowledge them. Keep-alive probes do not help there: they begin only when nothing is on its way.
func limitUnheard(limit time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) (err error) {
		if !strings.HasPrefix(network, "tcp") {
			return nil // a Unix socket
		}
		refused := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds()))
		})
		if refused != nil {
			return refused
		}
		return err
	}
}
