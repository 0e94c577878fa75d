package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// BusyError says that the registry takes no more requests for a while, and for how long.
type BusyError struct {
	Status int
	After  time.Duration
}

// Error says so.
func (e *BusyError) Error() string {
	return fmt.Sprintf("the registry answers %d %s, and to come back after %s", e.Status, http.StatusText(e.Status), e.After)
}

// Temporary has go-containerregistry try again.
func (e *BusyError) Temporary() bool { return true }

// busy is the error in an answer that says when to come back; nil for all others. Only whole seconds are read (RFC 9110, 10.2.3): nobody
// sends dates.
func busy(res *http.Response) error {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return nil
	}
	seconds, err := strconv.ParseUint(res.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return nil //nolint:nilerr // it does not say
	}
	return &BusyError{res.StatusCode, time.Duration(seconds) * time.Second}
}
