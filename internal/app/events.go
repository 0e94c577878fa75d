package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/events"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
)

const (
	// lookForEvents is how often a process looks for events that another one has handed on, and a receiver for what is due again.
	lookForEvents = time.Second
	// gatherEntries lets readers and receivers have the events of a moment together.
	gatherEntries = 20 * time.Millisecond
)

// eventFeed is all there is for programs that want to know what happens.
type eventFeed struct {
	feed      *feed.Feed
	face      *events.Face
	toLook    jobs.Bell // rings when there are events in the feed
	deliverer feed.Deliverer
	receivers []eventReceiver
}

type eventReceiver struct {
	feed.Receiver
	bell    jobs.Bell
	webhook *deliver.Webhook
}

// Handle implements event.Handler: what it is handed is in the feed already.
func (f *eventFeed) Handle(context.Context, event.Event) error {
	f.toLook.Ring()
	return nil
}

// tell records an event that goes with no change. Its loss is logged, and hinders nobody.
func (a *App) tell(ctx context.Context, e event.Event) {
	err := a.database.Update(ctx, func(tx registry.Tx) error { return tx.RecordEvents(ctx, []event.Event{e}) })
	if err != nil {
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "an event was lost", slog.String("kind", string(e.Kind)), slog.Any("error", err))
		return
	}
	a.outbox.Ring()
}

// newEvents makes the feed and its receivers. It needs to know how clients call this server.
func (a *App) newEvents() error {
	f := &eventFeed{toLook: jobs.NewBell()}
	rows := a.database.Feed()
	f.feed = feed.New(feed.Config{
		Registry: a.registry, Store: rows, Deliveries: rows, Now: a.deps.Now, Keep: a.cfg.EventsKeep, KeepMost: int64(a.cfg.EventsMost),
		Wake: func() {
			for _, r := range f.receivers {
				r.bell.Ring()
			}
		},
	})
	f.deliverer = feed.Deliverer{Store: rows, Deliveries: rows, Holder: rand.Text(), Now: a.deps.Now, Logger: a.deps.Logger}
	for i, r := range a.cfg.Events {
		made, err := a.newReceiver(r)
		if err != nil {
			return fmt.Errorf("events: entry %d: %w", i+1, err)
		}
		f.receivers = append(f.receivers, made)
	}
	a.events = f
	return nil
}

// place is what events say of where they come from.
func (a *App) place() events.Place {
	return events.Place{Account: a.cfg.Account, Region: a.cfg.Region, URL: a.url.String()}
}

func (a *App) newReceiver(r config.EventReceiver) (eventReceiver, error) {
	format := events.Format(r.Format)
	kinds := format.Kinds()
	if len(r.Kinds) > 0 {
		var wanted []event.Kind
		for _, k := range r.Kinds {
			if !slices.Contains(kinds, event.Kind(k)) {
				return eventReceiver{}, fmt.Errorf("kinds: %q is none of %v, which the format %s has", k, kinds, r.Format)
			}
			wanted = append(wanted, event.Kind(k))
		}
		kinds = wanted
	}
	webhook, err := deliver.NewWebhook(deliver.WebhookConfig{URL: r.URL, Secret: r.Secret, AllowPrivate: r.AllowPrivate, Now: a.deps.Now})
	if err != nil {
		return eventReceiver{}, fmt.Errorf("receiver %s: %w", r.Name, err)
	}
	return eventReceiver{
		Receiver: feed.Receiver{
			Name: r.Name, Filter: feed.Filter{Kinds: kinds, Repositories: r.Repositories}, Batch: r.Batch,
			Target: &eventTarget{webhook: webhook, place: a.place(), format: format, batch: r.Batch > 1},
		},
		bell: jobs.NewBell(), webhook: webhook,
	}, nil
}

// eventTarget posts events to a webhook.
type eventTarget struct {
	webhook *deliver.Webhook
	place   events.Place
	format  events.Format
	batch   bool
}

// Send implements feed.Target.
func (t *eventTarget) Send(ctx context.Context, entries []feed.Entry) error {
	m, err := t.place.Encode(t.format, t.batch, entries)
	if err != nil {
		return fmt.Errorf("writing event %d: %w", entries[0].Number, err)
	}
	if m.Body == nil { // the format has no words for it
		return nil
	}
	return t.webhook.Send(ctx, deliver.Message{ID: m.ID, ContentType: m.ContentType, Body: m.Body})
}

// newEventFace makes what answers readers.
func (a *App) newEventFace(auth *authn.Guard) *events.Face {
	a.events.face = events.New(events.Config{Feed: a.events.feed, Auth: auth, Place: a.place(), Logger: a.deps.Logger, Denials: explained{a.access}})
	return a.events.face
}

// eventJobs lists the background work of the feed: one for each receiver, so that none waits for another.
func (a *App) eventJobs() []jobs.Job {
	f := a.events
	all := []jobs.Job{
		{Name: "feed", Every: lookForEvents, Wake: f.toLook.C(), Gather: gatherEntries, Do: f.feed.LookOnce},
		{Name: "old events", Every: time.Minute, Do: f.feed.ForgetOnce},
	}
	for _, r := range f.receivers {
		all = append(all, jobs.Job{
			Name: "events to " + r.Name, Every: lookForEvents, Wake: r.bell.C(),
			Do: func(ctx context.Context) (bool, error) { return f.deliverer.Once(ctx, r.Receiver) },
		})
	}
	return all
}

// close gives up connections to receivers. The feed may be nil.
func (f *eventFeed) close() {
	if f == nil {
		return
	}
	for _, r := range f.receivers {
		r.webhook.Close()
	}
}
