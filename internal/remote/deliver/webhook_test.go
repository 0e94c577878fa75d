package deliver_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func webhook(t *testing.T, c deliver.WebhookConfig) *deliver.Webhook {
	t.Helper()
	if c.Secret == "" {
		c.Secret = secret
	}
	if c.Now == nil {
		c.Now = func() time.Time { return time.Unix(1614265330, 0) }
	}
	w, err := deliver.NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestSignature is a vector that clients of Standard Webhooks are tested with.
func TestSignature(t *testing.T) {
	t.Parallel()
	w := webhook(t, deliver.WebhookConfig{URL: "https://hooks.example.com"})
	got := deliver.Sign(w, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
}

func TestAReceiverCanVerify(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	second := bytes.Repeat([]byte("k"), 32)
	w := webhook(t, deliver.WebhookConfig{
		URL: server.URL + "/in?x=1", AllowPrivate: true, Secret: secret + "\nwhsec_" + base64.StdEncoding.EncodeToString(second),
	})
	m := deliver.Message{ID: "evt_1", ContentType: "application/json", Header: http.Header{"X-Kind": {"a"}}, Body: []byte(`{"a":1}`)}
	if err := w.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodPost || got.URL.RequestURI() != "/in?x=1" || got.Header.Get("Content-Type") != "application/json" ||
		got.Header.Get("X-Kind") != "a" || string(body) != `{"a":1}` {
		t.Errorf("the receiver got %s %s %v %s", got.Method, got.URL, got.Header, body)
	}
	signatures := strings.Fields(got.Header.Get("Webhook-Signature"))
	if len(signatures) != 2 || got.Header.Get("Webhook-Id") != "evt_1" || got.Header.Get("Webhook-Timestamp") != "1614265330" {
		t.Fatalf("the receiver got %v", got.Header)
	}
	mac := hmac.New(sha256.New, second)
	_, _ = io.WriteString(mac, got.Header.Get("Webhook-Id")+"."+got.Header.Get("Webhook-Timestamp")+"."+string(body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); signatures[1] != want {
		t.Errorf("the second secret signs %s, want %s", signatures[1], want)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1614265330, 0).UTC()
	for name, test := range map[string]struct {
		status int
		after  string
		want   any // nil, an event.Refused or event.Later, or true for another error
	}{
		"ok":            {status: 200},
		"no content":    {status: 204},
		"accepted":      {status: 202},
		"bad":           {status: 400, want: event.Refused{}},
		"gone":          {status: 410, want: event.Refused{}},
		"large":         {status: 413, want: event.Refused{}},
		"not this":      {status: 415, want: event.Refused{}},
		"not like this": {status: 422, want: event.Refused{}},
		"who":           {status: 401, want: true},
		"where":         {status: 404, want: true},
		"unchanged":     {status: 304, want: true},
		"many":          {status: 429, after: "7", want: event.Later{After: 7 * time.Second}},
		"many for long": {status: 429, after: "2000000000", want: event.Later{After: time.Hour}},
		"many, minus":   {status: 429, after: "-7", want: event.Later{}},
		"many, until":   {status: 503, after: now.Add(time.Minute).Format(http.TimeFormat), want: event.Later{After: time.Minute}},
		"many, past":    {status: 503, after: now.Add(-time.Minute).Format(http.TimeFormat), want: event.Later{}},
		"many, nonsense": {
			status: 500, after: "soon", want: event.Later{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.after != "" {
					w.Header().Set("Retry-After", test.after)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, "\x1b[31mno\n")
			}))
			defer server.Close()
			err := webhook(t, deliver.WebhookConfig{URL: server.URL, AllowPrivate: true}).Send(t.Context(), deliver.Message{ID: "1"})
			refused, isRefused := errors.AsType[event.Refused](err)
			later, isLater := errors.AsType[event.Later](err)
			switch want := test.want.(type) {
			case nil:
				if err != nil {
					t.Error(err)
				}
				return
			case event.Refused:
				if !isRefused || !strings.Contains(refused.Reason, fmt.Sprint(test.status)) {
					t.Errorf("got %v", err)
				}
			case event.Later:
				if !isLater || later.After != want.After {
					t.Errorf("got %#v", err)
				}
			default:
				if err == nil || isRefused || isLater {
					t.Errorf("got %#v", err)
				}
			}
			if strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("the error has control characters: %q", err)
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	err := webhook(t, deliver.WebhookConfig{URL: server.URL, AllowPrivate: true}).Send(t.Context(), deliver.Message{ID: "1"})
	if err == nil || asked != 1 || !strings.Contains(err.Error(), "not followed") {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

// TestInside has a name that leads to this machine.
func TestInside(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	at := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	err := webhook(t, deliver.WebhookConfig{URL: at + "/T0KEN?key=T0KEN"}).Send(t.Context(), deliver.Message{ID: "1"})
	if err == nil || asked || !strings.Contains(err.Error(), "not a public address (allow-private: true allows it)") || strings.Contains(err.Error(), "T0KEN") {
		t.Errorf("got %v; the server was asked: %v", err, asked)
	}
	if _, later := errors.AsType[event.Later](err); later {
		t.Errorf("got %v", err)
	}
}

// TestAnswersHaveAnEnd has receivers that never finish, and one that says more than anybody asked.
func TestAnswersHaveAnEnd(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"endless": 200, "silent": 0, "endless no": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if status == 0 {
					<-done
					return
				}
				w.WriteHeader(status)
				for {
					if _, err := w.Write(make([]byte, 4096)); err != nil {
						return
					}
				}
			}))
			defer server.Close()
			defer close(done)
			w := webhook(t, deliver.WebhookConfig{URL: server.URL, AllowPrivate: true, Timeout: time.Second})
			err := w.Send(t.Context(), deliver.Message{ID: "1", Body: []byte("x")})
			if _, later := errors.AsType[event.Later](err); later != (status == 500) || (err == nil) != (status == 200) {
				t.Errorf("got %v", err)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCheckWebhook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url, secret string
		private     bool
		want        string
	}{
		{"https://hooks.example.com/x?token=1", secret, false, ""},
		{"http://hooks.internal:8080/x", secret, true, ""},
		{"http://127.0.0.1:8080/x", secret, true, ""},
		{"http://hooks.example.com/x", secret, false, "without TLS"},
		{"https://10.1.2.3/x", secret, false, "not a public address (allow-private: true allows it)"},
		{"https://[::ffff:192.168.0.1]/x", secret, false, "not a public address"},
		{"https://169.254.169.254/x", secret, true, "credentials from"},
		{"https://me:pw@hooks.example.com", secret, false, "user"},
		{"ftp://hooks.example.com", secret, false, "is not one such as"},
		{"https://", secret, false, "is not one such as"},
		{"https://:80", secret, false, "is not one such as"},
		{"hooks.example.com\x00", secret, false, "is not one such as"},
		{"https://hooks.example.com", "", false, "needs a secret"},
		{"https://hooks.example.com", "hunter2", false, "whsec_"},
		{"https://hooks.example.com", "whsec_c2hvcnQ=", false, "24 to 64 bytes"},
	} {
		err := deliver.CheckWebhook(test.url, test.secret, test.private)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %s: %v, want %q", test.url, test.secret, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), test.secret) && test.secret != "" || strings.Contains(err.Error(), "pw")) {
			t.Errorf("the error shows what is secret: %v", err)
		}
	}
}
