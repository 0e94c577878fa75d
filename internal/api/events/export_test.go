package events

import (
	"net/http"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/feed"
)

// Parse is parse, with what it gives one by one.
func Parse(r *http.Request) (feed.Query, time.Duration, bool, error) {
	a, err := parse(r)
	return a.query, a.wait, a.stream, err
}
