package fsck

import (
	"context"
	"time"
)

const (
	// burst is how much time a pace may make up for.
	burst = time.Second
	// slowest bounds from below what the scrub's pace is worked out to be, in bytes per second: with few bytes it is done
	// early and rests for the remainder of its period.
	slowest = 1 << 20
	// haste is the part of its period in which the scrub is to be done, by its pace; stores have bad days.
	haste = 0.8
)

// scrubRate is how fast everything is to be read so that it is done within a period.
func scrubRate(total int64, period time.Duration, most int64) int64 {
	rate := max(slowest, int64(float64(total)/(period.Seconds()*haste)))
	if most > 0 {
		rate = min(rate, most)
	}
	return rate
}

// pace holds a reader to a number of bytes per second.
type pace struct {
	rate int64 // 0: no limit
	now  func() time.Time
	next time.Time // when all that was read so far is paid for
}

// wait counts n bytes, and waits until there was time for them.
func (p *pace) wait(ctx context.Context, n int64) error {
	if p.rate <= 0 {
		return ctx.Err()
	}
	now := p.now()
	if least := now.Add(-burst); p.next.Before(least) {
		p.next = least
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	ahead := p.next.Sub(now)
	if ahead <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
