package app_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/events"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// posting is what a server posts events with.
type posting struct {
	webhook *deliver.Webhook
	place   events.Place
	batch   bool
}

func (p posting) Send(ctx context.Context, entries []feed.Entry) error {
	m, err := p.place.Encode(events.CloudEvents, p.batch, entries)
	if err != nil {
		return err
	}
	return p.webhook.Send(ctx, deliver.Message{ID: m.ID, ContentType: m.ContentType, Body: m.Body})
}

// BenchmarkEventsToWebhook records events, gives them numbers, and posts them to a webhook on this machine, signed: 1,000 a second are to be reached, in
// order per repository, be they one repository's or many, with a message for each or with batches.
func BenchmarkEventsToWebhook(b *testing.B) {
	for _, test := range []struct{ repositories, batch int }{{1, 1}, {100, 1}, {1, 100}, {100, 100}} {
		b.Run(fmt.Sprintf("repositories=%d/batch=%d", test.repositories, test.batch), func(b *testing.B) {
			var posts atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				posts.Add(1)
			}))
			defer server.Close()
			webhook, err := deliver.NewWebhook(deliver.WebhookConfig{
				URL: server.URL, Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte(hookKey)), AllowPrivate: true, Now: time.Now,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer webhook.Close()
			db := metadbtest.New(b)
			d := feed.Deliverer{Store: db.Feed(), Deliveries: db.Feed(), Holder: "bench", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
			place := events.Place{Account: castleAccount, Region: "us-east-1", URL: "https://registry.example.com"}
			hook := feed.Receiver{Name: "hook", Batch: test.batch, Target: posting{webhook, place, test.batch > 1}}
			if _, err := d.Once(b.Context(), hook); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				deliverMany(b, db, d, hook, test.repositories)
			}
			b.ReportMetric(float64(b.N*benchEvents)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(posts.Load())/float64(b.N), "posts/op")
		})
	}
}

const benchEvents = 2000

// deliverMany takes some thousand events all the way.
func deliverMany(b *testing.B, db *metadb.DB, d feed.Deliverer, hook feed.Receiver, repositories int) {
	now := time.Now()
	for range benchEvents / 100 { // a hundred pushes share a commit, as they do under load
		err := db.Update(b.Context(), func(tx registry.Tx) error {
			all := make([]event.Event, 100)
			for i := range all {
				all[i] = event.Event{
					Kind: event.ImagePushed, At: now, Actor: "arn:aws:iam::123456789012:root", Repository: fmt.Sprintf("team/app-%d", i%repositories),
					Digest: oci.FromBytes([]byte{byte(i)}), Tags: []string{"latest"}, MediaType: oci.MediaTypeOCIManifest, New: true, Source: event.Push,
				}
			}
			return tx.RecordEvents(b.Context(), all)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	dispatcher := event.Dispatcher{Outbox: db.Outbox(), Now: func() time.Time { return now }}
	for more := true; more; {
		var err error
		if more, err = dispatcher.Once(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = d.Once(b.Context(), hook); err != nil {
			b.Fatal(err)
		}
	}
}
