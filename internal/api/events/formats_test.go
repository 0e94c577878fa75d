package events_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/events"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func place() events.Place {
	return events.Place{Account: "123456789012", Region: "us-east-1", URL: "https://registry.example.com"}
}

var digest = oci.FromBytes([]byte("image"))

func entry(e event.Event) feed.Entry {
	e.At = time.Date(2026, 11, 27, 7, 0, 0, 123_456_000, time.UTC)
	if e.Repository == "" && e.Kind != event.EventsMissed {
		e.Repository = "team/app"
	}
	return feed.Entry{Number: 42, Event: e}
}

func encode(t *testing.T, f events.Format, batch bool, entries ...feed.Entry) (events.Message, any) {
	t.Helper()
	m, err := place().Encode(f, batch, entries)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if m.Body != nil {
		if err := json.Unmarshal(m.Body, &got); err != nil {
			t.Fatalf("%s: %v", m.Body, err)
		}
	}
	return m, got
}

// TestEventBridge compares the shapes with Amazon's page of them (https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html):
// members, detail-types, resources.
func TestEventBridge(t *testing.T) {
	t.Parallel()
	const arn = `["arn:aws:ecr:us-east-1:123456789012:repository/team/app"]`
	for name, test := range map[string]struct {
		event                                 event.Event
		detailType, source, resources, detail string
	}{
		"push": {
			event.Event{Kind: event.ImagePushed, Digest: digest, Tags: []string{"v1"}, New: true, MediaType: "m"},
			"ECR Image Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"PUSH","image-tag":"v1"}`,
		},
		"push of several tags": {
			event.Event{Kind: event.ImagePushed, Digest: digest, Tags: []string{"v1", "v2"}},
			"ECR Image Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"PUSH","image-tag":"v1","image-tags":["v1","v2"]}`,
		},
		"referrer": {
			event.Event{Kind: event.ImagePushed, Digest: digest, MediaType: "m", ArtifactType: "a", Subject: digest},
			"ECR Referrer Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"PUSH","manifest-media-type":"m","artifact-media-type":"a"}`,
		},
		"delete": {
			event.Event{Kind: event.ImageDeleted, Digest: digest, Tags: []string{"v1"}},
			"ECR Image Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"DELETE","image-tag":"v1"}`,
		},
		"untag": {
			event.Event{Kind: event.ImageUntagged, Digest: digest, Tags: []string{"v1"}},
			"ECR Image Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"DELETE","image-tag":"v1","image-remains":true}`,
		},
		"archive": {
			event.Event{Kind: event.ImageArchived, Digest: digest, MediaType: "m", ArtifactType: "a"},
			"ECR Image Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"UPDATE_STORAGE_CLASS","target-storage-class":"ARCHIVE",
			"manifest-media-type":"m","artifact-media-type":"a"}`,
		},
		"restore of a referrer": {
			event.Event{Kind: event.ImageRestored, Digest: digest, MediaType: "m", ArtifactType: "a", Subject: digest},
			"ECR Referrer Action", "aws.ecr", `[]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","action-type":"UPDATE_STORAGE_CLASS","target-storage-class":"STANDARD",
			"manifest-media-type":"m","artifact-media-type":"a","last-activated-at":"2026-11-27T07:00:00.123456Z"}`,
		},
		"scan": {
			event.Event{Kind: event.ImageScanned, Digest: digest, Tags: []string{"v1"}, ScanStatus: "COMPLETE", Severities: map[string]int{"HIGH": 2}},
			"ECR Image Scan", "aws.ecr", arn,
			`{"scan-status":"COMPLETE","repository-name":"team/app","finding-severity-counts":{"HIGH":2},"image-digest":"DIGEST","image-tags":["v1"]}`,
		},
		"failed scan": {
			event.Event{Kind: event.ImageScanned, Digest: digest, ScanStatus: "FAILED"},
			"ECR Image Scan", "aws.ecr", arn,
			`{"scan-status":"FAILED","repository-name":"team/app","finding-severity-counts":{},"image-digest":"DIGEST","image-tags":[]}`,
		},
		"upstream": {
			event.Event{Kind: event.UpstreamSynced, Digest: digest, Tags: []string{"v1"}, Upstream: &event.Upstream{Prefix: "team", URL: "public.ecr.aws"}},
			"ECR Pull Through Cache Action", "aws.ecr", arn,
			`{"rule-version":"1","sync-status":"SUCCESS","ecr-repository-prefix":"team","repository-name":"team/app","upstream-registry-url":"public.ecr.aws",
			"image-tag":"v1","image-digest":"DIGEST"}`,
		},
		"upstream that failed": {
			event.Event{Kind: event.UpstreamSynced, Tags: []string{"v1"}, Reason: "no", Upstream: &event.Upstream{Prefix: "team", URL: "quay.io", Failed: true, Code: "upstream denied"}},
			"ECR Pull Through Cache Action", "aws.ecr", arn,
			`{"rule-version":"1","sync-status":"FAILED","ecr-repository-prefix":"team","repository-name":"team/app","upstream-registry-url":"quay.io",
			"image-tag":"v1","failure-code":"UpstreamDenied","failure-reason":"no"}`,
		},
		"replication": {
			event.Event{Kind: event.ImageReplicated, Digest: digest, Tags: []string{"v1"}, Copy: &event.Copy{Region: "eu-west-1", Account: "111122223333"}},
			"ECR Replication Action", "aws.ecr", `["arn:aws:ecr:eu-west-1:111122223333:repository/team/app"]`,
			`{"result":"SUCCESS","repository-name":"team/app","image-digest":"DIGEST","source-account":"123456789012","action-type":"REPLICATE",
			"source-region":"us-east-1","image-tag":"v1","destination-account":"111122223333","destination-region":"eu-west-1"}`,
		},
		"replication that failed": {
			event.Event{Kind: event.ImageReplicated, Digest: digest, Reason: "AccessDenied", Copy: &event.Copy{Region: "eu-west-1", Account: "111122223333", Failed: true}},
			"ECR Replication Action", "aws.ecr", `["arn:aws:ecr:eu-west-1:111122223333:repository/team/app"]`,
			`{"result":"FAILED","repository-name":"team/app","image-digest":"DIGEST","source-account":"123456789012","action-type":"REPLICATE",
			"source-region":"us-east-1","destination-account":"111122223333","destination-region":"eu-west-1","failure-code":"AccessDenied"}`,
		},
		"pull": {
			event.Event{Kind: event.ImagePulled, Digest: digest, Tags: []string{"v1"}, Count: 7, Actor: "arn:aws:iam::123456789012:user/flux"},
			"Berth Image Pull Action", "berth", arn,
			`{"action-type":"PULL","repository-name":"team/app","image-digest":"DIGEST","image-tag":"v1","pull-count":7,"principal-arn":"arn:aws:iam::123456789012:user/flux"}`,
		},
		"findings": {
			event.Event{Kind: event.FindingsChanged, Digest: digest, Findings: &event.Findings{New: []event.Finding{{Vulnerability: "CVE-1", Package: "zlib", Severity: "HIGH"}}, MoreFixed: 3}},
			"Berth Image Findings Change", "berth", arn,
			`{"repository-name":"team/app","image-digest":"DIGEST","image-tags":[],"new-findings":[{"vulnerability-id":"CVE-1","package-name":"zlib","severity":"HIGH"}],
			"fixed-findings":[],"more-new-findings":0,"more-fixed-findings":3}`,
		},
		"exception": {
			event.Event{Kind: event.ExceptionExpired, Digest: digest, Reason: "why"},
			"Berth Exception Expiry", "berth", arn,
			`{"repository-name":"team/app","image-digest":"DIGEST","reason":"why"}`,
		},
		"created": {
			event.Event{Kind: event.RepositoryCreated}, "Berth Repository Action", "berth", arn, `{"action-type":"CREATE","result":"SUCCESS","repository-name":"team/app"}`,
		},
		"deleted": {
			event.Event{Kind: event.RepositoryDeleted}, "Berth Repository Action", "berth", arn, `{"action-type":"DELETE","result":"SUCCESS","repository-name":"team/app"}`,
		},
		"missed": {
			event.Event{Kind: event.EventsMissed, Count: 9}, "Berth Events Missed", "berth", `[]`, `{"through-number":42,"event-count":9}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, got := encode(t, events.EventBridge, false, entry(test.event))
			var resources, detail any
			if err := json.Unmarshal([]byte(test.resources), &resources); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(strings.ReplaceAll(test.detail, "DIGEST", digest.String())), &detail); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"version": "0", "id": m.ID, "detail-type": test.detailType, "source": test.source, "account": "123456789012", "region": "us-east-1",
				"time": "2026-11-27T07:00:00Z", "resources": resources, "detail": detail,
			}
			if diff := cmp.Diff(want, got); diff != "" || m.ContentType != "application/json" {
				t.Errorf("%s (-want +got):\n%s", m.ContentType, diff)
			}
		})
	}
}

// TestEveryKindHasAShape holds the shapes to the kinds that go out.
func TestEveryKindHasAShape(t *testing.T) {
	t.Parallel()
	for _, k := range event.Kinds() {
		if !k.Outward() {
			t.Errorf("%s is shown and not told", k)
		}
		if m, _ := encode(t, events.EventBridge, false, entry(event.Event{Kind: k})); strings.Contains(string(m.Body), "Berth Event\"") {
			t.Errorf("%s has no shape: %s", k, m.Body)
		}
	}
}

func TestCloudEvents(t *testing.T) {
	t.Parallel()
	push := entry(event.Event{Kind: event.ImagePushed, Digest: digest})
	m, got := encode(t, events.CloudEvents, false, push)
	one, ok := got.(map[string]any)
	if !ok || m.ContentType != "application/cloudevents+json; charset=utf-8" {
		t.Fatalf("%s %s", m.ContentType, m.Body)
	}
	data, _ := one["data"].(map[string]any)
	delete(one, "data")
	want := map[string]any{
		"specversion": "1.0", "id": m.ID, "source": "https://registry.example.com", "type": "io.github.hoopstat-haus.berth.image.pushed",
		"subject": "team/app@" + digest.String(), "time": "2026-11-27T07:00:00.123456Z", "sequence": "00000000000000000042", "datacontenttype": "application/json",
	}
	if diff := cmp.Diff(want, one); diff != "" || data["id"] != m.ID || data["detail-type"] != "ECR Image Action" {
		t.Errorf("%s (-want +got):\n%s", m.Body, diff)
	}
	again, _ := encode(t, events.CloudEvents, false, push)
	other := push
	other.Number++
	if another, _ := encode(t, events.CloudEvents, false, other); again.ID != m.ID || another.ID == m.ID {
		t.Errorf("ids: %s, %s again, %s for another", m.ID, again.ID, another.ID)
	}
	m, got = encode(t, events.CloudEvents, true, push, other)
	if all, ok := got.([]any); !ok || len(all) != 2 || m.ContentType != "application/cloudevents-batch+json; charset=utf-8" || m.ID == again.ID {
		t.Errorf("a batch is %s %s", m.ContentType, m.Body)
	}
}

func TestDistribution(t *testing.T) {
	t.Parallel()
	m, got := encode(t, events.Distribution, true,
		entry(event.Event{Kind: event.ImagePushed, Digest: digest, Tags: []string{"v1", "v2"}, MediaType: "m", Actor: "arn"}),
		entry(event.Event{Kind: event.ImageScanned, Digest: digest}),
		entry(event.Event{Kind: event.ImageUntagged, Digest: digest, Tags: []string{"v1"}}),
		entry(event.Event{Kind: event.ImageDeleted, Digest: digest, Tags: []string{"v1"}}),
		entry(event.Event{Kind: event.ImagePulled, Digest: digest}))
	envelope, _ := got.(map[string]any)
	all, _ := envelope["events"].([]any)
	var told []string
	for _, one := range all {
		e, _ := one.(map[string]any)
		target, _ := e["target"].(map[string]any)
		text, err := json.Marshal([]any{e["action"], target["repository"], target["tag"], target["digest"] == digest.String(), target["url"] != nil})
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, string(text))
	}
	want := `["push","team/app","v1",true,true] ["push","team/app","v2",true,true] ["delete","team/app","v1",false,false] ` +
		`["delete","team/app",null,true,false] ["pull","team/app",null,true,true]`
	if got := strings.Join(told, " "); got != want || m.ContentType != "application/vnd.docker.distribution.events.v1+json" {
		t.Errorf("%s\n got %s\nwant %s", m.ContentType, got, want)
	}
	if m, _ := encode(t, events.Distribution, false, entry(event.Event{Kind: event.ImageScanned})); m.Body != nil {
		t.Errorf("a scan is told as %s", m.Body)
	}
	if kinds := events.Distribution.Kinds(); len(kinds) != 4 {
		t.Errorf("its kinds are %v", kinds)
	}
}
