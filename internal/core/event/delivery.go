package event

import "time"

// Refused is the error of a receiver that has read what it was sent and does not want it: sending the same again does no good. Any other
// error of a delivery may pass.
type Refused struct{ Reason string }

// Error implements error.
func (r Refused) Error() string { return r.Reason }

// Later is the error of a receiver that takes more at another time. After is how long it asks to be left alone, 0 where it does not say.
type Later struct {
	After  time.Duration
	Reason string
}

// Error implements error.
func (l Later) Error() string { return l.Reason }
