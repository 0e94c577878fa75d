package audit

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// EventVersion is the version of CloudTrail's record format that records are in (CloudTrail User Guide, "CloudTrail record contents").
const EventVersion = "1.11"

// How much of strangers' texts a record holds.
const (
	maxText      = 1024 // as CloudTrail cuts user agents and messages
	maxDecidedBy = 2048
	maxImages    = 100 // what a request names at most
	maxResources = 20
)

// Encoder writes records. Equal entries make equal bytes.
type Encoder struct {
	Account string // 12 digits
	Region  string
}

// Append writes the entry's record, without a line's end. It is whole once [Number] has put its place in the log into it.
// Everything that comes from clients is cut to a length, and escaped so that a line stays one.
func (c Encoder) Append(b []byte, e *Entry) []byte {
	b = append(b, `{"eventVersion":"`+EventVersion+`","userIdentity":`...)
	b = c.appendIdentity(b, e.Caller)
	b = c.appendHead(b, e.At, e.Service, e.Operation)
	b = appendField(b, "sourceIPAddress", clip(orElse(e.Caller.Origin.Address, "berth.internal"), maxText))
	b = appendOptional(b, "userAgent", clip(e.Caller.Origin.UserAgent, maxText))
	b = appendOptional(b, "errorCode", clip(e.Fault, maxText))
	b = appendOptional(b, "errorMessage", clip(e.Message, maxText))
	b = append(b, `,"requestParameters":`...)
	b = appendParameters(b, e)
	b = append(b, `,"responseElements":null`...)
	b = appendField(b, "requestID", clip(e.ID, maxText))
	b = appendEventID(b, e.ID)
	b = append(b, `,"readOnly":`...)
	b = strconv.AppendBool(b, e.ReadOnly)
	b = c.appendResources(b, e)
	b = c.appendTail(b, "AwsApiCall")
	b = appendAt(b, e.At)
	b = appendOptional(b, "method", clip(e.Method, maxText))
	b = appendOptional(b, "path", clip(e.Path, maxText))
	b = appendNumber(b, "status", int64(e.Status))
	b = appendNumber(b, "bytesIn", e.BytesIn)
	b = appendNumber(b, "bytesOut", e.BytesOut)
	b = appendNumber(b, "durationMicros", e.Duration.Microseconds())
	b = appendOptional(b, "decidedBy", clip(e.DecidedBy, maxDecidedBy))
	b = appendPulled(b, e.Pulled)
	if s := e.Caller.Session; s != nil {
		b = appendOptional(b, "webIdentitySubject", clip(s.Subject, maxText))
	}
	return append(b, "}}"...)
}

// appendHead writes when, where and what.
func (c Encoder) appendHead(b []byte, at time.Time, service, operation string) []byte {
	b = append(b, `,"eventTime":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","eventSource":`...)
	b = appendJoined(b, service, ".amazonaws.com")
	b = appendField(b, "eventName", clip(operation, maxText))
	return appendField(b, "awsRegion", c.Region)
}

// appendTail writes what is the same in all records of a type, and begins additionalEventData.
func (c Encoder) appendTail(b []byte, kind string) []byte {
	b = appendField(b, "eventType", kind)
	b = append(b, `,"managementEvent":true`...)
	b = appendField(b, "recipientAccountId", c.Account)
	return append(b, `,"eventCategory":"Management","additionalEventData":{`...)
}

// appendAt begins additionalEventData: eventTime has whole seconds.
func appendAt(b []byte, at time.Time) []byte {
	b = append(b, `"at":"`...)
	at = at.UTC()
	b = at.AppendFormat(b, time.RFC3339) // which the standard library is fastest at
	b[len(b)-1] = '.'                    // Z
	micros := at.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return append(b, `Z"`...)
}

// PreviousSize is how many bytes of the hash of the record before a record has.
const PreviousSize = 8

// Number puts into a record that Append made at which place of which log it is, and the first bytes of the hash of the record before, by
// which a reader finds the very one that was changed.
func Number(record []byte, log string, n int64, previous []byte) []byte {
	b := record[:len(record)-len("}}")]
	b = appendField(b, "log", log)
	b = appendNumber(b, "sequence", n)
	b = append(b, `,"previous":"`...)
	b = hex.AppendEncode(b, previous)
	return append(b, `"}}`...)
}

// appendIdentity writes a userIdentity element (CloudTrail User Guide, "CloudTrail userIdentity element").
func (c Encoder) appendIdentity(b []byte, who identity.Caller) []byte {
	s := who.Session
	switch {
	case who.Service:
		return append(appendJSON(append(b, `{"type":"AWSService","invokedBy":`...), who.ARN), '}')
	case who.Anonymous() && s != nil && s.Subject != "":
		b = append(b, `{"type":"WebIdentityUser"`...)
		b = appendField(b, "principalId", s.Provider+":"+clip(s.Subject, maxText))
		b = appendField(b, "userName", clip(s.Subject, maxText))
		b = appendField(b, "identityProvider", s.Provider)
		return append(b, '}')
	case who.Anonymous():
		return append(b, `{"type":"AWSAccount","principalId":"","accountId":"ANONYMOUS_PRINCIPAL"}`...)
	case s != nil && s.RoleARN != "":
		b = append(b, `{"type":"AssumedRole"`...)
	case who.Root:
		b = append(b, `{"type":"Root"`...)
	default:
		b = append(b, `{"type":"IAMUser"`...)
	}
	b = appendField(b, "principalId", who.UserID)
	b = appendField(b, "arn", who.ARN)
	b = appendField(b, "accountId", who.Account)
	b = appendOptional(b, "accessKeyId", who.AccessKeyID)
	if !who.Root && (s == nil || s.RoleARN == "") {
		b = appendField(b, "userName", lastPart(who.ARN))
	}
	if s != nil {
		b = c.appendSession(b, who, s)
	}
	return append(b, '}')
}

func (c Encoder) appendSession(b []byte, who identity.Caller, s *identity.Session) []byte {
	b = append(b, `,"sessionContext":{`...)
	if s.RoleARN != "" {
		b = append(b, `"sessionIssuer":{"type":"Role"`...)
		b = appendField(b, "principalId", who.PrincipalID())
		b = appendField(b, "arn", s.RoleARN)
		b = appendField(b, "accountId", who.Account)
		b = appendField(b, "userName", lastPart(s.RoleARN))
		b = append(b, "},"...)
	}
	if s.Provider != "" {
		b = append(b, `"webIdFederationData":{"federatedProvider":`...)
		b = appendJSON(b, s.Provider)
		b = append(b, `,"attributes":{`...)
		if s.Subject != "" {
			b = append(b, `"sub":`...)
			b = appendJSON(b, clip(s.Subject, maxText))
		}
		b = append(b, "}},"...)
	}
	b = append(b, `"attributes":{"creationDate":"`...)
	b = s.IssuedAt.UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","mfaAuthenticated":"false"}`...)
	b = appendOptional(b, "sourceIdentity", s.SourceIdentity)
	return append(b, '}')
}

// appendParameters writes what a request names, as ECR's inputs call it.
func appendParameters(b []byte, e *Entry) []byte {
	if e.Repository == "" && len(e.Images) == 0 && len(e.Layers) == 0 && len(e.Parameters) == 0 {
		return append(b, "null"...)
	}
	b = append(b, '{')
	if e.Repository != "" {
		b = appendField(b, "repositoryName", clip(e.Repository, maxText))
	}
	if len(e.Images) > 0 {
		b = appendKey(b, "imageIds")
		b = append(b, '[')
		for i, id := range e.Images[:min(len(e.Images), maxImages)] {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '{')
			b = appendOptional(b, "imageDigest", clip(string(id.Digest), maxText))
			b = appendOptional(b, "imageTag", clip(id.Tag, maxText))
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	switch len(e.Layers) {
	case 0:
	case 1:
		b = appendField(b, "layerDigest", clip(string(e.Layers[0]), maxText))
	default:
		b = appendDigests(b, "layerDigests", e.Layers)
	}
	for _, p := range e.Parameters {
		b = appendField(b, p.Name, clip(p.Value, maxText))
	}
	return append(b, '}')
}

func (c Encoder) appendResources(b []byte, e *Entry) []byte {
	if e.Repository == "" && len(e.Resources) == 0 {
		return b
	}
	b = append(b, `,"resources":[`...)
	if e.Repository != "" {
		b = append(b, `{"ARN":`...)
		b = appendJoined(b, "arn:aws:ecr:", c.Region, ":", c.Account, ":repository/", clip(e.Repository, maxText))
		b = appendField(b, "accountId", c.Account)
		b = append(b, '}')
	}
	for i, arn := range e.Resources[:min(len(e.Resources), maxResources)] {
		if i > 0 || e.Repository != "" {
			b = append(b, ',')
		}
		b = append(b, `{"ARN":`...)
		b = appendJSON(b, clip(arn, maxText))
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendPulled(b []byte, pulled []oci.Digest) []byte {
	if len(pulled) == 0 {
		return b
	}
	return appendDigests(b, "pulledImages", pulled)
}

func appendDigests(b []byte, name string, digests []oci.Digest) []byte {
	b = appendKey(b, name)
	b = append(b, '[')
	for i, d := range digests[:min(len(digests), maxImages)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, clip(string(d), maxText))
	}
	return append(b, ']')
}

// appendEventID writes the event's id, a UUID: the request's id where that is 32 hexadecimal digits, which makes it the same however often
// it is asked for.
func appendEventID(b []byte, id string) []byte {
	b = append(b, `,"eventID":"`...)
	if !hexadecimal(id) {
		return append(b, `00000000-0000-0000-0000-000000000000"`...)
	}
	for i, from := range [...]int{0, 8, 12, 16, 20} {
		if i > 0 {
			b = append(b, '-')
		}
		b = append(b, id[from:[...]int{8, 12, 16, 20, 32}[i]]...)
	}
	return append(b, '"')
}

func appendKey(b []byte, name string) []byte {
	if last := b[len(b)-1]; last != '{' && last != ',' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, `":`...)
}

func appendField(b []byte, name, value string) []byte { return appendJSON(appendKey(b, name), value) }

func appendOptional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendField(b, name, value)
}

func appendNumber(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendKey(b, name), n, 10)
}

// hexadecimal tells whether an id is 32 small hexadecimal digits.
func hexadecimal(id string) bool {
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(id) == 32
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (table [256]bool) { //nolint:gochecknoglobals // a table
	for c := ' '; c < 0x7f; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// appendJSON writes a string. Bytes that are no UTF-8 become U+FFFD; controls, those of terminals too, are escaped.
func appendJSON(b []byte, s string) []byte {
	return append(appendText(append(b, '"'), s), '"')
}

// appendJoined writes several texts as one string.
func appendJoined(b []byte, texts ...string) []byte {
	b = append(b, '"')
	for _, s := range texts {
		b = appendText(b, s)
	}
	return append(b, '"')
}

// appendText writes what is between the quotes.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if size > 1 && r >= 0xa0 {
			i += size
			continue
		}
		b = append(b, s[done:i]...)
		switch {
		case r == utf8.RuneError && size <= 1:
			b = append(b, `\ufffd`...)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default: // below U+00A0
			b = append(b, '\\', 'u', '0', '0', digits[r>>4&0xf], digits[r&0xf])
		}
		i += size
		done = i
	}
	return append(b, s[done:]...)
}

// clip cuts a text to at most so many bytes, between characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// lastPart is what stands after an ARN's last slash or colon.
func lastPart(arn string) string {
	return arn[strings.LastIndexAny(arn, "/:")+1:]
}
