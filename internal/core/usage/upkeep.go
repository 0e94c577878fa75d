package usage

import (
	"context"
	"fmt"
	"time"
)

const (
	// settle is how long after its end an hour is packed: most of what comes late has come by then, and is written once.
	settle = 5 * time.Minute
	// pieces is how many series are packed, or looked through, in one transaction.
	pieces = 200
	// claim is longer than a piece of a round takes, and bounds how long a crash delays the next.
	claim = 2 * time.Minute
	// rounds is how often everything is gone over.
	rounds = time.Hour
	// remember is how long it is remembered that an event was counted, after it has left the outbox: longer than a replica holds one that
	// it has taken, however slow it is.
	remember = time.Hour

	forgetting = "forget" // the name of a round
)

// RollUpOnce packs some of the hours that have ended, and tells whether there may be more. Any number of replicas may, at the same time.
func (s *Service) RollUpOnce(ctx context.Context) (more bool, err error) {
	more, err = s.upkeep.RollUp(ctx, floor(s.now().Add(-settle), Hour), pieces)
	if err != nil {
		return false, fmt.Errorf("rolling up hours: %w", err)
	}
	return more, nil
}

// ForgetOnce does a piece of the round that removes what is older than it is kept, and tells whether there is more to do.
func (s *Service) ForgetOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	step, found, err := s.upkeep.ClaimRound(ctx, forgetting, now, now.Add(claim), rounds)
	if err != nil || !found {
		return false, err
	}
	old := Cutoffs{
		Minutes: floor(now.Add(-s.keep.Minutes), Minute), Hours: floor(now.Add(-s.keep.Hours), Hour), Days: floor(now.Add(-s.keep.Days), Day),
	}
	if step.Next, err = s.upkeep.Forget(ctx, old, step.Place, pieces); err != nil {
		return false, fmt.Errorf("forgetting old points: %w", err)
	}
	step.DueAt = now
	if step.Next == "" {
		step.DueAt = floor(now, rounds).Add(rounds)
		for {
			more, err := s.upkeep.ForgetEvents(ctx, now.Add(-remember), pieces)
			if err != nil {
				return false, fmt.Errorf("forgetting counted events: %w", err)
			}
			if !more {
				break
			}
		}
	}
	return step.Next != "", s.upkeep.EndStep(ctx, step)
}
