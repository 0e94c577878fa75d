package audit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestWhatTheRegistryDoesItselfIsLogged hands over events: what people did has left a record by their requests.
func TestWhatTheRegistryDoesItselfIsLogged(t *testing.T) {
	t.Parallel()
	o := newOffice(t, metadbtest.New(t))
	rung := 0
	h := audit.NewItself(o.journal, encoder(), func() { rung++ })
	d := oci.FromBytes([]byte("image"))
	for id, e := range []event.Event{
		{Kind: event.ImageDeleted, Actor: "berth:lifecycle", Tags: []string{"v1", "v2"}, Reason: "Rule 1 keeps 3 images."},
		{Kind: event.ImagePushed, Actor: "berth:replication", Source: event.Replication},
		{Kind: event.ImagePushed, Actor: "berth:signing", Source: event.Signing},
		{Kind: event.ImageScanned, Actor: "berth:scan", ScanStatus: "COMPLETE"},
		{Kind: event.ImagePushed, Actor: userARN("eve"), Source: event.Push},
		{Kind: event.ImagePulled, Actor: userARN("eve"), Count: 3},
		{Kind: event.Served, Actor: "berth:audit"},
	} {
		e.ID, e.At, e.Repository, e.Digest = int64(id), begin, "app", d
		for range 2 { // as the outbox may
			if err := h.Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.index(t)
	p, err := o.service.Search(t.Context(), root, audit.Query{Image: string(d), Repository: "app"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	ids := map[string]int{}
	for _, r := range p.Records {
		got = append(got, r.Type+" "+r.Principal+" "+r.Operation)
		ids[r.EventID]++
	}
	want := []string{
		"AwsServiceEvent berth:scan ImageScanEvent", "AwsServiceEvent berth:scan ImageScanEvent",
		"AwsServiceEvent berth:signing PutImage", "AwsServiceEvent berth:signing PutImage",
		"AwsServiceEvent berth:replication ReplicateImage", "AwsServiceEvent berth:replication ReplicateImage",
		"AwsServiceEvent berth:lifecycle PolicyExecutionEvent", "AwsServiceEvent berth:lifecycle PolicyExecutionEvent",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if len(ids) != 4 || rung != 8 {
		t.Errorf("an event that comes twice has two ids: %v; rung %d times", ids, rung)
	}
	const action = `"lifecycleEventImageActions":[{"lifecycleEventImage":{"digest":"sha256:`
	if line := string(p.Records[7].Line); !strings.Contains(line, action) || !strings.Contains(line, `"tagStatus":"Tagged","tagList":["v1","v2"]},"action":"expire"}]`) {
		t.Errorf("a lifecycle policy's deletion is %s", line)
	}
	if got := o.find(t, audit.Query{Repository: "app", Image: "v2"}); len(got) != 2 {
		t.Errorf("by tag there are %d", len(got))
	}
	// They are no requests, and nobody pulled anything.
	if events, err := o.db.Outbox().Claim(t.Context(), o.now, o.now, 10); err != nil || len(events) != 0 {
		t.Errorf("they made %+v, %v", events, err)
	}
}
