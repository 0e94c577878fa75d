package workspace

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Schema is the JSON Schema of the file, draft 2020-12, for editors and for checks elsewhere. It is made from the
// types that the reader goes by. What it cannot say, such as that two things have one name, the reader finds.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[File]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = Name
	root["description"] = "the pipeline's description of a monorepo"
	return marshalIndented(root)
}

func schemaOf(t reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem())
	}
	if r, ok := reflect.TypeAssert[reader](reflect.New(t)); ok {
		return r.schema()
	}
	switch t.Kind() {
	case reflect.Struct:
		properties, required, open := map[string]any{}, []string{}, false
		for _, f := range fields(t) {
			if f.rest {
				open = true
				continue
			}
			property := schemaOf(t.Field(f.index).Type)
			property["description"] = f.doc
			properties[f.key] = property
			if f.required {
				required = append(required, f.key)
			}
		}
		object := map[string]any{"type": "object", "properties": properties, "additionalProperties": open}
		if len(required) > 0 {
			object["required"] = required
		}
		return object
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	default:
		panic("workspace: no schema of a " + t.String())
	}
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func marshalIndented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}
