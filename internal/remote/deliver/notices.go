package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/notify"
)

// Notices has a webhook carry notices: a JSON object with type, timestamp and data, as Standard Webhooks proposes.
type Notices struct{ Webhook *Webhook }

var _ notify.Sender = Notices{}

type noticeBody struct {
	Type      string     `json:"type"` // notice, or notice.test
	Timestamp time.Time  `json:"timestamp"`
	Data      noticeData `json:"data"`
}

type noticeData struct {
	ID      string          `json:"id"`
	Subject string          `json:"subject"`
	Text    string          `json:"text"`
	Detail  json.RawMessage `json:"detail,omitempty"` // of an alarm what Amazon SNS would carry
}

// Send implements notify.Sender.
func (n Notices) Send(ctx context.Context, m notify.Message) error {
	body := noticeBody{Type: "notice", Timestamp: m.At.UTC(), Data: noticeData{ID: m.ID, Subject: m.Subject, Text: m.Text}}
	if m.Test {
		body.Type = "notice.test"
	}
	if json.Valid([]byte(m.Detail)) {
		body.Data.Detail = json.RawMessage(m.Detail)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding a notice: %w", err)
	}
	return n.Webhook.Send(ctx, Message{ID: m.ID, ContentType: "application/json", Body: raw})
}
