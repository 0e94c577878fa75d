package awswire

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// screenFrom is the size of body from which credentials are looked at before the body is read, and the most
// that a form without any may have, so that strangers cannot make the server hold large ones.
const screenFrom = 64 << 10

// handler serves all services. It is immutable after New, the pool apart.
type handler struct {
	authenticator Authenticator
	logger        *slog.Logger
	requestID     func(*http.Request) string
	denials       Denials             // may be nil
	targets       map[string]*service // JSON services by target prefix
	paths         map[string]*service // CBOR services by the name in the path
	queries       []*service          // Query services
	buffers       sync.Pool           // *[]byte, for answers
}

// exchange is one request on its way through.
type exchange struct {
	w    http.ResponseWriter
	r    *http.Request
	id   string
	svc  *service // nil until the request is known to be for one
	wire wire     // how to answer, as soon as that much is known
	name string   // the operation
}

// ServeHTTP answers requests to the AWS endpoint, which is the root path, and explains itself to others.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: h.requestID(r)}
	header := w.Header()
	header.Set("X-Amzn-Requestid", x.id)
	// Answers carry secret keys, session tokens and passwords, and are one caller's alone: nothing on the way keeps them.
	header.Set("Cache-Control", "no-store")
	var err error
	switch target := r.Header.Get("X-Amz-Target"); {
	case target != "":
		err = h.serveJSON(x, target)
	case strings.HasPrefix(r.URL.Path, servicePath):
		err = h.serveCBOR(x)
	case isForm(r) || r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "Action="):
		err = h.serveQuery(x)
	default:
		h.explain(w, r)
		return
	}
	if err != nil {
		h.fail(x, err)
	}
}

func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && kind == "application/x-www-form-urlencoded"
}

// serveJSON serves the protocols that name the operation in X-Amz-Target.
func (h *handler) serveJSON(x *exchange, target string) error {
	x.wire = jsonWire{contentType: jsonContentType(JSON11)}
	dot := strings.LastIndexByte(target, '.')
	svc := h.targets[target[:max(dot, 0)]]
	if svc == nil {
		return fault.New(fault.OperationUnknown, "No service here answers to X-Amz-Target %q.", target)
	}
	return h.serveBody(x, svc, target[dot+1:])
}

// serveBody serves a request whose operation is known and whose body is the input.
func (h *handler) serveBody(x *exchange, svc *service, name string) error {
	x.svc, x.wire, x.name = svc, svc.wire, name
	if x.r.Method != http.MethodPost {
		return fault.New(fault.OperationUnknown, "Operations are called with POST, not %s.", x.r.Method)
	}
	op, err := x.operation()
	if err != nil {
		return err
	}
	body, err := h.readBody(x, op.maxBody, svc.Name, !op.unsigned)
	if err != nil {
		return err
	}
	// Before the body is inflated: thirty kilobytes of a stranger's could become many megabytes.
	caller, err := h.authenticate(x, op, body)
	if err != nil {
		return err
	}
	plain, err := inflate(x.r, body, op.maxBody)
	if err != nil {
		return err
	}
	return h.do(x, op, caller, request{operation: x.name, body: plain})
}

// serveQuery serves the protocol that names the operation in the form.
func (h *handler) serveQuery(x *exchange) error {
	x.wire = queryWire{}
	// Which operation it is stands in the body, so that the largest limit of all has to do at first; for
	// whoever names no key, or one that does not hold, a small one. Who sends little is not looked at twice: each look that
	// fails counts against its address.
	var limit int64 = screenFrom
	scope := scopeService(x.r)
	large := x.r.ContentLength < 0 || x.r.ContentLength > screenFrom || x.r.Header.Get("Content-Encoding") != ""
	if scope != "" && large && h.authenticator.Screen(x.r, scope) == nil {
		limit = defaultMaxBody
		for _, svc := range h.queries {
			for _, op := range svc.Operations {
				limit = max(limit, op.maxBody)
			}
		}
	}
	body, err := h.readBody(x, limit, scope, false)
	if err != nil {
		return err
	}
	plain, err := inflate(x.r, body, limit)
	if err != nil {
		return err
	}
	text := string(plain)
	if len(body) == 0 {
		text = x.r.URL.RawQuery
	}
	form, err := parseForm(text)
	if err != nil {
		return err
	}
	x.name = form.get("Action")
	svc := h.queryService(form.get("Version"), scope)
	if svc == nil || x.name == "" {
		return fault.New(fault.OperationUnknown, "Could not find operation %s for version %s", orNone(x.name), orNone(form.get("Version")))
	}
	x.svc, x.wire = svc, svc.wire
	op, err := x.operation()
	if err != nil {
		return err
	}
	if int64(len(plain)) > op.maxBody {
		return tooLarge(op.maxBody)
	}
	caller, err := h.authenticate(x, op, body)
	if err != nil {
		return err
	}
	return h.do(x, op, caller, request{operation: x.name, form: form})
}

func orNone(s string) string {
	if s == "" {
		return "NO_VALUE"
	}
	return s
}

// queryService finds the Query service by version, and by the credential scope when versions agree or
// there is none.
func (h *handler) queryService(version, scope string) *service {
	var found *service
	for _, svc := range h.queries {
		if version != "" && svc.Version != version {
			continue
		}
		if svc.Name == scope {
			return svc
		}
		if found == nil && version != "" {
			found = svc
		}
	}
	return found
}

// scopeService reads the service from the credential scope of a signed request, without believing it:
// KEY/20260102/us-east-1/sts/aws4_request.
func scopeService(r *http.Request) string {
	credential := r.URL.Query().Get("X-Amz-Credential")
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		credential, _, _ = strings.Cut(rest, ",")
	}
	parts := strings.Split(credential, "/")
	if len(parts) < 5 {
		return ""
	}
	return parts[len(parts)-2]
}

// operation finds the operation that the request names, and tells whoever counts requests.
func (x *exchange) operation() (Operation, error) {
	op, err := x.svc.operation(x.name)
	if err == nil {
		middleware.Label(x.r.Context(), x.svc.Name, x.name)
	} else {
		middleware.Label(x.r.Context(), x.svc.Name, "")
	}
	return op, err
}

// operation finds an operation, or says why not.
func (s *service) operation(name string) (Operation, error) {
	if op, ok := s.Operations[name]; ok {
		return op, nil
	}
	if s.known[name] {
		return Operation{}, fault.New(fault.OperationUnsupported,
			"The operation %s:%s exists at Amazon and is not supported by this version of Berth.", s.Name, name)
	}
	if s.Protocol == Query {
		return Operation{}, fault.New(fault.OperationUnknown, "Could not find operation %s for version %s", name, s.Version)
	}
	return Operation{}, fault.New(fault.OperationUnknown, "The service %s has no operation named %q.", s.Name, name)
}

// authenticate establishes who signed the body as it came on the wire.
func (h *handler) authenticate(x *exchange, op Operation, body []byte) (identity.Caller, error) {
	if op.unsigned {
		return identity.Caller{Origin: authn.Origin(x.r)}, nil
	}
	return h.authenticator.SigV4(x.r, body, x.svc.Name)
}

// do decodes, calls and answers.
func (h *handler) do(x *exchange, op Operation, caller identity.Caller, req request) error {
	x.note(caller)
	call := Call{
		Caller:    caller,
		RequestID: x.id,
		Host:      x.r.Host,
		// A middleware that trusts a proxy in front notes the scheme it was told in the URL.
		Secure:    x.r.TLS != nil || x.r.URL.Scheme == "https",
		UserAgent: x.r.UserAgent(),
	}
	plan, err := x.svc.codec.plan(op.in)
	if err != nil {
		return err
	}
	in := reflect.New(op.in)
	if err := x.wire.decode(plan, req, in.Elem()); err != nil {
		return err
	}
	noteInput(x.r.Context(), x.svc.codec.noted(op.in), in.Elem())
	out, err := op.call(x.r.Context(), call, in.Interface())
	if err != nil {
		return err
	}
	if plan, err = x.svc.codec.plan(op.out); err != nil {
		return err
	}
	h.answer(x, http.StatusOK, func(b []byte) []byte {
		// A nil *Out is an answer without members: its Elem is the zero Value.
		return x.wire.encode(b, plan, reflect.ValueOf(out).Elem(), req.operation, x.id)
	})
	return nil
}

// fail answers with the exception that err is to the client, and logs what is the server's fault.
func (h *handler) fail(x *exchange, err error) {
	err = malformedFault(err)
	middleware.LabelFault(x.r.Context(), err)
	e, ok := Exception{}, false
	if x.svc != nil && x.svc.Exceptions != nil {
		e, ok = x.svc.Exceptions(err)
	}
	if !ok {
		e, ok = x.wire.exception(err)
	}
	if !ok {
		e = x.wire.internal(x.id)
		if x.svc != nil && x.svc.Internal.Code != "" {
			e.Code, e.Query, e.MessageMember = x.svc.Internal.Code, x.svc.Internal.Query, x.svc.Internal.MessageMember
		}
	}
	if e.Status == 0 {
		e.Status = http.StatusBadRequest
	}
	var codec *codec // only a service has exceptions with members
	if x.svc != nil {
		codec = x.svc.codec
	}
	if e.Status >= http.StatusInternalServerError {
		h.logFailure(x, e, err)
	}
	switch {
	case x.svc != nil && x.svc.Protocol == Query:
		e.Code = e.query()
	case x.svc != nil && x.svc.QueryCompatible:
		x.w.Header().Set("X-Amzn-Query-Error", e.query()+";"+e.side())
	}
	x.w.Header().Set("X-Amzn-Errortype", e.Code)
	h.explainDenial(x, err)
	x.noteFault(e, errors.Is(err, fault.CredentialsMissing) || errors.Is(err, fault.TooManyFailures))
	h.answer(x, e.Status, func(b []byte) []byte { return x.wire.encodeError(b, codec, e, x.id) })
}

// explainDenial hands out what a refusal rests on, sealed.
func (h *handler) explainDenial(x *exchange, err error) {
	f, ok := fault.Of(err)
	if !ok || h.denials == nil {
		return
	}
	if refusal, ok := f.Detail.(policy.Refusal); ok {
		if text := h.denials.Encode(x.r.Context(), refusal); text != "" {
			x.w.Header().Set("X-Berth-Authorization-Message", text)
		}
	}
}

// logFailure says what went wrong on the server's side, which the client is not told.
func (h *handler) logFailure(x *exchange, e Exception, err error) {
	ctx, level, service := x.r.Context(), slog.LevelError, ""
	if ctx.Err() != nil {
		// The client has gone. Whatever failed most likely failed for that.
		level = slog.LevelDebug
	}
	if x.svc != nil {
		service = x.svc.Name
	}
	h.logger.LogAttrs(ctx, level, "request failed",
		slog.String("request", x.id), slog.String("service", service), slog.String("operation", x.name),
		slog.Int("status", e.Status), slog.Any("error", err))
}

// maxPooled is the largest answer whose buffer is kept for the next.
const maxPooled = 1 << 20

// answer writes a body that encode appends to a pooled buffer.
func (h *handler) answer(x *exchange, status int, encode func([]byte) []byte) {
	buf, ok := h.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	body := encode((*buf)[:0])
	x.wire.headers(x.w.Header())
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the client has gone; there is nobody left to tell
	if cap(body) <= maxPooled {
		*buf = body
		h.buffers.Put(buf)
	}
}

func tooLarge(limit int64) error {
	return fault.New(fault.RequestTooLarge, "The request's body is larger than the %d bytes that this operation takes.", limit)
}

// readBody reads the body as it is on the wire. When it is large and the operation signed, the credentials
// are looked at first.
func (h *handler) readBody(x *exchange, limit int64, service string, signed bool) ([]byte, error) {
	announced := x.r.ContentLength
	if announced > limit {
		return nil, tooLarge(limit)
	}
	if signed && (announced < 0 || announced > screenFrom) {
		if err := h.authenticator.Screen(x.r, service); err != nil {
			return nil, err
		}
	}
	if announced == 0 || x.r.Body == nil {
		return nil, nil
	}
	// Room is made as bytes come, not as they are announced: announcing is free.
	var body bytes.Buffer
	body.Grow(int(min(max(announced, 512), screenFrom)) + bytes.MinRead)
	_, err := body.ReadFrom(http.MaxBytesReader(x.w, x.r.Body, limit))
	if err == nil {
		return body.Bytes(), nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(limit)
	}
	return nil, fault.Wrap(fault.RequestMalformed, err, "The request's body ended before its announced length.")
}

// inflate undoes Content-Encoding: gzip, which some SDKs use for large bodies. The signature covers the
// bytes on the wire.
func inflate(r *http.Request, body []byte, limit int64) ([]byte, error) {
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, bad("the body is not gzip")
		}
		plain, err := io.ReadAll(io.LimitReader(z, limit+1))
		if err != nil {
			return nil, bad("the body is not whole gzip")
		}
		if int64(len(plain)) > limit {
			return nil, tooLarge(limit)
		}
		return plain, nil
	default:
		return nil, bad("the Content-Encoding %q is not understood", encoding)
	}
}

// explain answers what is no AWS request, most likely a person with a browser.
func (h *handler) explain(w http.ResponseWriter, r *http.Request) {
	status, text := http.StatusBadRequest, "This is no AWS request: it has neither an X-Amz-Target header nor a form with an Action.\n"
	switch {
	case r.URL.Path != "/":
		status, text = http.StatusNotFound, "There is nothing at this path. AWS requests go to /, registry requests to /v2/.\n"
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		status, text = http.StatusOK, "This is Berth, a container registry.\n\ndocker and other OCI clients find it at "+r.Host+
			"; AWS clients with AWS_ENDPOINT_URL set to this address.\n"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff") // the text repeats the Host header
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// randomRequestID makes a random UUID, the form AWS request ids have.
func randomRequestID(*http.Request) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
