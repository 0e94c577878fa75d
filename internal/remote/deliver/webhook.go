// Package deliver brings messages to receivers outside: by webhook, by mail, to a chat.
//
// A receiver that does not want a message gives [event.Refused], one that wants it at another time [event.Later]; any other error may pass
// as well. Receivers are named in the configuration file, and still may not be inside the network unless it says so; where machines have their
// credentials from, nothing is sent at all. What a receiver answers is a stranger's text: it is quoted and short.
package deliver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

const (
	// webhookTime is how long a receiver may take, from the connection to the last byte of its answer. Standard Webhooks proposes 15 to 30 s.
	webhookTime = 20 * time.Second
	maxAnswer   = 64 << 10 // bytes that are read of an answer, so that the connection can be used again
	maxQuoted   = 200      // bytes of an answer that an error repeats
	maxAfter    = time.Hour

	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, as Standard Webhooks has it
	maxSecret    = 64
)

// WebhookConfig is what a Webhook is made of. URL, Secret and Now must be set.
type WebhookConfig struct {
	URL string
	// Secret signs: whsec_ and the base64 of 24 to 64 bytes. While one takes the place of another, both, with a space or a line break between:
	// a message is signed with each.
	Secret string
	// AllowPrivate lets the receiver be at a private address or on this machine, and be reached without TLS.
	AllowPrivate bool
	// Timeout of one delivery; 20 s where it is 0.
	Timeout time.Duration
	Now     func() time.Time
}

// Webhook sends messages to a URL, signed as Standard Webhooks specifies (https://www.standardwebhooks.com, version 1.0.0, symmetric):
// webhook-id, webhook-timestamp, and in webhook-signature "v1," with the base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>". It may be used by
// many at once.
type Webhook struct {
	url     string
	shown   string // the URL for errors: what is secret in it is left out
	private bool
	keys    [][]byte
	now     func() time.Time
	http    *http.Client
}

// Message is what one delivery brings. ID stays the same when it is sent again.
type Message struct {
	ID          string
	ContentType string
	Header      http.Header // beside the headers that the signature has; may be nil
	Body        []byte
}

// CheckWebhook says what is wrong with a URL and a secret, or nil. It resolves no name.
func CheckWebhook(at, secret string, allowPrivate bool) error {
	if _, err := webhookKeys(secret); err != nil {
		return err
	}
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "":
		return errors.New("the URL is not one such as https://hooks.example.com/berth") // and is not shown: there may be a token in it
	case u.User != nil:
		return errors.New("the URL must not have a user or a password: messages are signed")
	case u.Scheme == "http" && !allowPrivate:
		return errors.New("a URL without TLS needs allow-private: true, and is for receivers inside a network")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil //nolint:nilerr // a name: it is looked at when it is dialed
	}
	if err := refusal(allowPrivate)(ip); err != nil {
		return fmt.Errorf("nothing is sent to %s: %w%s", u.Hostname(), err, hint(allowPrivate, ip))
	}
	return nil
}

func refusal(allowPrivate bool) guard.Refusal {
	if allowPrivate {
		return guard.Metadata
	}
	return guard.Private
}

// hint says what would allow an address that is refused.
func hint(allowPrivate bool, ip netip.Addr) string {
	if allowPrivate || guard.Metadata(ip) != nil {
		return ""
	}
	return " (allow-private: true allows it)"
}

// webhookKeys reads secrets.
func webhookKeys(secrets string) ([][]byte, error) {
	var keys [][]byte
	for s := range strings.FieldsSeq(secrets) {
		text, ok := strings.CutPrefix(s, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("a webhook's secret is %s and the base64 of %d to %d bytes: make one with echo %s$(openssl rand -base64 32)",
				secretPrefix, minSecret, maxSecret, secretPrefix)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("a webhook needs a secret to sign with")
	}
	return keys, nil
}

// NewWebhook makes a webhook, or says as CheckWebhook what is wrong.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	if err := CheckWebhook(c.URL, c.Secret, c.AllowPrivate); err != nil {
		return nil, err
	}
	keys, err := webhookKeys(c.Secret)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the URL is none")
	}
	if c.Timeout == 0 {
		c.Timeout = webhookTime
	}
	return &Webhook{
		url: c.URL, shown: u.Scheme + "://" + u.Host, private: c.AllowPrivate, keys: keys, now: c.Now,
		http: &http.Client{
			Timeout: c.Timeout,
			Transport: guard.Transport(refusal(c.AllowPrivate), func(t *http.Transport) {
				t.DisableKeepAlives, t.DisableCompression = false, true
				t.MaxIdleConnsPerHost, t.IdleConnTimeout = 4, time.Minute
				t.ResponseHeaderTimeout = c.Timeout
			}),
			// A redirect would send what is signed for one to another, and may lead inside.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close gives up connections that nobody uses.
func (w *Webhook) Close() { w.http.CloseIdleConnections() }

// Host is the receiver for people to read: scheme, host and port, and nothing of the path, which may have a token.
func (w *Webhook) Host() string { return w.shown }

// Send delivers a message, and returns nil when the receiver took it (2xx). 400, 410, 413, 415 and 422 give [event.Refused]; 429 and 5xx
// with Retry-After [event.Later].
func (w *Webhook) Send(ctx context.Context, m Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("preparing a request to %s: %w", w.shown, withoutURL(err))
	}
	maps.Copy(req.Header, m.Header)
	at := w.now()
	req.Header.Set("Content-Type", m.ContentType)
	req.Header.Set("User-Agent", "berth")
	req.Header.Set("Webhook-Id", m.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", w.sign(m.ID, at, m.Body))
	res, err := w.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking %s: %w%s", w.shown, withoutURL(err), w.hint(err))
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return w.refused(res, answer) // whatever became of the rest
	}
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", w.shown, withoutURL(err))
	}
	return nil
}

// sign gives the value of webhook-signature.
func (w *Webhook) sign(id string, at time.Time, body []byte) string {
	signatures := make([]string, len(w.keys))
	for i, key := range w.keys {
		mac := hmac.New(sha256.New, key)
		_, _ = fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		_, _ = mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}

// withoutURL takes the URL out of an error of net/http, which is shown by those who must not see its token.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// hint finds out whether a connection was refused by us, and what would allow it.
func (w *Webhook) hint(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Addr == nil || w.private {
		return ""
	}
	at, err := netip.ParseAddrPort(op.Addr.String())
	if err != nil || guard.Private(at.Addr()) == nil {
		return ""
	}
	return hint(w.private, at.Addr())
}

// refused words an answer that is not 2xx.
func (w *Webhook) refused(res *http.Response, answer []byte) error {
	reason := fmt.Sprintf("%s answers %d %s", w.shown, res.StatusCode, http.StatusText(res.StatusCode))
	if text := bytes.TrimSpace(answer); len(text) > 0 {
		reason += fmt.Sprintf(": %.*q", maxQuoted, text)
	}
	switch code := res.StatusCode; {
	case code == http.StatusBadRequest, code == http.StatusGone, code == http.StatusRequestEntityTooLarge,
		code == http.StatusUnsupportedMediaType, code == http.StatusUnprocessableEntity:
		return event.Refused{Reason: reason}
	case code == http.StatusTooManyRequests, code >= 500:
		return event.Later{After: w.after(res.Header.Get("Retry-After")), Reason: reason}
	case code >= 300 && code <= 399:
		return errors.New(reason + "; redirects are not followed")
	default:
		return errors.New(reason)
	}
}

// after reads Retry-After: seconds, or a date. More than an hour counts as one.
func (w *Webhook) after(text string) time.Duration {
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	wait := time.Duration(seconds) * time.Second //nolint:gosec // 31 bits
	if err != nil {
		at, err := http.ParseTime(text)
		if err != nil {
			return 0
		}
		wait = at.Sub(w.now())
	}
	return max(0, min(wait, maxAfter))
}
