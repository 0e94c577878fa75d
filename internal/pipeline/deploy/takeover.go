package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
)

// Found is a deployment that nobody ended, and what was done about it.
type Found struct {
	Entry   Entry
	Running Running            // what the target ran then
	Ended   deployment.Outcome // as which it was ended
	Reason  string
}

// settle ends a deployment whose deployer did not come back: as a success if its image runs and is healthy; otherwise what ran before is
// made to run. The state is the one after that.
func (r *run) settle(ctx context.Context, state State) (State, error) {
	pending := *state.Pending
	r.note("found %s, without an end: whoever it was did not come back", pending.sentence())
	found := &Found{Entry: pending, Running: *r.result.Running}
	r.result.Found = found
	outcome, why, err := r.finishOrUndo(ctx, state, found.Running)
	if err != nil {
		if _, lost := errors.AsType[*Conflict](err); lost {
			return state, err
		}
		return state, fmt.Errorf("what %s left behind could not be cleared up: %w", pending.ID, err)
	}
	found.Ended, found.Reason = outcome, clip("the deployer did not come back; "+why)
	r.note("ended it as %s: %s", outcome, why)
	end := pending.Record
	end.At, end.Previous, end.Outcome, end.Actor, end.Reason = r.second(), pending.Digest, outcome, clip(r.actor), found.Reason
	entry, err := r.records.Write(ctx, end, time.Time{})
	if err != nil {
		return state, err
	}
	r.result.Record = &entry
	now, err := r.target.Running(ctx, r.App, r.Request.Environment)
	if err != nil {
		return state, err //nolint:wrapcheck // says what it was about
	}
	r.result.Running = &now
	return r.records.stateFrom(ctx, entry)
}

// finishOrUndo tells as what the pending deployment ended, and why. An error is that this cannot be known or done now.
func (r *run) finishOrUndo(ctx context.Context, state State, now Running) (deployment.Outcome, string, error) {
	pending := *state.Pending
	unhealthy := ""
	if now.Digest == pending.Image.Digest && now.Begun == "" {
		err := r.again(ctx, pending, pending.Record)
		switch {
		case err == nil:
			return deployment.Succeeded, "its image runs and is healthy", nil
		case isOver(ctx, err):
			return "", "", err
		}
		unhealthy = "; its image runs and is not healthy: " + err.Error()
	}
	before := state.Runs
	switch {
	case before == nil:
		return deployment.Failed, "nothing ran before" + unhealthy, nil
	case now.Digest == before.Image.Digest && now.Begun == "":
		return deployment.Failed, "what ran before runs", nil
	}
	err := r.again(ctx, pending, before.Record)
	switch {
	case err == nil:
		return deployment.Failed, "what ran before was made to run again" + unhealthy, nil
	case isOver(ctx, err):
		return "", "", err
	}
	return deployment.Broken, "what ran before could not be put back: " + err.Error() + unhealthy, nil
}

// again has the target run what a record is about, and checks it, as long as nobody else has ended what is pending: several may have found
// it, and what the quickest of them deployed afterwards is not to be switched away from by the others.
func (r *run) again(ctx context.Context, pending Entry, of deployment.Record) error {
	image, err := r.image(ctx, of)
	if err != nil {
		return err
	}
	if at, newest, err := r.records.at(ctx, pending); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	} else if at != pending.Digest {
		return &Conflict{newest, ""}
	}
	return r.target.Switch(ctx, image, r.ours(pending, r.healthy(image)), r.task) //nolint:wrapcheck // says what it was about
}

// isOver tells whether an error says nothing of an image: the target is not there, there was no more time, or somebody else is at it.
func isOver(ctx context.Context, err error) bool {
	_, lost := errors.AsType[*Conflict](err)
	return lost || ctx.Err() != nil || errors.Is(err, ErrUnreachable)
}
