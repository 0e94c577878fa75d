// Package awswire speaks the AWS protocols to clients: it decodes a request, finds its operation, and
// encodes the answer or the error. It knows the protocols and no operation.
//
// A face such as ECR's is a [Service]: a table from operation names to functions made with [Op]. The wire
// types are the Input and Output structs of aws-sdk-go-v2, read and written by one reflective codec whose
// type plans are made once, in [New]. The functions return faults; the service's own table says which AWS
// exception each becomes, and the protocol's own table ([Protocol.Exception]) covers what every service
// shares: credentials, malformed requests, unknown operations, a store that does not answer.
//
// How Go structs meet the wire: a nil pointer, slice or map and an empty enumeration are left out; an empty
// slice is written as an empty list; plain booleans and numbers are always written.
package awswire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Call is what an operation learns about its request besides the input.
type Call struct {
	Caller    identity.Caller // nobody for an operation that is Unsigned
	RequestID string          // as the client sees it, for logs
	Host      string          // host and port that the client asked for
	Secure    bool            // whether it came by TLS, here or at a proxy that is trusted
	UserAgent string          // as the client sent it
}

// Scheme is the URL scheme the client used, http or https.
func (c Call) Scheme() string {
	if c.Secure {
		return "https"
	}
	return "http"
}

// defaultMaxBody bounds the body of an operation that does not say otherwise.
const defaultMaxBody = 1 << 20

// Operation is one operation of a service: its types, its limits and the function that does it.
type Operation struct {
	in, out  reflect.Type
	call     func(ctx context.Context, c Call, in any) (any, error)
	maxBody  int64
	unsigned bool
}

// Op makes an operation of a function over the SDK's Input and Output structs.
func Op[In, Out any](f func(context.Context, Call, *In) (*Out, error)) Operation {
	return Operation{
		in:      reflect.TypeFor[In](),
		out:     reflect.TypeFor[Out](),
		maxBody: defaultMaxBody,
		call: func(ctx context.Context, c Call, in any) (any, error) {
			return f(ctx, c, in.(*In))
		},
	}
}

// MaxBody sets how many bytes the request's body may have, both as sent and inflated. It is 1 MiB if unset.
func (o Operation) MaxBody(n int64) Operation {
	o.maxBody = n
	return o
}

// Unsigned marks an operation that carries its own proof in the input and no signature.
func (o Operation) Unsigned() Operation {
	o.unsigned = true
	return o
}

// Protocol is one of the AWS protocols.
type Protocol int

// The protocols that are spoken.
const (
	// JSON11 is AWS JSON 1.1: ECR.
	JSON11 Protocol = iota + 1
	// JSON10 is AWS JSON 1.0.
	JSON10
	// Query is the form-in, XML-out protocol: STS, IAM.
	Query
	// CBOR is Smithy RPC v2 with CBOR, at /service/<TargetPrefix>/operation/<name>: CloudWatch from Go.
	// See https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html.
	CBOR
)

// Service is one AWS service: where it is found on the wire and what it can do.
type Service struct {
	Name         string   // in the credential scope: ecr, sts
	Protocol     Protocol // how it is spoken to
	TargetPrefix string   // JSON: what stands before the operation in X-Amz-Target; CBOR: the service in the path
	Version      string   // Query: the Version parameter
	Namespace    string   // Query: the namespace of answers
	AuditName    string   // what the audit log calls it; empty: Name

	// Further are other protocols for the same operations, of which each client chooses one: CloudWatch is called in JSON
	// by Python, in CBOR by Go, and in Query by whatever is older.
	Further []Protocol
	// QueryCompatible marks a service that was Query's before it had another protocol. Its members are called as the Go
	// fields are in all of them, eight is written 8.0 where it is no integer, and errors carry Query's code in the header
	// x-amzn-query-error, which clients go by.
	QueryCompatible bool

	Operations map[string]Operation
	// Known names operations that the service has at Amazon and not here; calling one is refused clearly.
	// A name that is in Operations too counts as done.
	Known []string

	// Members gives the wire name of the few struct members that break the protocol's naming rule, under
	// "Type.Field". The rule is the Go field with its first letter lowered in JSON, and the Go field in Query.
	Members map[string]string

	// Exceptions is the service's table from faults to its modelled errors. It is asked before the
	// protocol's own table; an error that neither knows is an internal failure.
	Exceptions func(error) (Exception, bool)
	// Internal is what an error becomes that no table knows, if not what the protocol makes of it. The status is 500 and the
	// message names the request.
	Internal Exception
}

// Exception is an error as a client sees it.
type Exception struct {
	Code    string         // short name: RepositoryNotFoundException
	Status  int            // HTTP status; 0 means 400
	Message string         // for people
	Members map[string]any // further modelled members, by wire name

	Query         string // the code in Query of a service that is QueryCompatible, where it is not Code
	MessageMember string // how the model spells the member that holds the message; "" is message
}

// query is the exception's code in Query.
func (e Exception) query() string {
	if e.Query != "" {
		return e.Query
	}
	return e.Code
}

// side tells whose fault the exception is, in Query's words.
func (e Exception) side() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// message is the name of the member that holds the message.
func (e Exception) message() string {
	if e.MessageMember != "" {
		return e.MessageMember
	}
	return "message"
}

// Authenticator establishes who signed a request.
type Authenticator interface {
	// Screen looks at a request before a large body is read for it: are there credentials, of a key that
	// exists, of about now? It does not prove them.
	Screen(r *http.Request, service string) error
	// SigV4 verifies the request's signature over the body as it came on the wire.
	SigV4(r *http.Request, body []byte, service string) (identity.Caller, error)
}

// Config is what a handler is made of.
type Config struct {
	Authenticator Authenticator
	Logger        *slog.Logger
	Services      []Service
	// RequestID names a request, for instance with the id that a middleware chose. The default is a random UUID.
	RequestID func(*http.Request) string
	// Denials makes of a refusal the sealed text that goes into the header X-Berth-Authorization-Message, for
	// sts:DecodeAuthorizationMessage. Nil: there is no such header.
	Denials Denials
}

// Denials seals refusals. What it cannot seal is empty.
type Denials interface {
	Encode(ctx context.Context, r policy.Refusal) string
}

// New makes the handler for all services. It fails when a service's table is contradictory or a type cannot
// be put on the wire, so that neither is found out by a client.
func New(cfg Config) (http.Handler, error) {
	if cfg.Authenticator == nil {
		return nil, errors.New("the AWS endpoint needs an authenticator")
	}
	h := &handler{
		authenticator: cfg.Authenticator,
		logger:        cfg.Logger,
		requestID:     cfg.RequestID,
		denials:       cfg.Denials,
		targets:       map[string]*service{},
		paths:         map[string]*service{},
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.requestID == nil {
		h.requestID = randomRequestID
	}
	for _, s := range cfg.Services {
		prepared, err := prepare(s)
		for _, p := range prepared {
			err = errors.Join(err, h.add(p))
		}
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	return h, nil
}

// add puts a service where requests of its protocol find it.
func (h *handler) add(s *service) error {
	switch s.Protocol {
	case Query:
		for _, other := range h.queries {
			if other.Name == s.Name && other.Version == s.Version {
				return fmt.Errorf("its version %s is there twice", s.Version)
			}
		}
		h.queries = append(h.queries, s)
	case CBOR:
		if _, taken := h.paths[s.TargetPrefix]; taken {
			return fmt.Errorf("the path of %q is taken", s.TargetPrefix)
		}
		h.paths[s.TargetPrefix] = s
	default:
		if _, taken := h.targets[s.TargetPrefix]; taken {
			return fmt.Errorf("target prefix %q is taken", s.TargetPrefix)
		}
		h.targets[s.TargetPrefix] = s
	}
	return nil
}

// service is a Service made ready for one of its protocols: its codec knows all of its types.
type service struct {
	Service
	codec *codec
	wire  wire
	known map[string]bool
}

// prepare makes a service ready for each of its protocols. They share the codec.
func prepare(s Service) ([]*service, error) {
	rule := lowerFirst
	if s.Protocol == Query || s.QueryCompatible {
		rule = func(field string) string { return field }
	}
	codec, known := newCodec(rule, s.Members), map[string]bool{}
	codec.points = s.QueryCompatible
	for name, op := range s.Operations {
		if op.call == nil {
			return nil, fmt.Errorf("operation %s was not made with Op", name)
		}
		for _, t := range []reflect.Type{op.in, op.out} {
			if t.Kind() != reflect.Struct {
				return nil, fmt.Errorf("operation %s: %s is not a struct", name, t)
			}
			if _, err := codec.plan(t); err != nil {
				return nil, fmt.Errorf("operation %s: %w", name, err)
			}
		}
	}
	for _, name := range s.Known {
		known[name] = true
	}
	if len(s.Further) > 0 && !s.QueryCompatible {
		return nil, errors.New("only a QueryCompatible service has several protocols: the others differ in how members are called")
	}
	var prepared []*service
	for _, protocol := range append([]Protocol{s.Protocol}, s.Further...) {
		wire, err := s.wire(protocol)
		if err != nil {
			return nil, err
		}
		p := &service{Service: s, codec: codec, known: known, wire: wire}
		p.Protocol = protocol
		prepared = append(prepared, p)
	}
	return prepared, nil
}

// wire makes what speaks a protocol, if the service says what that needs.
func (s *Service) wire(p Protocol) (wire, error) {
	switch p {
	case JSON11, JSON10:
		if s.TargetPrefix == "" {
			return nil, errors.New("a JSON service needs a target prefix")
		}
		return jsonWire{contentType: jsonContentType(p)}, nil
	case CBOR:
		if s.TargetPrefix == "" || !s.QueryCompatible {
			return nil, errors.New("a CBOR service needs a target prefix, and to be QueryCompatible")
		}
		return cborWire{}, nil
	case Query:
		if s.Version == "" || s.Namespace == "" {
			return nil, errors.New("a Query service needs a version and a namespace")
		}
		return queryWire{namespace: s.Namespace}, nil
	default:
		return nil, fmt.Errorf("unknown protocol %d", p)
	}
}
