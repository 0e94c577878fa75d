package sigv4_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/sigv4"
)

// The key pair of the examples in AWS's documentation.
const (
	exampleKey    = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// published are requests whose signatures AWS has published.
var published = []struct {
	name          string
	method, url   string
	header        http.Header
	authorization string
	body          string
}{
	{
		name:   "the documentation's ListUsers",
		method: http.MethodGet, url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}},
		authorization: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date, " +
			"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
	},
	{
		name:   "the test suite's get-vanilla",
		method: http.MethodGet, url: "https://example.amazonaws.com/",
		authorization: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, " +
			"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
	},
	{
		name:   "the test suite's post-vanilla",
		method: http.MethodPost, url: "https://example.amazonaws.com/",
		authorization: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, " +
			"Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
	},
	{
		name:   "the test suite's get-vanilla-query-order-key-case",
		method: http.MethodGet, url: "https://example.amazonaws.com/?Param2=value2&Param1=value1",
		authorization: "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, " +
			"Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
	},
}

func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, p := range published {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), p.method, p.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(r.Header, p.header)
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			r.Header.Set("Authorization", p.authorization)
			q, err := sigv4.Parse(r)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if q.AccessKeyID != exampleKey || !q.Time.Equal(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)) {
				t.Errorf("Parse gave key %q, time %v", q.AccessKeyID, q.Time)
			}
			var v sigv4.Verifier
			if err := v.Verify(r, q, exampleSecret, []byte(p.body)); err != nil {
				canonical, _ := sigv4.Canonical(r, q, []byte(p.body))
				t.Errorf("Verify: %v\ncanonical request:\n%s", err, canonical)
			}
			if err := v.Verify(r, q, exampleSecret+"x", []byte(p.body)); err == nil {
				t.Error("Verify with another secret succeeded")
			}
		})
	}
}
