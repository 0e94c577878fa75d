package access

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const (
	// messageUse is what the sealed messages are for.
	messageUse = "authorization message"
	// messageFor is how long a message can be decoded.
	messageFor = 24 * time.Hour
	// maxEncoded bounds a message, which travels in a header: nginx, as it comes, takes a page of 4096 bytes of headers from
	// what it stands before, and answers 502 for more.
	maxEncoded = 3072
	// messageStep is what a message's length, before it is sealed, is a multiple of: how much there is to say of a refusal
	// would tell whether there is what was asked for. Most messages take one step.
	messageStep = 750
	maxPacked   = 3 * messageStep // what there is room for in maxEncoded
	// maxMessage bounds what is inflated.
	maxMessage = 64 << 10
	// maxValue bounds each of a client's values in a message.
	maxValue = 512
)

// items is how AWS writes lists in decoded messages.
type items[T any] struct {
	Items []T `json:"items"`
}

// MarshalJSON writes an empty list as one.
func (i items[T]) MarshalJSON() ([]byte, error) {
	if i.Items == nil {
		i.Items = []T{}
	}
	return json.Marshal(map[string][]T{"items": i.Items})
}

// message is a decoded authorization message, in AWS's shape (STS API Reference, "DecodeAuthorizationMessage").
type message struct {
	Allowed           bool           `json:"allowed"`
	ExplicitDeny      bool           `json:"explicitDeny"`
	MatchedStatements items[matched] `json:"matchedStatements"`
	Failures          items[failure] `json:"failures"`
	Context           messageContext `json:"context"`
}

type matched struct {
	StatementID string `json:"statementId"`
	Effect      string `json:"effect"`
	Statement   int    `json:"statement"`
	Policy      string `json:"policy"`
	PolicyType  string `json:"policyType"`
}

// failure is one of the sentences that tell why it was not allowed.
type failure struct {
	Reason string `json:"reason"`
}

type messageContext struct {
	Principal  messagePrincipal  `json:"principal"`
	Action     string            `json:"action"`
	Resource   string            `json:"resource"`
	Conditions items[messageKey] `json:"conditions"`
}

type messagePrincipal struct {
	ARN string `json:"arn"`
}

type messageKey struct {
	Key    string              `json:"key"`
	Values items[messageValue] `json:"values"`
}

type messageValue struct {
	Value string `json:"value"`
}

// sealedMessage is what a message seals.
type sealedMessage struct {
	Expires  int64           `json:"e"` // seconds since 1970
	Document json.RawMessage `json:"d"`
}

// Encode makes of a refusal the text that DecodeAuthorizationMessage reads: sealed, so that it can be handed to whoever
// was refused. What does not fit is left out, and where nothing does, or anything fails, the text is empty: the refusal
// itself has been answered by then.
func (s *Service) Encode(ctx context.Context, r policy.Refusal) string {
	m := messageOf(r)
	for _, smaller := range []func(){
		func() {},
		func() { m.Context.Conditions.Items = nil },
		func() { m.Failures.Items, m.MatchedStatements.Items = nil, nil },
	} {
		smaller()
		text, err := s.encode(ctx, m)
		if err != nil {
			return ""
		}
		if text != "" && len(text) <= maxEncoded {
			return text
		}
	}
	return ""
}

// encode gives nothing for a message that is longer than the one who decodes it reads.
func (s *Service) encode(ctx context.Context, m message) (string, error) {
	document, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("writing an authorization message: %w", err)
	}
	plain, err := json.Marshal(sealedMessage{s.now().Add(messageFor).Unix(), document})
	if err != nil {
		return "", fmt.Errorf("writing an authorization message: %w", err)
	}
	if len(plain) > maxMessage {
		return "", nil
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return "", fmt.Errorf("compressing an authorization message: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return "", fmt.Errorf("compressing an authorization message: %w", err)
	}
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("compressing an authorization message: %w", err)
	}
	// What follows the end of the compressed text is not read.
	length := min((packed.Len()+messageStep-1)/messageStep*messageStep, maxPacked)
	return s.directory.SealMessage(ctx, messageUse, append(packed.Bytes(), make([]byte, max(0, length-packed.Len()))...))
}

// messageOf gives a refusal AWS's shape.
func messageOf(r policy.Refusal) message {
	m := message{
		ExplicitDeny: r.Decision.Outcome == policy.ExplicitDeny,
		Context: messageContext{
			Principal: messagePrincipal{r.Principal}, Action: string(r.Action), Resource: shortText(r.Resource),
		},
	}
	for _, b := range r.Decision.Because {
		effect := policy.Allow
		if m.ExplicitDeny {
			effect = policy.Deny
		}
		m.MatchedStatements.Items = append(m.MatchedStatements.Items, matched{
			StatementID: b.Sid, Effect: string(effect), Statement: b.Statement, Policy: b.Policy.Name(), PolicyType: string(b.Policy.Kind()),
		})
	}
	for _, sentence := range r.Explanation {
		m.Failures.Items = append(m.Failures.Items, failure{sentence})
	}
	for _, key := range slices.Sorted(maps.Keys(r.Received)) {
		k := messageKey{Key: key}
		for _, v := range r.Received[key] {
			if len(v) > maxValue {
				v = v[:maxValue] + "…"
			}
			k.Values.Items = append(k.Values.Items, messageValue{v})
		}
		m.Context.Conditions.Items = append(m.Context.Conditions.Items, k)
	}
	return m
}

// DecodeAuthorizationMessage reads what Encode made, within a day.
func (s *Service) DecodeAuthorizationMessage(ctx context.Context, caller identity.Caller, text string) (document string, err error) {
	if err := s.authorize(ctx, caller, policy.DecodeAuthorizationMessage, policy.AnyResource, nil); err != nil {
		return "", err
	}
	broken := fault.New(fault.DecisionMessageInvalid, "The encoded authorization message is not one that this registry made within the last day.")
	if len(text) > maxEncoded {
		return "", broken
	}
	packed, err := s.directory.OpenMessage(ctx, messageUse, text)
	if errors.Is(err, identity.ErrMessageInvalid) {
		return "", broken
	}
	if err != nil {
		return "", err
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxMessage))
	if err != nil {
		return "", fmt.Errorf("reading an authorization message that was sealed here: %w", err)
	}
	var m sealedMessage
	if err := json.Unmarshal(plain, &m); err != nil {
		return "", fmt.Errorf("reading an authorization message that was sealed here: %w", err)
	}
	if s.now().Unix() >= m.Expires {
		return "", broken
	}
	return string(m.Document), nil
}
