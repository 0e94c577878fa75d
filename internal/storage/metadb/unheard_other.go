//go:build !linux

package metadb

import (
	"syscall"
	"time"
)

// limitUnheard has no counterpart outside Linux: the limits of this package's own do its work, later.
func limitUnheard(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
