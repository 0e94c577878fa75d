package awswire

import "reflect"

// Codec reads and writes values by the rules of one protocol.
type Codec struct{ c *codec }

// NewJSONCodec makes a codec for the JSON protocols.
func NewJSONCodec(members map[string]string) Codec { return Codec{newCodec(lowerFirst, members)} }

// NewQueryCodec makes a codec for the Query protocol.
func NewQueryCodec(members map[string]string) Codec {
	return Codec{newCodec(func(field string) string { return field }, members)}
}

// DecodeJSON reads body into v, a pointer to a struct. The body is consumed.
func (c Codec) DecodeJSON(body []byte, v any) error {
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return err
	}
	return p.decodeJSON(body, reflect.ValueOf(v).Elem())
}

// EncodeJSON appends v, a pointer to a struct, to b.
func (c Codec) EncodeJSON(b []byte, v any) ([]byte, error) {
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return nil, err
	}
	return p.appendJSON(b, reflect.ValueOf(v).Elem()), nil
}

// DecodeCBOR reads body into v, a pointer to a struct.
func (c Codec) DecodeCBOR(body []byte, v any) error {
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return err
	}
	return p.decodeCBOR(body, reflect.ValueOf(v).Elem())
}

// EncodeCBOR appends v, a pointer to a struct, to b.
func (c Codec) EncodeCBOR(b []byte, v any) ([]byte, error) {
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return nil, err
	}
	return p.appendCBOR(b, reflect.ValueOf(v).Elem()), nil
}

// DecodeForm reads a form into v, a pointer to a struct.
func (c Codec) DecodeForm(form string, v any) error {
	n, err := parseForm(form)
	if err != nil {
		return err
	}
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return err
	}
	return p.readForm(n, reflect.ValueOf(v).Elem())
}

// EncodeXML appends what stands between the tags of v, a pointer to a struct, to b.
func (c Codec) EncodeXML(b []byte, v any) ([]byte, error) {
	p, err := c.c.plan(reflect.TypeOf(v).Elem())
	if err != nil {
		return nil, err
	}
	return p.appendXML(b, reflect.ValueOf(v).Elem()), nil
}
