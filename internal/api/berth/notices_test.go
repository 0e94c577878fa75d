package berth_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/berth"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/notify"
)

// taker takes what it is sent, or gives an error.
type taker struct{ err error }

func (t taker) Send(context.Context, notify.Message) error { return t.err }

func TestNoticesOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := time.Unix(1795521600, 0)
	notices := notify.New(notify.Config{
		May: s.registry.May, Rows: s.db.Notices(), Now: func() time.Time { return at }, Logger: slog.New(slog.DiscardHandler),
		Targets: []notify.Target{
			{Name: "ops", Kind: "webhook", Where: "https://hooks.example.com", Topics: []string{"arn:aws:sns:us-east-1:000000000042:alerts"}, Sender: taker{}},
			{Name: "dead", Kind: "slack", Where: "https://chat.example.com", Sender: taker{event.Refused{Reason: "410 Gone"}}},
		},
	})
	n := &event.Notice{Targets: []string{"ops", "dead"}, Subject: "ALARM"}
	if err := notices.Handle(t.Context(), event.Event{ID: 1, Kind: event.Noticed, Notice: n}); err != nil {
		t.Fatal(err)
	}
	if _, err := notices.DeliverOnce(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	callers := named{"root": s.root, "user": {Account: account, ARN: "arn:aws:iam::" + account + ":user/passer-by"}}
	h, err := awswire.New(awswire.Config{Authenticator: callers, Services: []awswire.Service{berth.New(berth.Config{Notices: notices})}})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(h)
	t.Cleanup(listener.Close)
	const (
		ops     = `{"kind":"webhook","name":"ops","topics":["arn:aws:sns:us-east-1:000000000042:alerts"],"where":"https://hooks.example.com"}`
		dead    = `{"kind":"slack","name":"dead","topics":[],"where":"https://chat.example.com"}`
		failed  = `{"attempts":1,"createdAt":1795521600,"endedAt":1795521600,"problem":"410 Gone","state":"failed","subject":"ALARM","target":"dead"}`
		pending = `{"attempts":0,"createdAt":1795521600,"dueAt":1795521600,"state":"pending","subject":"ALARM","target":"ops"}`
	)
	for _, c := range []struct{ operation, who, body, want string }{
		{"ListNoticeTargets", "root", `{}`, `{"targets":[` + dead + `,` + ops + `]}`},
		{"ListNoticeTargets", "user", `{}`, "berth:ListNoticeTargets"},
		{"TestNoticeTarget", "root", `{"target":"arn:aws:sns:us-east-1:000000000042:alerts"}`, `{"delivered":true,"target":` + ops + `,"tookMilliseconds":0}`},
		{"TestNoticeTarget", "root", `{"target":"dead"}`, `{"delivered":false,"problem":"410 Gone","target":` + dead + `,"tookMilliseconds":0}`},
		{"TestNoticeTarget", "root", `{"target":"none"}`, "NotFoundException"},
		{"TestNoticeTarget", "root", `{}`, "'target'"},
		{"TestNoticeTarget", "user", `{"target":"ops"}`, "berth:TestNoticeTarget"},
		{"ListNotices", "root", `{}`, `{"notices":[` + failed + `,` + pending + `]}`},
		{"ListNotices", "root", `{"state":"pending"}`, `{"notices":[` + pending + `]}`},
		{"ListNotices", "root", `{"target":"dead","maxResults":1}`, `{"notices":[` + failed + `]}`},
		{"ListNotices", "root", `{"state":"lost"}`, "'state'"},
		{"ListNotices", "root", `{"nextToken":"x"}`, "'nextToken'"},
		{"ListNotices", "root", `{"maxResults":0}`, "'maxResults'"},
		{"ListNotices", "user", `{}`, "berth:ListNotices"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, listener.URL, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", berth.TargetPrefix+"."+c.operation)
		req.Header.Set("Authorization", c.who)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		ok := strings.HasPrefix(c.want, "{")
		if body := string(text); ok && (res.StatusCode != http.StatusOK || body != c.want) || !ok && (res.StatusCode != http.StatusBadRequest || !strings.Contains(body, c.want)) {
			t.Errorf("%s(%s) by %s: %d %s\nwant %s", c.operation, c.body, c.who, res.StatusCode, text, c.want)
		}
	}
}
