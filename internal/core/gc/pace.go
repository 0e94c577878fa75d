package gc

import (
	"context"
	"time"
)

const (
	// writersShare is how many times as long as a transaction took the database is left to others after it.
	writersShare = 4
	// longestRest bounds that: a transaction that had to wait for a lock says little about how busy the writer is, and a clock
	// that was set meanwhile nothing at all.
	longestRest = time.Second
)

// pace holds the sweep to a rate, and keeps it from taking more than its share of the database's writer.
type pace struct {
	rate  int           // things a second; 0: no bound
	ahead time.Duration // how long it has worked, beside the database, on what is counted next
}

func (s *Service) pace() *pace { return &pace{rate: s.Rate} }

// batch is how many things to take at once: no more than a second may have, so that a low rate is not kept in bursts.
func (p *pace) batch() int {
	if p.rate > 0 {
		return min(mostAtOnce, p.rate)
	}
	return mostAtOnce
}

// spent tells of time that went into things which are counted later. The blob store is left alone for as long.
func (p *pace) spent(d time.Duration) { p.ahead += d }

// rest waits after a transaction that took so many things and so long. It answers the context's error where that ends first.
func (p *pace) rest(ctx context.Context, things int, took time.Duration) error {
	took, p.ahead = min(max(took, 0), longestRest), min(max(p.ahead, 0), longestRest)
	wait := min(max(writersShare*took, p.ahead), longestRest)
	if p.rate > 0 && things > 0 {
		wait = max(wait, time.Duration(things)*time.Second/time.Duration(p.rate)-took-p.ahead)
	}
	p.ahead = 0
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
