package registry

import (
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

// EventWrites adds to the outbox.
type EventWrites interface {
	// RecordEvents adds events, in order. Ids and attempts are the outbox's own.
	RecordEvents(ctx context.Context, events []event.Event) error
}

// change is Store.Update for what records events: once they are there for good, whoever hands them on is
// woken.
func (r *Registry) change(ctx context.Context, f func(tx Tx) error) error {
	err := r.store.Update(ctx, f)
	if err == nil && r.notify != nil {
		r.notify()
	}
	return err
}

// tell records an event in the transaction that it is about.
func (r *Registry) tell(ctx context.Context, tx Tx, events ...event.Event) error {
	for i := range events {
		events[i].At = r.now()
	}
	if err := tx.RecordEvents(ctx, events); err != nil {
		return fmt.Errorf("recording events: %w", err)
	}
	return nil
}

// about is an event about an image.
func about(kind event.Kind, repo Repository, img Image, actor string, tags []string) event.Event {
	return event.Event{
		Kind: kind, Actor: actor, Repository: repo.Name, RepositoryID: repo.ID, Digest: img.Digest, Tags: tags,
		MediaType: img.MediaType, ArtifactType: img.ArtifactType, Subject: img.Subject,
	}
}
