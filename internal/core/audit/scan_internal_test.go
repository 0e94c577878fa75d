package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func sampleLine(e Entry) []byte {
	return Number(Encoder{Account: "123456789012", Region: "us-east-1"}.Append(nil, &e), "l1", 3, make([]byte, PreviousSize))
}

func samples() []Entry {
	at := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
	session := &identity.Session{RoleARN: "arn:aws:iam::123456789012:role/x", Provider: "p", Subject: "repo:a/b", SourceIdentity: "s", IssuedAt: at}
	return []Entry{
		{At: at, Service: "ecr", Operation: "ListImages"},
		{
			At: at, ID: "0123456789abcdef0123456789abcdef", Service: "ecr", Operation: "BatchGetImage", ReadOnly: true, Repository: "app", Status: 200,
			Caller: identity.Caller{ARN: "arn:aws:sts::123456789012:assumed-role/x/y", UserID: "AROA:y", AccessKeyID: "ASIA", Session: session},
			Images: []ImageName{{"sha256:1", "v1"}, {"sha256:2", ""}}, Layers: []oci.Digest{"a", "b"}, Pulled: []oci.Digest{"sha256:1"},
			Resources: []string{"arn:x"}, Parameters: []Parameter{{"userName", "eve"}}, BytesIn: 1, BytesOut: 2, Duration: time.Second, DecidedBy: "statement 1",
			Method: "GET", Path: "/v2/", Fault: "X", Message: "no",
		},
		{At: at, Service: "sts", Operation: "AssumeRoleWithWebIdentity", Caller: identity.Caller{Session: &identity.Session{Provider: "p", Subject: "sub"}}},
		{At: at, Service: "ecr", Operation: "X", Caller: identity.Service("123456789012", "gc")},
	}
}

// FuzzScan feeds what somebody may have written into a file of the log: it is read, or left to encoding/json.
func FuzzScan(f *testing.F) {
	for _, e := range samples() {
		line := sampleLine(e)
		if _, ok := scan(line); !ok {
			f.Errorf("a record of our own is not read quickly: %s", line)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"eventSource":"a\u0041","additionalEventData":{"at":"2026-11-27T07:00:00.000000Z","sequence":-1}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, ok := scan(line); ok && string(r.Line) != string(line) {
			t.Errorf("the record of %q has another line", line)
		}
	})
}

func TestBothWaysOfReadingAgree(t *testing.T) {
	t.Parallel()
	for _, e := range samples() {
		line := sampleLine(e)
		quick, ok := scan(line)
		slow, err := decode(line)
		if diff := cmp.Diff(slow, quick); !ok || err != nil || diff != "" {
			t.Errorf("%s: %v, %v (-json +quick):\n%s", line, ok, err, diff)
		}
	}
}
