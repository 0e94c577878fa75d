package lifecycle

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object. encoding/json alone would take a member in any case, and the last of two.
type object map[string]any

// decode reads a whole JSON text into objects, lists ([]any), strings, json.Numbers, booleans and nil. It
// refuses what two readers may read as two things: a member that is there twice, and anything after the value.
func decode(text string) (any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	v, err := decodeValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the value: %w", err)
	}
	return v, nil
}

func decodeValue(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return decodeObject(dec)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	default:
		return token, nil
	}
}

func decodeObject(dec *json.Decoder) (any, error) {
	o := object{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("the name of a member is %v", key)
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("the member %q is there twice", name)
		}
		if o[name], err = decodeValue(dec); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return o, err
}

// The words below are those of the JSON schema validator behind ECR, which people find in the web when they
// search for their error.

// members checks that v is an object with the required members, the optional ones, and no others.
func members(v any, required, optional []string) (object, error) {
	o, ok := v.(object)
	if !ok {
		return nil, wrongType(v, "object")
	}
	var unknown, lacking []string
	for name := range o {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			unknown = append(unknown, name)
		}
	}
	for _, name := range required {
		if _, ok := o[name]; !ok {
			lacking = append(lacking, name)
		}
	}
	switch {
	case len(unknown) > 0:
		return nil, invalid("object instance has properties which are not allowed by the schema: [%s]", quoted(unknown))
	case len(lacking) > 0:
		return nil, invalid("object has missing required properties ([%s])", quoted(lacking))
	}
	return o, nil
}

// array checks that v is a list of 1 to most items.
func array(v any, most int) ([]any, error) {
	list, ok := v.([]any)
	switch {
	case !ok:
		return nil, wrongType(v, "array")
	case len(list) == 0:
		return nil, invalid("array is too short: must have at least 1 elements but instance has 0 elements")
	case len(list) > most:
		return nil, invalid("array is too long: must have at most %d elements but instance has %d elements", most, len(list))
	}
	return list, nil
}

// texts checks that v is a list of strings that are not empty and differ.
func texts(v any, most int) ([]string, error) {
	list, err := array(v, most)
	if err != nil {
		return nil, err
	}
	all := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		switch {
		case !ok:
			return nil, wrongType(item, "string")
		case s == "":
			return nil, invalid(`string "" is too short (length: 0, required minimum: 1)`)
		case slices.Contains(all, s):
			return nil, invalid("array must not contain duplicate elements")
		}
		all = append(all, s)
	}
	return all, nil
}

// positive checks that v is an integer from 1 to what ECR's API can say.
func positive(v any) (int32, error) {
	n, ok := v.(json.Number)
	if !ok || strings.ContainsAny(n.String(), ".eE") {
		return 0, wrongType(v, "integer")
	}
	if strings.HasPrefix(n.String(), "-") || n == "0" {
		return 0, invalid("numeric instance is lower than the required minimum (minimum: 1, found: %s)", n)
	}
	i, err := strconv.ParseInt(n.String(), 10, 32)
	if err != nil {
		return 0, invalid("numeric instance is greater than the required maximum (maximum: 2147483647, found: %s)", n)
	}
	return int32(i), nil
}

// oneOf checks that v is one of the values, which are in order.
func oneOf[S ~string](v any, values ...S) (S, error) {
	s, ok := v.(string)
	if !ok {
		return "", wrongType(v, "string")
	}
	names := make([]string, len(values))
	for i, known := range values {
		if s == string(known) {
			return known, nil
		}
		names[i] = string(known)
	}
	return "", invalid("instance value (%s) not found in enum (possible values: [%s])", quoted([]string{s}), quoted(names))
}

func wrongType(v any, allowed string) error {
	return invalid("instance type (%s) does not match any allowed primitive type (allowed: [%q])", typeOf(v), allowed)
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case object:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	}
	return fmt.Sprintf("%T", v)
}

// quoted lists names as the members of a JSON list, in order.
func quoted(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	for i, n := range sorted {
		sorted[i] = strconv.Quote(n)
	}
	return strings.Join(sorted, ",")
}
