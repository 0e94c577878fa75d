package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

const (
	// sendTime is how long a target may take for one message.
	sendTime = 30 * time.Second
	// claim is longer than that, and bounds how long a crash delays a message.
	claim      = 2 * time.Minute
	firstRetry = 2 * time.Second
	lastRetry  = 15 * time.Minute
	// giveUp is how long it is tried to deliver a message.
	giveUp = 24 * time.Hour
	// keep is how long it is known what became of a message.
	keep = 30 * 24 * time.Hour
	// batch is how many messages a piece of the job sends.
	batch      = 20
	sweepBatch = 500
)

// TargetNames lists the targets in order: there is a job for each.
func (s *Service) TargetNames() []string {
	var names []string
	for _, t := range s.targets {
		names = append(names, t.Name)
	}
	return names
}

// DeliverOnce sends some messages that are due to a target, by its name, and tells whether there may be more. What fails is due again later.
func (s *Service) DeliverOnce(ctx context.Context, name string) (more bool, err error) {
	t, err := s.target(name)
	if err != nil {
		return false, err
	}
	for range batch {
		now := s.now()
		d, found, err := s.rows.ClaimDelivery(ctx, t.Name, now, now.Add(claim), now.Add(2*lastRetry+claim))
		if err != nil {
			return false, fmt.Errorf("looking for what to send to %s: %w", t.Name, err)
		}
		if !found {
			return false, nil
		}
		if err := s.deliver(ctx, t, d); err != nil {
			return false, err
		}
	}
	return true, nil
}

// deliver sends one message and stores what became of it. Its error is the database's, or that of a server which stops.
func (s *Service) deliver(ctx context.Context, t Target, d Delivery) error {
	sending, cancel := context.WithTimeout(ctx, sendTime)
	err := t.Sender.Send(sending, message(d))
	cancel()
	if ctx.Err() != nil && err != nil {
		return ctx.Err() // the claim lapses, and another run goes on
	}
	now := s.now()
	d.Attempts++
	wait := event.Backoff(d.Attempts-1, firstRetry, lastRetry)
	if later, ok := errors.AsType[event.Later](err); ok {
		wait = max(wait, min(later.After, lastRetry))
	}
	refused := false
	if err != nil {
		d.Problem = short(err.Error())
		_, refused = errors.AsType[event.Refused](err)
	}
	switch {
	case err == nil:
		d.State, d.EndedAt, d.Problem = Delivered, now, ""
	case refused, now.Add(wait).Sub(d.CreatedAt) > giveUp:
		d.State, d.EndedAt = Failed, now
		s.gaveUp(ctx, d)
	default:
		d.DueAt = now.Add(wait)
		s.logger.LogAttrs(ctx, slog.LevelWarn, "a notice could not be delivered", slog.String("target", d.Target),
			slog.String("subject", d.Notice.Subject), slog.Int("attempt", d.Attempts), slog.String("problem", d.Problem), slog.Time("again", d.DueAt))
	}
	if err := s.rows.SettleDelivery(ctx, d); err != nil {
		return fmt.Errorf("storing what became of a notice for %s: %w", d.Target, err)
	}
	return nil
}

func (s *Service) gaveUp(ctx context.Context, d Delivery) {
	s.logger.LogAttrs(ctx, slog.LevelError, "a notice is given up", slog.String("target", d.Target), slog.String("subject", d.Notice.Subject),
		slog.Int("attempts", d.Attempts), slog.String("problem", d.Problem))
}

func message(d Delivery) Message {
	return Message{
		ID: "notice-" + strconv.FormatInt(d.EventID, 10) + "-" + d.Target, At: d.CreatedAt,
		Subject: d.Notice.Subject, Text: d.Notice.Text, Detail: d.Notice.Detail,
	}
}

const maxProblem = 500

func short(s string) string {
	if r := []rune(s); len(r) > maxProblem {
		return string(r[:maxProblem]) + "…"
	}
	return s
}

// SweepOnce gives up what nobody sends any more, for its target is not in the configuration, and forgets what ended long ago. It tells
// whether there may be more.
func (s *Service) SweepOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	overdue, err := s.rows.OverdueDeliveries(ctx, now.Add(-giveUp-claim), sweepBatch)
	if err != nil {
		return false, fmt.Errorf("looking for notices that are overdue: %w", err)
	}
	for _, d := range overdue {
		d.State, d.EndedAt = Failed, now
		if d.Problem == "" && !s.Known(d.Target) {
			d.Problem = notConfigured
		}
		if err := s.rows.SettleDelivery(ctx, d); err != nil {
			return false, fmt.Errorf("giving up a notice: %w", err)
		}
		s.gaveUp(ctx, d)
	}
	n, err := s.rows.PruneDeliveries(ctx, now.Add(-keep), sweepBatch)
	return len(overdue) >= sweepBatch || n >= sweepBatch, err
}

// Deliverer is DeliverOnce for one target, as a job.
func (s *Service) Deliverer(name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) { return s.DeliverOnce(ctx, name) }
}
