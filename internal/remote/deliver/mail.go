package deliver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/notify"
)

// How a connection to a mail server is protected.
const (
	StartTLS = "starttls" // it becomes TLS before anything else is said, or there is no mail
	Implicit = "implicit" // it is TLS from the beginning, as on port 465
	NoTLS    = "none"     // of a server inside a network; nothing is signed in to
)

const (
	mailTime     = 25 * time.Second // of the whole conversation
	mailDial     = 10 * time.Second
	maxMailText  = 256 << 10
	maxSubject   = 200 // characters
	messageIDAll = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
)

// MailConfig is what a Mail is made of. To, Host, From and TLS must be set.
type MailConfig struct {
	To   []string // addresses
	From string   // an address, which may have a name: Berth <berth@example.com>
	Host string
	Port int // 587, or 465 of Implicit, where it is 0
	TLS  string
	// Username and Password sign in (AUTH PLAIN), only ever over TLS. Empty: nobody does.
	Username, Password string
	// AllowPrivate lets the server be at a private address or on this machine.
	AllowPrivate bool
	// TLSConfig is what the connection is protected by; nil: the usual. ServerName is set to Host.
	TLSConfig *tls.Config
}

// Mail sends notices by mail, through one server.
type Mail struct {
	c    MailConfig
	from *mail.Address
	to   []*mail.Address
	addr string
}

var _ notify.Sender = (*Mail)(nil)

// NewMail makes a Mail, or says what is wrong. It asks nobody.
func NewMail(c MailConfig) (*Mail, error) {
	m := &Mail{c: c}
	var err error
	if m.from, err = address(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if len(c.To) == 0 {
		return nil, errors.New("email: an address is missing")
	}
	for _, text := range c.To {
		a, err := address(text)
		if err != nil {
			return nil, fmt.Errorf("email: %w", err)
		}
		m.to = append(m.to, a)
	}
	port := c.Port
	switch {
	case c.Host == "" || strings.ContainsAny(c.Host, "/@ \r\n"):
		return nil, errors.New("smtp: host is not the name of a mail server, such as smtp.example.com")
	case c.TLS != StartTLS && c.TLS != Implicit && c.TLS != NoTLS:
		return nil, errors.New("smtp: tls is starttls, implicit or none")
	case c.TLS == NoTLS && (c.Username != "" || c.Password != ""):
		return nil, errors.New("smtp: a password needs TLS: starttls or implicit")
	case c.TLS == NoTLS && !c.AllowPrivate:
		return nil, errors.New("smtp: a server without TLS needs allow-private: true, and is for those inside a network")
	case (c.Username == "") != (c.Password == ""):
		return nil, errors.New("smtp: username and password go together")
	case port < 0 || port > 65535:
		return nil, errors.New("smtp: port is 1 to 65535")
	case port == 0 && c.TLS == Implicit:
		port = 465
	case port == 0:
		port = 587
	}
	m.addr = net.JoinHostPort(c.Host, strconv.Itoa(port))
	return m, nil
}

func address(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsAny(text, "\r\n") || strings.ContainsAny(a.Address, "<>\r\n\t ") {
		return nil, errors.New("it is not an address such as ops@example.com")
	}
	return a, nil
}

// Host is the server for people to read.
func (m *Mail) Host() string { return m.addr }

// Send implements notify.Sender. Where a server takes a mail for some addresses and not for others, it is sent to those, and [event.Refused] says
// so: sent again it would come twice.
func (m *Mail) Send(ctx context.Context, n notify.Message) error {
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	client, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if m.c.Username != "" {
		// PlainAuth itself would let a password go to this machine without TLS.
		if _, secure := client.TLSConnectionState(); !secure {
			return fmt.Errorf("%s: the connection is not protected, and gets no password", m.addr)
		}
		if err := client.Auth(smtp.PlainAuth("", m.c.Username, m.c.Password, m.c.Host)); err != nil {
			return fmt.Errorf("signing in to %s: %w", m.addr, answer(err))
		}
	}
	if err := m.hand(client, n); err != nil {
		return err
	}
	_ = client.Quit() // the mail is on its way
	return nil
}

// connect greets the server, over TLS unless the configuration is otherwise.
func (m *Mail) connect(ctx context.Context) (*smtp.Client, error) {
	dialer := &net.Dialer{Timeout: mailDial, Control: refusal(m.c.AllowPrivate).Control}
	conn, err := dialer.DialContext(ctx, "tcp", m.addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", m.addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	client, err := m.greet(ctx, conn)
	if err != nil {
		stop()
		_ = conn.Close()
		return nil, fmt.Errorf("greeting %s: %w", m.addr, answer(err))
	}
	return client, nil
}

func (m *Mail) greet(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	config := &tls.Config{ServerName: m.c.Host, MinVersion: tls.VersionTLS12}
	if m.c.TLSConfig != nil {
		config = m.c.TLSConfig.Clone()
		config.ServerName = m.c.Host
	}
	if m.c.TLS == Implicit {
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	client, err := smtp.NewClient(conn, m.c.Host)
	if err != nil {
		return nil, err
	}
	if err := client.Hello(m.helo()); err != nil {
		return nil, err
	}
	if m.c.TLS == StartTLS {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, errors.New("it does not offer STARTTLS, and nothing is sent to it without")
		}
		if err := client.StartTLS(config); err != nil {
			return nil, err
		}
	}
	return client, nil
}

// helo is what we call ourselves: the domain that mail comes from.
func (m *Mail) helo() string {
	if _, domain, ok := strings.Cut(m.from.Address, "@"); ok {
		ascii := strings.Map(func(r rune) rune {
			if strings.ContainsRune(messageIDAll, r) {
				return r
			}
			return -1
		}, domain)
		if ascii != "" {
			return ascii
		}
	}
	return "localhost"
}

// hand hands over one mail to all.
func (m *Mail) hand(client *smtp.Client, n notify.Message) error {
	failed := func(err error) error { return fmt.Errorf("%s does not take the mail: %w", m.addr, answer(err)) }
	if err := client.Mail(m.from.Address); err != nil {
		return failed(err)
	}
	var problems []error
	for _, to := range m.to {
		if err := client.Rcpt(to.Address); err != nil {
			problems = append(problems, fmt.Errorf("%s does not take mail for %s: %w", m.addr, to.Address, answer(err)))
		}
	}
	if len(problems) == len(m.to) {
		return errors.Join(problems...)
	}
	w, err := client.Data()
	if err != nil {
		return failed(err)
	}
	if _, err := w.Write(m.compose(n)); err != nil {
		return failed(err)
	}
	if err := w.Close(); err != nil {
		return failed(err)
	}
	if err := errors.Join(problems...); err != nil {
		return event.Refused{Reason: fmt.Sprintf("sent to %d of %d: %v", len(m.to)-len(problems), len(m.to), err)}
	}
	return nil
}

// compose writes a mail. Nothing of a notice can become a header of its own or end the headers: lines of it are joined, and what is not ASCII
// is encoded.
func (m *Mail) compose(n notify.Message) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", m.from.String())
	to := make([]string, len(m.to))
	for i, a := range m.to {
		to[i] = a.String()
	}
	header("To", strings.Join(to, ",\r\n\t"))
	subject := oneLine(n.Subject)
	if r := []rune(subject); len(r) > maxSubject {
		subject = string(r[:maxSubject])
	}
	// Encoded words stand beside each other on lines of their own: one line of them could be too long.
	header("Subject", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", subject), "?= =?", "?=\r\n =?"))
	header("Date", n.At.UTC().Format(time.RFC1123Z))
	id := strings.Map(func(r rune) rune {
		if strings.ContainsRune(messageIDAll, r) {
			return r
		}
		return '_'
	}, n.ID)
	header("Message-ID", "<"+id+"."+strconv.FormatInt(n.At.UnixMicro(), 10)+"@"+m.helo()+">")
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	text := n.Text
	if n.Detail != "" {
		text += "\n" + n.Detail + "\n"
	}
	if len(text) > maxMailText {
		text = text[:maxMailText]
	}
	w := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(w, strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n", "\r", "\r\n").Replace(strings.ToValidUTF8(text, "\uFFFD")))
	_ = w.Close() // a bytes.Buffer takes everything
	return b.Bytes()
}

// answer quotes what a server says: a stranger's text.
func answer(err error) error {
	e, ok := errors.AsType[*textproto.Error](err)
	if !ok {
		return err
	}
	text := oneLine(e.Msg)
	if len(text) > maxQuoted {
		text = text[:maxQuoted]
	}
	return &textproto.Error{Code: e.Code, Msg: strconv.QuoteToASCII(text)}
}
