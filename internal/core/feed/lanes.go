package feed

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

// lane is messages that go one after the other.
type lane struct {
	units [][]Entry
	// Of a repository that is late: how it was, how far it is when all was sent, and whether that is all there is up to the receiver's number.
	late  bool
	was   Late
	end   int64
	whole bool
}

// sending is several lanes at once, and what comes of them.
type sending struct {
	unfinished bool // a lane of a late repository has more

	mu       sync.Mutex
	progress Progress // guarded by mu
	failures int      // guarded by mu: in a row
	stopped  bool     // guarded by mu: the rest waits for another round
}

// send works the lanes off.
func (r *round) send(ctx context.Context, all []*lane) *sending {
	s := &sending{}
	next := make(chan *lane)
	var working sync.WaitGroup
	for range min(lanes, len(all)) {
		working.Go(func() {
			for l := range next {
				if l.late {
					r.sendLate(ctx, s, l)
				} else {
					r.sendNew(ctx, s, l)
				}
			}
		})
	}
	for _, l := range all {
		next <- l
	}
	close(next)
	working.Wait()
	return s
}

// over tells whether no more is sent in this round.
func (r *round) over(ctx context.Context, s *sending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped || ctx.Err() != nil || !r.Now().Before(r.ends)
}

// try sends a message, unless the round is over; then sent and err are both nothing.
func (r *round) try(ctx context.Context, s *sending, unit []Entry) (sent bool, err error) {
	if r.over(ctx, s) {
		return false, nil
	}
	err = r.receiver.Target.Send(ctx, unit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.failures = 0
		if unit[0].Kind != event.EventsMissed {
			s.progress.Sent += int64(len(unit))
		}
		return true, nil
	}
	if ctx.Err() != nil { // this server stops, and the receiver did nothing wrong
		return false, nil
	}
	s.fail(err)
	if _, refused := errors.AsType[event.Refused](err); refused {
		return false, err // who refuses is there
	}
	if s.failures++; s.failures >= deadAfter && s.progress.Sent == 0 {
		s.stopped = true
	}
	if wait := after(err); wait > 0 {
		s.stopped = true
		s.pause(wait, r.Now())
	}
	return false, err
}

func (s *sending) fail(err error) {
	s.progress.Failure = words(err)
}

// words is an error for keeping.
func words(err error) string {
	text := err.Error()
	return strings.ReplaceAll(strings.ToValidUTF8(text[:min(len(text), maxFailure)], "?"), "\x00", "?")
}

func (s *sending) pause(wait time.Duration, now time.Time) { s.progress.PausedUntil = now.Add(wait) }

// after is how long a receiver asks to be left alone.
func after(err error) time.Duration {
	later, _ := errors.AsType[event.Later](err)
	return later.After
}

// sendNew sends what is new. Repositories that were not late are, from the first entry that was not taken.
func (r *round) sendNew(ctx context.Context, s *sending, l *lane) {
	late := map[string]bool{}
	for _, unit := range l.units {
		var rest []Entry
		for _, e := range unit {
			if !late[e.Repository] {
				rest = append(rest, e)
			}
		}
		if len(rest) == 0 {
			continue
		}
		sent, err := r.try(ctx, s, rest)
		if sent {
			continue
		}
		for _, e := range rest {
			if !late[e.Repository] {
				late[e.Repository] = true
				r.fallBehind(s, Late{Repository: e.Repository, Number: e.Number - 1}, err)
			}
		}
	}
}

// fallBehind makes a repository late, or keeps it so.
func (r *round) fallBehind(s *sending, l Late, err error) {
	now := r.Now()
	l.DueAt = now.Add(notTried)
	if err != nil {
		l.DueAt = now.Add(max(event.Backoff(l.Attempts, firstRetry, lastRetry), after(err)))
		l.Attempts++
		l.Failure = words(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Late = append(s.progress.Late, l)
}

// sendLate goes on with a repository that is late.
func (r *round) sendLate(ctx context.Context, s *sending, l *lane) {
	at := l.was
	for _, unit := range l.units {
		e := unit[0]
		sent, err := r.try(ctx, s, unit)
		_, refused := errors.AsType[event.Refused](err)
		switch {
		case sent:
		case refused && (e.Kind == event.EventsMissed || at.Attempts+1 >= refusals):
			r.setAside(s, e, err)
		default:
			r.fallBehind(s, at, err)
			return
		}
		at.Number, at.Attempts, at.Failure = e.Number, 0, ""
		if e.Kind == event.EventsMissed {
			s.addMissed(e.Count)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.whole {
		s.progress.Caught = append(s.progress.Caught, at.Repository)
		return
	}
	at.Number, at.DueAt = l.end, r.Now()
	s.progress.Late = append(s.progress.Late, at)
	s.unfinished = true
}

func (s *sending) addMissed(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress.Missed += n
}

// setAside gives an event up.
func (r *round) setAside(s *sending, e Entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind != event.EventsMissed {
		s.progress.SetAside = append(s.progress.SetAside, Aside{
			Number: e.Number, Repository: e.Repository, At: r.Now(), Reason: words(err),
		})
	}
}
