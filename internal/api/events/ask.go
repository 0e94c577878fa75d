package events

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// asked is a request, read.
type asked struct {
	query  feed.Query
	wait   time.Duration
	stream bool
}

// parse reads a request's parameters. Those that there are not are refused: a filter that is misspelled would pick everything.
func parse(r *http.Request) (asked, error) {
	a := asked{query: feed.Query{After: feed.Oldest}, stream: wantsStream(r)}
	values := r.URL.Query()
	for name, given := range values {
		if name != "kind" && len(given) > 1 {
			return a, fault.BadParameter(name, "Member must be given once")
		}
		if err := a.set(name, given); err != nil {
			return a, err
		}
	}
	if last := r.Header.Get("Last-Event-Id"); a.stream && last != "" { // it knows better than the URL that the reader began with
		n, err := cursor("Last-Event-ID", last)
		if err != nil {
			return a, err
		}
		a.query.After = n
	}
	return a, nil
}

func (a *asked) set(name string, given []string) (err error) {
	value := given[0]
	switch name {
	case "after":
		a.query.After, err = cursor("after", value)
	case "limit":
		a.query.Limit, err = strconv.Atoi(value)
		if err != nil || a.query.Limit < 1 || a.query.Limit > feed.MaxLimit {
			err = fault.BadParameter("limit", fmt.Sprintf("Member must be a number between 1 and %d", feed.MaxLimit))
		}
	case "wait":
		a.wait, err = time.ParseDuration(value)
		if err != nil || a.wait < 0 {
			err = fault.BadParameter("wait", "Member must be a time such as 30s")
		}
		a.wait = min(a.wait, maxWait)
	case "repository":
		if _, bad := oci.ParseRepositoryName(value); bad != nil {
			err = fault.BadParameter("repository", "Member must be a repository's name")
		}
		a.query.Repository = value
	case "kind":
		for k := range strings.SplitSeq(strings.Join(given, ","), ",") {
			if !slices.Contains(event.Kinds(), event.Kind(k)) {
				return fault.BadParameter("kind", fmt.Sprintf("Member must satisfy enum value set: %v", event.Kinds()))
			}
			a.query.Kinds = append(a.query.Kinds, event.Kind(k))
		}
	default:
		err = fault.BadParameter("query", "Member must be after, limit, wait, repository or kind")
	}
	return err
}

// cursor reads a number: of an event, or with a minus how many before the end.
func cursor(name, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fault.BadParameter(name, "Member must be the number of an event, or with a minus how many before the last")
	}
	return n, nil
}

func wantsStream(r *http.Request) bool {
	for _, accepted := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(accepted, ",") {
			kind, _, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") {
				return true
			}
		}
	}
	return false
}
