package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
)

// Format is how events are written for a receiver.
type Format string

// The formats.
const (
	CloudEvents  Format = "cloudevents"  // CloudEvents 1.0 in JSON, structured, each with the EventBridge event as its data
	EventBridge  Format = "eventbridge"  // as Amazon EventBridge would deliver
	Distribution Format = "distribution" // notifications of the CNCF Distribution registry
)

// cloudEvent is the JSON format of CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject,omitempty"`
	Time            string `json:"time"`
	Sequence        string `json:"sequence,omitempty"` // the number, with zeros, as the extension of that name wants it
	DataContentType string `json:"datacontenttype"`
	Data            Event  `json:"data"`
}

// typePrefix makes types of kinds.
const typePrefix = "io.github.hoopstat-haus.berth."

func (p Place) cloudEvent(e feed.Entry) cloudEvent {
	b := p.eventBridge(e)
	return cloudEvent{
		SpecVersion: "1.0", ID: b.ID, Source: p.URL, Type: typePrefix + string(e.Kind), Subject: subject(e),
		Time: e.At.UTC().Format(time.RFC3339Nano), Sequence: fmt.Sprintf("%020d", e.Number), DataContentType: "application/json", Data: b,
	}
}

// subject is what an event is about, as docker would write it.
func subject(e feed.Entry) string {
	if e.Digest == "" {
		return e.Repository
	}
	return e.Repository + "@" + e.Digest.String()
}

// notification is an event in distribution's format (https://distribution.github.io/distribution/about/notifications/).
type notification struct {
	ID        string    `json:"id"`
	Timestamp string    `json:"timestamp"`
	Action    string    `json:"action"`
	Target    target    `json:"target"`
	Request   struct{}  `json:"request"`
	Actor     actor     `json:"actor"`
	Source    notSource `json:"source"`
}

type target struct {
	MediaType  string `json:"mediaType,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Repository string `json:"repository"`
	URL        string `json:"url,omitempty"`
	Tag        string `json:"tag,omitempty"`
}

type actor struct {
	Name string `json:"name,omitempty"`
}

type notSource struct {
	Addr string `json:"addr,omitempty"`
}

// distributionKinds are the kinds that distribution's format has actions for.
var distributionKinds = map[event.Kind]string{
	event.ImagePushed: "push", event.ImagePulled: "pull", event.ImageDeleted: "delete", event.ImageUntagged: "delete",
}

// notifications gives an event for each tag, as distribution does.
func (p Place) notifications(e feed.Entry) []notification {
	action, ok := distributionKinds[e.Kind]
	if !ok {
		return nil
	}
	tags := e.Tags
	if len(tags) == 0 || e.Kind == event.ImageDeleted {
		tags = []string{""}
	}
	all := make([]notification, len(tags))
	for i, tag := range tags {
		all[i] = notification{
			ID: p.id(e), Timestamp: e.At.UTC().Format(time.RFC3339Nano), Action: action,
			Target: target{MediaType: e.MediaType, Digest: e.Digest.String(), Repository: e.Repository, Tag: tag},
			Actor:  actor{e.Actor}, Source: notSource{p.URL},
		}
		if i > 0 {
			all[i].ID += fmt.Sprint("-", i)
		}
		if action != "delete" {
			all[i].Target.URL = p.URL + "/v2/" + e.Repository + "/manifests/" + e.Digest.String()
		} else if tag != "" {
			all[i].Target.Digest = "" // of a tag that is gone, distribution tells its name
		}
	}
	return all
}

// Kinds are the kinds that a format can tell of.
func (f Format) Kinds() []event.Kind {
	var kinds []event.Kind
	for _, k := range event.Kinds() {
		if _, ok := distributionKinds[k]; ok || f != Distribution {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Message is events in a format.
type Message struct {
	ID          string // the same for the same events
	ContentType string
	Header      http.Header
	Body        []byte
}

// Encode writes events for a receiver: one by itself, or several as a batch where the receiver wants batches. What a format cannot tell gives a message without a
// body, which is not to be sent.
func (p Place) Encode(f Format, batch bool, entries []feed.Entry) (Message, error) {
	m := Message{ID: p.id(entries[0])}
	if len(entries) > 1 {
		m.ID += fmt.Sprintf("-%d", entries[len(entries)-1].Number)
	}
	var v any
	switch f {
	case Distribution:
		envelope := struct {
			Events []notification `json:"events"`
		}{}
		for _, e := range entries {
			envelope.Events = append(envelope.Events, p.notifications(e)...)
		}
		if len(envelope.Events) == 0 {
			return m, nil
		}
		m.ContentType, v = "application/vnd.docker.distribution.events.v1+json", envelope
	case EventBridge:
		m.ContentType, v = "application/json", several(batch, entries, p.eventBridge)
	case CloudEvents:
		m.ContentType = "application/cloudevents+json; charset=utf-8"
		if batch {
			m.ContentType = "application/cloudevents-batch+json; charset=utf-8"
		}
		v = several(batch, entries, p.cloudEvent)
	default:
		return m, fmt.Errorf("there is no format %q", f)
	}
	var err error
	m.Body, err = json.Marshal(v)
	if err != nil {
		return m, fmt.Errorf("writing events: %w", err)
	}
	return m, nil
}

func several[T any](batch bool, entries []feed.Entry, write func(feed.Entry) T) any {
	if !batch {
		return write(entries[0])
	}
	all := make([]T, len(entries))
	for i, e := range entries {
		all[i] = write(e)
	}
	return all
}
