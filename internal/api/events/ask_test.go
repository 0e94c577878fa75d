package events_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/events"
	"github.com/hoopstat-haus/berth/internal/core/feed"
)

// FuzzAsk reads what strangers may send: a request is refused, or within its bounds.
func FuzzAsk(f *testing.F) {
	for _, s := range []string{"after=1&limit=2&wait=30s&repository=a/b&kind=image.pushed,image.pulled", "after=-9223372036854775808", "wait=1e9h", "limit=%00", "kind=&kind=", "a=b;c"} {
		f.Add(s, "")
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, query, last string) {
		r := &http.Request{URL: &url.URL{Path: "/events", RawQuery: query}, Header: http.Header{"Accept": {"text/event-stream;q=1, */*"}, "Last-Event-Id": {last}}}
		q, wait, stream, err := events.Parse(r)
		if err != nil {
			return
		}
		if q.Limit < 0 || q.Limit > feed.MaxLimit || wait < 0 || wait > time.Minute || !stream {
			t.Errorf("%q gives %+v, %s, %t", query, q, wait, stream)
		}
	})
}
