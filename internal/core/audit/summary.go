package audit

import (
	"cmp"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// trafficPerEvent bounds an event.
const trafficPerEvent = 200

// summary is what a batch of records comes to.
type summary struct {
	traffic map[event.Traffic]*event.Traffic // by itself without numbers
	pulls   map[pull]*event.Event
	at      time.Time // of the last record
}

type pull struct {
	repository string
	digest     oci.Digest
	principal  string
}

func newSummary() *summary {
	return &summary{traffic: map[event.Traffic]*event.Traffic{}, pulls: map[pull]*event.Event{}}
}

func (s *summary) add(r *Record) {
	if r.Type != "AwsApiCall" {
		return
	}
	if r.At.After(s.at) {
		s.at = r.At
	}
	key := event.Traffic{
		Minute: r.At.UTC().Truncate(time.Minute), Service: r.Service(), Operation: r.Operation, Fault: r.Fault, Repository: r.Repository, Principal: r.Principal,
	}
	if r.Fault != "" {
		key.Repository = "" // anybody can name any: what failed is counted for none
	}
	pulled := r.Pulled
	if r.Fault != "" || r.Status >= 300 {
		pulled = nil // it was looked up, and not given away
	}
	if len(pulled) > 0 {
		key.Digest = pulled[0]
	}
	t := s.of(key)
	t.Calls++
	t.BytesIn += r.BytesIn
	t.BytesOut += r.BytesOut
	for _, d := range pulled {
		key.Digest = d
		s.of(key).Pulls++
		s.pull(r, d)
	}
}

func (s *summary) of(key event.Traffic) *event.Traffic {
	t := s.traffic[key]
	if t == nil {
		t = new(event.Traffic)
		*t = key
		s.traffic[key] = t
	}
	return t
}

func (s *summary) pull(r *Record, d oci.Digest) {
	key := pull{r.Repository, d, r.Principal}
	e := s.pulls[key]
	if e == nil {
		e = &event.Event{Kind: event.ImagePulled, At: r.At, Actor: r.Principal, Repository: r.Repository, Digest: d}
		s.pulls[key] = e
	}
	e.Count++
	if r.At.After(e.At) {
		e.At = r.At
	}
	for _, id := range r.Images {
		if id.Digest == d && id.Tag != "" && !slices.Contains(e.Tags, id.Tag) {
			e.Tags = append(e.Tags, id.Tag)
		}
	}
}

// events gives what there is to tell, in an order that does not depend on chance.
func (s *summary) events() []event.Event {
	var events []event.Event
	var traffic []event.Traffic
	for _, t := range s.traffic {
		traffic = append(traffic, *t)
	}
	slices.SortFunc(traffic, func(a, b event.Traffic) int {
		return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Digest, b.Digest),
			cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Fault, b.Fault), cmp.Compare(a.Service, b.Service))
	})
	for some := range slices.Chunk(traffic, trafficPerEvent) {
		events = append(events, event.Event{Kind: event.Served, At: s.at, Traffic: some})
	}
	var pulls []event.Event
	for _, e := range s.pulls {
		pulls = append(pulls, *e)
	}
	slices.SortFunc(pulls, func(a, b event.Event) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Actor, b.Actor))
	})
	return append(events, pulls...)
}
