package deliver_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/remote/deliver"
)

// FuzzMail: whatever an alarm is called and says, its mail has these headers and no other, and no line that is too long or ends the data.
func FuzzMail(f *testing.F) {
	f.Add("id", "subject", "text", "{}")
	f.Add("a\r\nBcc: x", "a\nBcc: x\r\n\r\nbody", ".\r\n.\nMAIL FROM:<x>", "\x00")
	f.Add("ü", strings.Repeat("ü", 300), strings.Repeat("a", 2000), "\xff")
	f.Add("", "a?= =?b", "\r", "\n")
	m, err := deliver.NewMail(deliver.MailConfig{To: []string{"ops@example.com"}, From: "berth@example.com", Host: "smtp.example.com", TLS: deliver.StartTLS})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, subject, text, detail string) {
		raw := deliver.Compose(m, notify.Message{ID: id, At: notice.At, Subject: subject, Text: text, Detail: detail})
		read, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%v in\n%q", err, raw)
		}
		if len(read.Header) != 9 {
			t.Errorf("headers: %v", read.Header)
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") {
				t.Errorf("the line %.100q of %d bytes", line, len(line))
			}
		}
	})
}
