package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// eventPatience is how long a request for events may take beyond the time that it is to wait.
const eventPatience = 30 * time.Second

// EventQuery says which events are wanted. The JSON forms below are the server's own (docs/operate/events.md).
type EventQuery struct {
	After      int64 // the cursor; with a minus: how many before the end
	Limit      int   // 0: as many as the server gives
	Repository string
	Kinds      []string
	Wait       time.Duration // for something to happen; the server waits a minute at most
}

// EventPage is some events, and the cursor to go on with.
type EventPage struct {
	Events []Event `json:"events"`
	Next   int64   `json:"next"`
	Oldest int64   `json:"oldest"`
	Newest int64   `json:"newest"`
}

// Event is one, as a CloudEvent.
type Event struct {
	SpecVersion     string      `json:"specversion"`
	ID              string      `json:"id"`
	Source          string      `json:"source"`
	Type            string      `json:"type"`
	Subject         string      `json:"subject,omitempty"`
	Time            time.Time   `json:"time"`
	Sequence        string      `json:"sequence"`
	DataContentType string      `json:"datacontenttype"`
	Data            BridgeEvent `json:"data"`
}

// Kind is the type without what it begins with everywhere: image.pushed.
func (e Event) Kind() string {
	if i := strings.LastIndex(e.Type, ".berth."); i >= 0 {
		return e.Type[i+len(".berth."):]
	}
	return e.Type
}

// BridgeEvent is the event in Amazon EventBridge's shape.
type BridgeEvent struct {
	Version    string         `json:"version"`
	ID         string         `json:"id"`
	DetailType string         `json:"detail-type"`
	Source     string         `json:"source"`
	Account    string         `json:"account"`
	Time       string         `json:"time"`
	Region     string         `json:"region"`
	Resources  []string       `json:"resources"`
	Detail     map[string]any `json:"detail"`
}

// EventReceivers is how far the receivers of webhooks are.
type EventReceivers struct {
	Receivers []EventReceiver `json:"receivers"`
	Oldest    int64           `json:"oldest"`
	Newest    int64           `json:"newest"`
}

// EventReceiver is one of them. What it answered is a stranger's text.
type EventReceiver struct {
	Name         string       `json:"name"`
	Number       int64        `json:"number"`
	Behind       int64        `json:"behind"`
	Sent         int64        `json:"sent"`
	Missed       int64        `json:"missed"`
	SentAt       *time.Time   `json:"sent-at,omitempty"`
	PausedUntil  *time.Time   `json:"paused-until,omitempty"`
	FailedAt     *time.Time   `json:"failed-at,omitempty"`
	Failure      string       `json:"failure,omitempty"`
	LateCount    int64        `json:"late-repositories"`
	Late         []LateEvents `json:"late"`
	SetAsideSize int64        `json:"set-aside-events"`
	SetAside     []SetAside   `json:"set-aside"`
}

// LateEvents is a repository whose events a receiver did not take yet.
type LateEvents struct {
	Repository string    `json:"repository-name"`
	Number     int64     `json:"number"`
	Attempts   int       `json:"attempts"`
	DueAt      time.Time `json:"due-at"`
	Failure    string    `json:"failure"`
}

// SetAside is an event that a receiver does not want.
type SetAside struct {
	Number     int64     `json:"number"`
	Repository string    `json:"repository-name"`
	At         time.Time `json:"at"`
	Reason     string    `json:"reason"`
}

// Gone tells whether the server does not have what was asked for any more.
func (e *Error) Gone() bool { return e.Status == http.StatusGone }

// Busy tells whether the same may be answered at another time.
func (e *Error) Busy() bool {
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests
}

// Events reads events. A cursor that the server does not know any more gives an [Error] with the status 410.
func (c *Client) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	values := url.Values{"after": {strconv.FormatInt(q.After, 10)}}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Repository != "" {
		values.Set("repository", q.Repository)
	}
	if len(q.Kinds) > 0 {
		values.Set("kind", strings.Join(q.Kinds, ","))
	}
	if q.Wait > 0 {
		values.Set("wait", q.Wait.String())
	}
	var page EventPage
	err := c.get(ctx, "/events", values, q.Wait+eventPatience, &page)
	return page, err
}

// EventReceivers reads how far receivers are.
func (c *Client) EventReceivers(ctx context.Context) (EventReceivers, error) {
	var all EventReceivers
	err := c.get(ctx, "/events/receivers", nil, eventPatience, &all)
	return all, err
}

// get asks by a signed GET.
func (c *Client) get(ctx context.Context, path string, query url.Values, within time.Duration, out any) error {
	at := strings.TrimSuffix(c.url, "/") + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", path, err)
	}
	credentials, err := Credentials(ctx, c.aws)
	if err != nil {
		return err
	}
	empty := sha256.Sum256(nil)
	if err := c.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(empty[:]), signingName, c.aws.Region, c.now()); err != nil {
		return fmt.Errorf("signing the request for %s: %w", path, err)
	}
	res, err := (&http.Client{Timeout: within}).Do(req)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		var e struct{ Code, Message string }
		if json.Unmarshal(answer, &e) != nil || e.Code == "" {
			return refusal(res.StatusCode, answer)
		}
		return &Error{Status: res.StatusCode, Code: e.Code, Message: e.Message}
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading %s: is %s a Berth? %w", path, c.url, err)
	}
	return nil
}
