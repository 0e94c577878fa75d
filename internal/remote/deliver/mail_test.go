package deliver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
)

// mailServer is a small SMTP server on loopback, that keeps what it was told.
type mailServer struct {
	tls      *tls.Config
	implicit bool
	starttls bool
	reject   map[string]string // an answer to a command that begins so

	mu       sync.Mutex
	commands []string // with a star before those that came over TLS
	data     []string
}

func (s *mailServer) start(t *testing.T) (port int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	secure := ""
	if s.implicit {
		conn, secure = tls.Server(conn, s.tls), "*"
	}
	r := bufio.NewReader(conn)
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 test")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, secure+line)
		s.mu.Unlock()
		if answer := s.answer(line); answer != "" {
			say(answer)
			continue
		}
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			if s.starttls && secure == "" {
				say("250-test\r\n250-STARTTLS\r\n250 AUTH PLAIN")
			} else {
				say("250-test\r\n250 AUTH PLAIN")
			}
		case "STARTTLS":
			say("220 go on")
			conn, secure = tls.Server(conn, s.tls), "*"
			r = bufio.NewReader(conn)
		case "AUTH":
			say("235 welcome")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for line, err := r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = r.ReadString('\n') {
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.data = append(s.data, b.String())
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func (s *mailServer) answer(line string) string {
	for begin, answer := range s.reject {
		if strings.HasPrefix(line, begin) {
			return answer
		}
	}
	return ""
}

// certificate borrows one, for 127.0.0.1, and what trusts it.
func certificate(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	transport := web.Client().Transport.(*http.Transport)
	return &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}, &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
}

var notice = notify.Message{
	ID: "notice-1-ops", At: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC), Subject: "ALARM: \"bill ü\" in us-east-1",
	Text: "The alarm is on.\n.\nÜ, and a dot above.\n", Detail: `{"AlarmName":"bill"}`,
}

func mailTo(t *testing.T, c deliver.MailConfig) *deliver.Mail {
	t.Helper()
	c.From, c.Host, c.AllowPrivate = "Berth <berth@example.com>", "127.0.0.1", true
	if c.To == nil {
		c.To = []string{"ops@example.com", "Ada <ada@example.com>"}
	}
	m, err := deliver.NewMail(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMail(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00berth\x00hunter2"))
	for name, tt := range map[string]struct {
		server *mailServer
		config deliver.MailConfig
		want   []string
	}{
		"STARTTLS, signed in": {
			&mailServer{tls: server, starttls: true},
			deliver.MailConfig{TLS: deliver.StartTLS, Username: "berth", Password: "hunter2", TLSConfig: client},
			[]string{"EHLO example.com", "STARTTLS", "*EHLO example.com", "*" + auth, "*MAIL FROM:<berth@example.com>", "*RCPT TO:<ops@example.com>", "*RCPT TO:<ada@example.com>", "*DATA", "*QUIT"},
		},
		"TLS from the beginning": {
			&mailServer{tls: server, implicit: true},
			deliver.MailConfig{TLS: deliver.Implicit, Username: "berth", Password: "hunter2", TLSConfig: client},
			[]string{"*EHLO example.com", "*" + auth, "*MAIL FROM:<berth@example.com>", "*RCPT TO:<ops@example.com>", "*RCPT TO:<ada@example.com>", "*DATA", "*QUIT"},
		},
		"no TLS": {
			&mailServer{},
			deliver.MailConfig{TLS: deliver.NoTLS, To: []string{"ops@example.com"}},
			[]string{"EHLO example.com", "MAIL FROM:<berth@example.com>", "RCPT TO:<ops@example.com>", "DATA", "QUIT"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.config.Port = tt.server.start(t)
			if err := mailTo(t, tt.config).Send(t.Context(), notice); err != nil {
				t.Fatal(err)
			}
			tt.server.mu.Lock()
			defer tt.server.mu.Unlock()
			if diff := cmp.Diff(tt.want, tt.server.commands); diff != "" {
				t.Errorf("commands (-want +got):\n%s", diff)
			}
			if len(tt.server.data) != 1 {
				t.Fatalf("%d mails", len(tt.server.data))
			}
			subject, body := readMail(t, tt.server.data[0])
			if want := notice.Text + "\n" + notice.Detail + "\n"; subject != notice.Subject || body != want {
				t.Errorf("subject %q, body %q, want %q", subject, body, want)
			}
		})
	}
}

func readMail(t *testing.T, text string) (subject, body string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return subject, strings.ReplaceAll(string(raw), "\r\n", "\n")
}

// TestMailKeepsSecrets: a server that cannot protect a password gets neither that nor the mail.
func TestMailKeepsSecrets(t *testing.T) {
	t.Parallel()
	server, client := certificate(t)
	for name, tt := range map[string]struct {
		server *mailServer
		tls    *tls.Config
		want   string
	}{
		"no STARTTLS":                {&mailServer{}, client, "does not offer STARTTLS"},
		"a certificate of nobody's":  {&mailServer{tls: server, starttls: true}, nil, "certificate"},
		"STARTTLS that is refused":   {&mailServer{tls: server, starttls: true, reject: map[string]string{"STARTTLS": "454 not now"}}, client, "454"},
		"an answer with a new line":  {&mailServer{tls: server, starttls: true, reject: map[string]string{"*": "", "AUTH": "535-no\r\n535 \x1b[31mred"}}, client, `535 "no \\x1b[31mred"`},
		"a server that says nothing": {&mailServer{tls: server, starttls: true, reject: map[string]string{"EHLO": "421 go away", "HELO": "421 go away"}}, client, "421"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := mailTo(t, deliver.MailConfig{TLS: deliver.StartTLS, Username: "berth", Password: "hunter2", TLSConfig: tt.tls, Port: tt.server.start(t)})
			err := m.Send(t.Context(), notice)
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.ContainsAny(err.Error(), "\r\n\x1b") {
				t.Errorf("Send: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.want) && !strings.Contains(err.Error(), "535") {
				t.Errorf("Send: %v, want %q", err, tt.want)
			}
			tt.server.mu.Lock()
			defer tt.server.mu.Unlock()
			for _, c := range tt.server.commands {
				if strings.HasPrefix(c, "AUTH") || strings.HasPrefix(c, "MAIL") {
					t.Errorf("without TLS it was told %q", c)
				}
			}
		})
	}
}

// TestMailHeadersCannotBeAddedTo: what somebody called an alarm is one header, whatever it says.
func TestMailHeadersCannotBeAddedTo(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		"a\r\nBcc: eve@example.com", "a\nBcc: eve@example.com\n\nbody", "a\rBcc: eve@example.com", "a\u2028Bcc: eve@example.com", "a\x00\x1b[31m",
		strings.Repeat("ü", 5000), "=?utf-8?q?a=0d=0aBcc:_eve@example.com?=", "",
	} {
		s := &mailServer{}
		m := mailTo(t, deliver.MailConfig{TLS: deliver.NoTLS, Port: s.start(t)})
		n := notice
		n.Subject, n.ID = subject, "a\r\nBcc: eve@example.com>"
		if err := m.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		text := s.data[0]
		s.mu.Unlock()
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		read, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%q: %v", subject, err)
		}
		if len(read.Header) != 9 || read.Header.Get("Bcc") != "" {
			t.Errorf("%.50q makes these headers:\n%s", subject, head)
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00\x1b") {
				t.Errorf("%.50q makes the line %.80q", subject, line)
			}
		}
	}
}

func TestMailToSomeOnly(t *testing.T) {
	t.Parallel()
	s := &mailServer{reject: map[string]string{"RCPT TO:<ada": "550 who?"}}
	err := mailTo(t, deliver.MailConfig{TLS: deliver.NoTLS, Port: s.start(t)}).Send(t.Context(), notice)
	if refused, ok := errors.AsType[event.Refused](err); !ok || !strings.Contains(refused.Reason, `sent to 1 of 2: 127.0.0.1:`) || len(s.data) != 1 {
		t.Errorf("one of two is not known: %v, %d mails", err, len(s.data))
	}
	s = &mailServer{reject: map[string]string{"RCPT": "450 later"}}
	err = mailTo(t, deliver.MailConfig{TLS: deliver.NoTLS, Port: s.start(t)}).Send(t.Context(), notice)
	if _, ok := errors.AsType[event.Refused](err); ok || err == nil || len(s.data) != 0 {
		t.Errorf("nobody is taken now: %v, %d mails", err, len(s.data))
	}
}

// TestMailIsRefusedInside: a mail server inside the network is not asked unless the target says so.
func TestMailIsRefusedInside(t *testing.T) {
	t.Parallel()
	s := &mailServer{starttls: true}
	port := s.start(t)
	for _, host := range []string{"127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "::1", "0.0.0.0"} {
		m, err := deliver.NewMail(deliver.MailConfig{To: []string{"a@example.com"}, From: "b@example.com", Host: host, Port: port, TLS: deliver.StartTLS})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err = m.Send(ctx, notice)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "nothing is asked at") {
			t.Errorf("a server at %s: %v", host, err)
		}
	}
	if len(s.commands) != 0 {
		t.Errorf("it was told %v", s.commands)
	}
}

func TestMailRefused(t *testing.T) {
	t.Parallel()
	good := deliver.MailConfig{To: []string{"a@example.com"}, From: "b@example.com", Host: "smtp.example.com", TLS: deliver.StartTLS}
	for want, change := range map[string]func(*deliver.MailConfig){
		"email: an address is missing":      func(c *deliver.MailConfig) { c.To = nil },
		"email: it is not an address":       func(c *deliver.MailConfig) { c.To = []string{"a@example.com>\r\nDATA"} },
		"from: it is not an address":        func(c *deliver.MailConfig) { c.From = "nobody" },
		"host is not the name":              func(c *deliver.MailConfig) { c.Host = "smtp\r\nexample" },
		"tls is starttls, implicit or none": func(c *deliver.MailConfig) { c.TLS = "" },
		"a password needs TLS":              func(c *deliver.MailConfig) { c.TLS, c.Username, c.Password = deliver.NoTLS, "a", "s3cret" },
		"a server without TLS needs allow":  func(c *deliver.MailConfig) { c.TLS = deliver.NoTLS },
		"username and password go together": func(c *deliver.MailConfig) { c.Username = "a" },
		"port is 1 to 65535":                func(c *deliver.MailConfig) { c.Port = -1 },
	} {
		c := good
		change(&c)
		if _, err := deliver.NewMail(c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", want, err)
		}
	}
	for tls, want := range map[string]string{deliver.StartTLS: "smtp.example.com:587", deliver.Implicit: "smtp.example.com:465"} {
		c := good
		c.TLS = tls
		if m, err := deliver.NewMail(c); err != nil || m.Host() != want {
			t.Errorf("%s: %v, %v", tls, m, err)
		}
	}
}

func TestSlack(t *testing.T) {
	t.Parallel()
	var got string
	status, after := http.StatusOK, ""
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(b)
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "http://169.254.169.254/")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "no_\x1b[31mservice")
	}))
	t.Cleanup(chat.Close)
	s, err := deliver.NewSlack(chat.URL+"/services/s3cret", true)
	if err != nil {
		t.Fatal(err)
	}
	n := notice
	n.Subject, n.Text = "a <b> & c\nd", "<!channel> & so on\n"
	if err := s.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if want := `POST application/json {"text":"*a \u0026lt;b\u0026gt; \u0026amp; c d*\n\u0026lt;!channel\u0026gt; \u0026amp; so on\n"}`; got != want {
		t.Errorf("it was sent\n%s, want\n%s", got, want)
	}
	for _, code := range []int{http.StatusFound, http.StatusNotFound, http.StatusInternalServerError, http.StatusTooManyRequests} {
		status, after = code, map[int]string{http.StatusTooManyRequests: "30"}[code]
		err := s.Send(t.Context(), n)
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), strconv.Itoa(code)) {
			t.Errorf("an answer of %d: %v", code, err)
		}
		if later, ok := errors.AsType[event.Later](err); ok != (code == http.StatusTooManyRequests) || ok && later.After != 30*time.Second {
			t.Errorf("an answer of %d: %#v", code, err)
		}
	}
	n.Text = strings.Repeat("ü", 10000)
	status = http.StatusOK
	if err := s.Send(t.Context(), n); err != nil || len(got) > 10<<10 {
		t.Errorf("a long text: %v, %d bytes", err, len(got))
	}
}

// TestSlackIsRefusedInside: addresses inside are refused, and no error shows the URL, which is all that protects a chat.
func TestSlackIsRefusedInside(t *testing.T) {
	t.Parallel()
	asked := false
	chat := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(chat.Close)
	_, port, err := net.SplitHostPort(chat.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"} {
		s, err := deliver.NewSlack(fmt.Sprintf("https://%s/services/s3cret", net.JoinHostPort(strings.Trim(host, "[]"), port)), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), notice); err == nil || !strings.Contains(err.Error(), "nothing is asked at") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a chat at %s: %v", host, err)
		}
	}
	if asked {
		t.Error("a chat on this machine was asked")
	}
	for _, bad := range []string{"", "s3cret", "ftp://x/s3cret", "https://me:s3cret@x/", "http://x/s3cret", "https:///s3cret", "https://x/s3cret#f", "https://x:y/s3cret"} {
		if _, err := deliver.NewSlack(bad, false); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("NewSlack(%q): %v", bad, err)
		}
	}
}
