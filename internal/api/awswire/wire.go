package awswire

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
)

// request is an operation's input before it is decoded.
type request struct {
	operation string
	body      []byte // JSON and CBOR: the document, inflated
	form      *node  // Query: the parameters
}

// wire is what tells the protocols apart. Another protocol is another wire, and a way to recognise its
// requests in handler.route.
type wire interface {
	// decode reads a request into v, a struct that p is the plan for.
	decode(p *plan, req request, v reflect.Value) error
	// encode appends the answer. v may be the zero Value, for an operation that answered nothing.
	encode(b []byte, p *plan, v reflect.Value, operation, requestID string) []byte
	// encodeError appends the body of an error. The members are written by c.
	encodeError(b []byte, c *codec, e Exception, requestID string) []byte
	// headers sets what the protocol wants on every answer.
	headers(h http.Header)
	// exception makes of err what the protocol makes of it whatever the service.
	exception(err error) (Exception, bool)
	// internal is the error that no table knows.
	internal(requestID string) Exception
}

func jsonContentType(p Protocol) string {
	if p == JSON10 {
		return "application/x-amz-json-1.0"
	}
	return "application/x-amz-json-1.1"
}

// jsonWire is AWS JSON 1.0 and 1.1, which differ in their content type alone.
type jsonWire struct {
	contentType string
}

func (jsonWire) decode(p *plan, req request, v reflect.Value) error {
	return p.decodeJSON(req.body, v)
}

func (jsonWire) encode(b []byte, p *plan, v reflect.Value, _, _ string) []byte {
	if !v.IsValid() {
		return append(b, "{}"...)
	}
	return p.appendJSON(b, v)
}

// encodeError writes the code as __type, the one place where boto3 and the AWS CLI look for it.
func (jsonWire) encodeError(b []byte, c *codec, e Exception, _ string) []byte {
	b = append(b, `{"__type":`...)
	b = appendJSONString(b, e.Code)
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		v := reflect.ValueOf(e.Members[name])
		p, ok := c.member(v)
		if !ok {
			continue
		}
		b = append(b, ',')
		b = appendJSONString(b, name)
		b = append(b, ':')
		b = p.appendJSON(b, v)
	}
	b = append(b, ',')
	b = appendJSONString(b, e.message())
	b = append(b, ':')
	b = appendJSONString(b, e.Message)
	return append(b, '}')
}

func (w jsonWire) headers(h http.Header) { h.Set("Content-Type", w.contentType) }

func (jsonWire) exception(err error) (Exception, bool) { return JSON11.Exception(err) }

func (jsonWire) internal(requestID string) Exception { return internal("ServerException", requestID) }

// queryWire is the Query protocol: a form comes, XML goes.
type queryWire struct {
	namespace string
}

func (queryWire) decode(p *plan, req request, v reflect.Value) error {
	return p.readForm(req.form, v)
}

// encode writes the Result element even when it is empty: the Go SDK fails without it.
func (w queryWire) encode(b []byte, p *plan, v reflect.Value, operation, requestID string) []byte {
	b = append(b, "<"+operation+`Response xmlns="`+w.namespace+`"><`+operation+"Result>"...)
	if v.IsValid() {
		b = p.appendXML(b, v)
	}
	b = append(b, "</"+operation+"Result><ResponseMetadata><RequestId>"...)
	b = appendXMLText(b, requestID)
	return append(b, "</RequestId></ResponseMetadata></"+operation+"Response>\n"...)
}

func (w queryWire) encodeError(b []byte, c *codec, e Exception, requestID string) []byte {
	b = append(b, "<ErrorResponse"...)
	if w.namespace != "" {
		b = append(b, ` xmlns="`+w.namespace+`"`...)
	}
	b = append(b, "><Error><Type>"+e.side()+"</Type><Code>"...)
	b = appendXMLText(b, e.Code)
	b = append(b, "</Code><Message>"...)
	b = appendXMLText(b, e.Message)
	b = append(b, "</Message>"...)
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		v := reflect.ValueOf(e.Members[name])
		p, ok := c.member(v)
		if !ok {
			continue
		}
		b = append(b, "<"+name+">"...)
		b = p.appendXML(b, v)
		b = append(b, "</"+name+">"...)
	}
	b = append(b, "</Error><RequestId>"...)
	b = appendXMLText(b, requestID)
	return append(b, "</RequestId></ErrorResponse>\n"...)
}

func (queryWire) headers(h http.Header) { h.Set("Content-Type", "text/xml") }

func (queryWire) exception(err error) (Exception, bool) { return Query.Exception(err) }

func (queryWire) internal(requestID string) Exception { return internal("InternalFailure", requestID) }

// member finds the plan for an exception's member, unless the member is absent.
func (c *codec) member(v reflect.Value) (*plan, bool) {
	if !v.IsValid() {
		return nil, false
	}
	p, err := c.plan(v.Type())
	if err != nil {
		return nil, false
	}
	f := field{plan: p}
	return p, !f.absent(v)
}
