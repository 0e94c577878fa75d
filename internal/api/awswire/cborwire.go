package awswire

import (
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// servicePath begins the paths of Smithy RPC v2: /service/<service>/operation/<operation>.
const servicePath = "/service/"

// rpcProtocol is CBOR's name in the header Smithy-Protocol, which requests and answers bear.
const rpcProtocol = "rpc-v2-cbor"

// serveCBOR serves the protocol that names the operation in the path.
func (h *handler) serveCBOR(x *exchange) error {
	x.wire = cborWire{}
	name, operation, _ := strings.Cut(strings.TrimPrefix(x.r.URL.Path, servicePath), "/operation/")
	svc := h.paths[name]
	if svc == nil || operation == "" {
		return fault.New(fault.OperationUnknown, "No service here answers to the path %q.", x.r.URL.Path)
	}
	x.svc = svc
	if spoken := x.r.Header.Get("Smithy-Protocol"); spoken != rpcProtocol {
		return bad("the header Smithy-Protocol says %q, expected %s", spoken, rpcProtocol)
	}
	if kind, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type")); x.r.ContentLength != 0 && kind != cborContentType {
		return bad("the Content-Type %q is not %s", kind, cborContentType)
	}
	return h.serveBody(x, svc, operation)
}

const cborContentType = "application/cbor"

// cborWire is Smithy RPC v2 with CBOR bodies.
type cborWire struct{}

func (cborWire) decode(p *plan, req request, v reflect.Value) error {
	return p.decodeCBOR(req.body, v)
}

func (cborWire) encode(b []byte, p *plan, v reflect.Value, _, _ string) []byte {
	if !v.IsValid() {
		return append(b, cborMap, cborBreak)
	}
	return p.appendCBOR(b, v)
}

func (cborWire) encodeError(b []byte, c *codec, e Exception, _ string) []byte {
	b = append(b, cborMap)
	b = appendCBORText(b, "__type")
	b = appendCBORText(b, e.Code)
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		v := reflect.ValueOf(e.Members[name])
		p, ok := c.member(v)
		if !ok {
			continue
		}
		b = appendCBORText(b, name)
		b = p.appendCBOR(b, v)
	}
	b = appendCBORText(b, e.message())
	b = appendCBORText(b, e.Message)
	return append(b, cborBreak)
}

func (cborWire) headers(h http.Header) {
	h.Set("Content-Type", cborContentType)
	h.Set("Smithy-Protocol", rpcProtocol)
}

func (cborWire) exception(err error) (Exception, bool) { return CBOR.Exception(err) }

func (cborWire) internal(requestID string) Exception { return internal("InternalFailure", requestID) }
