package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

// maxSlackText is how much of a text a chat is sent, in bytes: Slack cuts messages at 40,000 characters, others earlier.
const maxSlackText = 8 << 10

// Slack posts notices to an incoming webhook of Slack's, or of a chat that takes the same (Mattermost, Rocket.Chat, Discord under /slack). The
// URL is all that such a webhook is protected by, so that no error shows more of it than its host.
type Slack struct {
	url   string
	shown string
	http  *http.Client
}

var _ notify.Sender = (*Slack)(nil)

// CheckSlack says what is wrong with a URL, or nil. It resolves no name, and shows nothing of the URL.
func CheckSlack(at string, allowPrivate bool) error {
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" || u.User != nil:
		return errors.New("the URL is not one of an incoming webhook, such as https://hooks.slack.com/services/…")
	case u.Scheme == "http" && !allowPrivate:
		return errors.New("a URL without TLS needs allow-private: true, and is for receivers inside a network")
	}
	return nil
}

// NewSlack makes a Slack, or says as CheckSlack what is wrong.
func NewSlack(at string, allowPrivate bool) (*Slack, error) {
	if err := CheckSlack(at, allowPrivate); err != nil {
		return nil, err
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, errors.New("the URL is none")
	}
	return &Slack{
		url: at, shown: u.Scheme + "://" + u.Host,
		http: &http.Client{
			Timeout:       webhookTime,
			Transport:     guard.Transport(refusal(allowPrivate), func(t *http.Transport) { t.ResponseHeaderTimeout = webhookTime }),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Host is the receiver for people to read.
func (s *Slack) Host() string { return s.shown }

// escape has Slack take a text as it is: these three are what its markup needs (Slack, "Formatting text for app surfaces").
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Send implements notify.Sender.
func (s *Slack) Send(ctx context.Context, m notify.Message) error {
	text := m.Text
	if len(text) > maxSlackText {
		cut := maxSlackText
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	body, err := json.Marshal(map[string]string{"text": "*" + escape.Replace(oneLine(m.Subject)) + "*\n" + escape.Replace(text)})
	if err != nil {
		return fmt.Errorf("encoding a notice: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("preparing a request to %s: %w", s.shown, withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "berth")
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking %s: %w", s.shown, withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxQuoted)) // it is for people only
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return nil
	}
	reason := fmt.Sprintf("%s answers %d %s", s.shown, res.StatusCode, http.StatusText(res.StatusCode))
	if text := bytes.TrimSpace(answer); len(text) > 0 {
		reason += fmt.Sprintf(": %q", text)
	}
	if res.StatusCode == http.StatusTooManyRequests {
		seconds, err := time.ParseDuration(res.Header.Get("Retry-After") + "s")
		if err != nil || seconds < 0 {
			seconds = 0
		}
		return event.Later{After: min(seconds, maxAfter), Reason: reason}
	}
	return errors.New(reason)
}

// oneLine makes a line of a text.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' || r == '\u0085' }), " ")
}
