package audit

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// NoticeKind is something that happened to the log itself.
type NoticeKind string

// The kinds. They are the names of events.
const (
	// Lost: records could not be written, the disk being full or broken.
	Lost NoticeKind = "AuditRecordsLost"
	// Torn: the log ended within a record when it was opened, as after a power cut; that part was cut off.
	Torn NoticeKind = "AuditRecordTorn"
	// RolledBack: the log that was written before is shorter than what is known of it. This is the first record of another one.
	RolledBack NoticeKind = "AuditLogRolledBack"
)

// Notice is one of them.
type Notice struct {
	Kind  NoticeKind
	At    time.Time
	ID    string    // unique, 32 hexadecimal digits
	Count int64     // records that are lost, bytes that were cut off, records that there should be
	Since time.Time // when the first of the records was lost
	Log   string    // RolledBack: which
}

// service is a record of what the registry did by itself (CloudTrail User Guide, "Non-API events captured by CloudTrail").
type service struct {
	at        time.Time
	id        string
	operation string
	actor     string // berth:lifecycle
	resources []string
	// details writes members of serviceEventDetails, after others or none.
	details func(b []byte) []byte
}

// appendService writes such a record, without a line's end. [Number] makes it whole.
func (c Encoder) appendService(b []byte, s service) []byte {
	b = append(b, `{"eventVersion":"`+EventVersion+`","userIdentity":`...)
	b = c.appendIdentity(b, identity.Caller{ARN: s.actor, Service: true})
	b = c.appendHead(b, s.at, "ecr", s.operation)
	b = appendField(b, "sourceIPAddress", "berth.internal")
	b = appendField(b, "userAgent", "berth.internal")
	b = append(b, `,"requestParameters":null,"responseElements":null`...)
	b = appendEventID(b, s.id)
	b = append(b, `,"readOnly":false`...)
	if len(s.resources) > 0 {
		b = c.appendResources(b, &Entry{Resources: s.resources})
	}
	b = append(b, `,"serviceEventDetails":{`...)
	b = s.details(b)
	b = append(b, '}')
	b = c.appendTail(b, "AwsServiceEvent")
	b = appendAt(b, s.at)
	return append(b, "}}"...)
}

// Notice writes the record of something that happened to the log.
func (c Encoder) Notice(n Notice) []byte {
	return c.appendService(nil, service{
		at: n.At, id: n.ID, operation: string(n.Kind), actor: "berth:audit",
		details: func(b []byte) []byte {
			b = appendNumber(b, "count", n.Count)
			if !n.Since.IsZero() {
				b = appendField(b, "since", n.Since.UTC().Format(time.RFC3339Nano))
			}
			return appendOptional(b, "log", n.Log)
		},
	})
}
